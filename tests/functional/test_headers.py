"""What every answer tells the browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus

import pytest
from bs4 import Tag
from flask import Flask
from flask.testing import FlaskClient

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
ALL = [*PAGES, "/images/{image}", "/api/v1/openapi.json", "/api/v1/patients"]


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
    for address in ALL:
        headers = browser.client.get(address.format(**ids)).headers
        assert headers["X-Content-Type-Options"] == "nosniff", address
        assert headers["X-Frame-Options"] == "DENY", address
        assert headers["Referrer-Policy"] == "same-origin", address
        assert "geolocation=()" in headers["Permissions-Policy"], address
        assert headers["Cache-Control"] == "no-store", address
        assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-Id"]), address


def test_policy_lets_nothing_in_line_run_when_a_page_opens(browser: Browser, ids: dict[str, str]) -> None:
    for address in PAGES:
        directives = policy(browser.client.get(address.format(**ids)).headers["Content-Security-Policy"])
        assert directives["default-src"] == ["'none'"], address
        assert directives["frame-ancestors"] == directives["base-uri"] == ["'none'"], address
        assert directives["form-action"] == ["'self'"], address
        for directive in ("script-src", "style-src"):
            assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "https:", "data:"} & set(
                directives[directive]
            )


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
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["../config.py", "%2e%2e/config.py", "..%2fconfig.py", "css/../../config.py"]
)
def test_nothing_else_is_served_when_a_static_path_climbs(client: FlaskClient, path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404


def test_error_is_a_page_when_the_address_is_wrong(browser: Browser) -> None:
    page = browser.open("/nowhere")

    assert page.status == 404
    assert "There is nothing at this address." in page.text
    assert page.headers["X-Request-Id"] in page.text
