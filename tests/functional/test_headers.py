"""What every answer tells the browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus

import pytest
from bs4 import Tag
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from melanoma_app.models import Clinic
from tests.api import send_image
from tests.browsing import Browser
from tests.factories import LesionFactory

PAGES = [
    "/",
    "/patients",
    "/examinations",
    "/api-docs",
    "/patients/new",
    "/patients/{patient}",
    "/patients/{patient}/edit",
    "/lesions/{lesion}/images/new",
    "/predictions/{prediction}",
    "/nowhere",
]
NO_PAGES = ["/images/{image}", "/images/{image}/thumbnail", "/api/v1/openapi.json", "/api/v1/patients"]
ALL = [*PAGES, *NO_PAGES]
SEALED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


@pytest.fixture
def ids(client: FlaskClient, headers: dict[str, str], clinic: Clinic, photograph: bytes) -> dict[str, str]:
    """The public ids of one record of each kind."""
    lesion = LesionFactory(patient__clinic=clinic)
    answer = send_image(client, lesion.public_id, headers, photograph).json
    return {
        "patient": answer["patient_id"],
        "lesion": answer["lesion_id"],
        "image": answer["id"],
        "prediction": answer["prediction"]["id"],
    }


def policy(header: str) -> dict[str, list[str]]:
    """A content security policy, directive to sources."""
    parts = [part.split() for part in header.split(";")]
    return {part[0]: part[1:] for part in parts}


def test_every_answer_is_sealed_when_opened(browser: Browser, ids: dict[str, str]) -> None:
    for address in (*ALL, "/static/nothing.js", "/api/v1/nothing"):
        headers = browser.client.get(address.format(**ids)).headers
        hold_sealed(headers, address)
        assert headers["Cache-Control"] == "no-store", address


def hold_sealed(headers: Headers, address: str) -> None:
    """Hold an answer to what every answer says."""
    for name, value in SEALED.items():
        assert headers.getlist(name) == [value], f"{address}: {name}"
    features = dict(part.split("=") for part in headers["Permissions-Policy"].split(", "))
    assert features.pop("camera") == "(self)"
    assert {"geolocation", "microphone", "usb", "payment"} <= features.keys()
    assert set(features.values()) == {"()"}
    assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-Id"]), address
    assert len(headers.getlist("Content-Security-Policy")) == 1, address
    assert policy(headers["Content-Security-Policy"])["frame-ancestors"] == ["'none'"], address


def test_nothing_but_a_page_may_do_anything_when_opened_by_itself(
    browser: Browser, ids: dict[str, str]
) -> None:
    for address in (*NO_PAGES, "/api/v1/nothing", "/static/img/icon.svg", "/static/js/api.js"):
        with browser.client.get(address.format(**ids)) as response:
            directives = policy(response.headers["Content-Security-Policy"])
        assert directives["default-src"] == ["'none'"], address
        assert directives["sandbox"] == [], address
        assert "script-src" not in directives, address


def test_failure_is_sealed_and_tells_nothing_when_in_production(make_app: Callable[..., Flask]) -> None:
    app = make_app(ENVIRONMENT="production")
    app.testing = False

    @app.get("/api/v1/broken")
    @app.get("/broken")
    def break_down() -> None:
        raise ValueError("the patient Ada Lovelace, MRN 4711")

    for address in ("/broken", "/broken?debug=1&__debugger__=yes", "/api/v1/broken"):
        response = app.test_client().get(address, base_url="https://localhost")
        said = response.get_data(as_text=True)
        assert response.status_code == 500
        hold_sealed(response.headers, address)
        assert response.headers["Cache-Control"] == "no-store"
        for word in (
            "Traceback", "ValueError", "Lovelace", "4711", ".py", "line ",
            "Werkzeug", "Flask", "gunicorn", "Python", "SQLAlchemy", "Jinja",
        ):  # fmt: skip
            assert word not in said, word
            assert word not in str(response.headers), word
        assert response.headers["X-Request-Id"] in said


def test_policy_lets_nothing_in_line_run_when_a_page_opens(browser: Browser, ids: dict[str, str]) -> None:
    for address in PAGES:
        directives = policy(browser.client.get(address.format(**ids)).headers["Content-Security-Policy"])
        assert directives["default-src"] == ["'none'"], address
        assert directives["frame-ancestors"] == directives["base-uri"] == ["'none'"], address
        assert directives["form-action"] == ["'self'"], address
        for directive in ("script-src", "style-src"):
            forbidden = {"'unsafe-inline'", "'unsafe-eval'", "'unsafe-hashes'", "*", "https:", "data:"}
            assert not forbidden & set(directives[directive])
        assert directives["object-src"] == ["'none'"], address


def test_every_script_carries_the_answers_nonce_when_a_page_opens(
    browser: Browser, ids: dict[str, str]
) -> None:
    for address in PAGES:
        page = browser.open(address.format(**ids))
        (nonce,) = re.findall(r"'nonce-([^']+)'", page.headers["Content-Security-Policy"])
        for script in page.soup.find_all("script"):
            assert script.get("nonce") == nonce, address
            assert script.get("src"), address


def test_nonce_is_new_when_a_page_opens_again(client: FlaskClient) -> None:
    policies = {client.get("/sign-in").headers["Content-Security-Policy"] for _ in range(5)}

    assert len(policies) == 5


def test_foreign_files_are_pinned_when_a_page_needs_them(browser: Browser, ids: dict[str, str]) -> None:
    for address in PAGES:
        page = browser.open(address.format(**ids))
        for element in page.soup.find_all(["script", "link", "img"]):
            source = str(element.get("src") or element.get("href") or "")
            if "://" in source:
                assert str(element.get("integrity", "")).startswith("sha"), source


def test_page_is_whole_when_parsed(browser: Browser, ids: dict[str, str]) -> None:
    for address in PAGES:
        soup = browser.open(address.format(**ids)).soup
        assert soup.html is not None
        assert soup.html["lang"] == "en"
        assert len(soup.find_all("h1")) == 1, address
        assert soup.title is not None
        assert soup.title.get_text(strip=True), address
        names = [str(element["id"]) for element in soup.find_all(id=True)]
        assert len(names) == len(set(names)), address
        for control in soup.find_all(["input", "select", "textarea"]):
            assert is_labelled(control), f"{address}: {control}"
        for reference in soup.find_all(attrs={"aria-describedby": True}):
            for name in str(reference["aria-describedby"]).split():
                assert soup.find(id=name), f"{address}: #{name}"


def is_labelled(control: Tag) -> bool:
    if control.get("type") in ("hidden", "submit"):
        return True
    root = control.find_parent("html")
    return bool(control.get("aria-label") or (root and root.find("label", attrs={"for": control.get("id")})))


def test_tls_is_insisted_on_when_in_production(make_app: Callable[..., Flask]) -> None:
    response = make_app(ENVIRONMENT="production").test_client().get("/sign-in", base_url="https://localhost")

    assert "max-age=31536000" in response.headers["Strict-Transport-Security"]


def test_tls_is_not_insisted_on_when_in_development(client: FlaskClient) -> None:
    assert "Strict-Transport-Security" not in client.get("/sign-in").headers


def test_static_files_may_be_kept_when_served(client: FlaskClient) -> None:
    with client.get("/static/css/base.css") as response:
        assert response.status_code == HTTPStatus.OK
        assert response.headers["Cache-Control"] != "no-store"
        hold_sealed(response.headers, "/static/css/base.css")


def test_folder_is_not_listed_and_trace_is_refused_when_asked_for(client: FlaskClient) -> None:
    assert [client.get(f"/static/{folder}").status_code for folder in ("", "css", "css/")] == [404] * 3
    for address in ("/", "/sign-in", "/static/css/base.css", "/api/v1/patients"):
        assert client.open(address, method="TRACE").status_code == HTTPStatus.METHOD_NOT_ALLOWED


def test_error_is_a_page_when_the_address_is_wrong(browser: Browser) -> None:
    page = browser.open("/nowhere")

    assert page.status == 404
    assert "There is nothing at this address." in page.text
    assert page.headers["X-Request-Id"] in page.text
