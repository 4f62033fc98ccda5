"""Line 21: `<img onerror>` and `{{7*7}}` in every text field on every page, chart, PDF."""

from __future__ import annotations

import csv
import ctypes.util
import html
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from flask.testing import FlaskClient
from pypdf import PdfReader
from werkzeug.test import TestResponse

from melanoma_app.models import Clinic, Lesion, LesionImage, Patient, User
from melanoma_app.models.vocabulary import Role
from tests.browsing import Browser
from tests.factories import UserFactory
from tests.functional.test_borders import FORMS, IN_GROUP, OPERATIONS, PAGES
from tests.hostile.texts import (
    WRITTEN_BY_PEOPLE,
    WRITTEN_BY_THE_APP,
    evaluated,
    fill_every_table,
    spoil,
    text_columns,
)
from tests.records import Records

SHOWN_NOWHERE = {
    "patient_erasure.reason",
    "patient_merge.reason",
    "user_session.user_agent",  # a browser is named from a closed list
}
"""Columns that are kept for the audit of a case, and that no page, CSV or answer shows."""
REFLECTED = (
    "</title></textarea>\"'><img src=x onerror=b()><script>b()</script>{{7*7}}${7*7}"
    "<svg/onload=b()>javascript:b()"
)
PARAMETERS = (
    "q",
    "search",
    "cursor",
    "sort",
    "next",
    "period",
    "rows",
    "columns",
    "older",
    "newer",
    "replaces",
    "part",
)
PDFS = {"GET /examinations/{image}/report.pdf", "GET /api/v1/images/{image}/report"}
HAS_PDF = bool(os.environ.get("CI")) or ctypes.util.find_library("pangoft2-1.0") is not None


def test_every_text_column_is_tried_when_one_is_added() -> None:
    assert text_columns() == {*WRITTEN_BY_PEOPLE, *WRITTEN_BY_THE_APP}


@pytest.mark.parametrize("database_kind", ["sqlite"])  # what is escaped is the same on both
def test_nothing_runs_or_is_evaluated_when_every_field_holds_a_script(
    sign_in: Callable[[User], Browser],
    token_headers: Callable[[User], dict[str, str]],
    client: FlaskClient,
    clinic: Clinic,
    user: User,
    ids: dict[str, str],
    records: Records,
) -> None:
    fill_every_table(user, image_id=records.one(LesionImage).id, lesion_id=records.one(Lesion).id)
    admin = UserFactory(clinic=clinic, role=Role.ADMIN)
    signed_in = {person.role: (sign_in(person), token_headers(person)) for person in (user, admin)}
    texts = spoil(records, kept_usernames={user.username, admin.username})
    every_text = [text for of_column in texts.values() for text in of_column]

    seen = ""
    for endpoint, group in (PAGES | OPERATIONS).items():
        method, _, address = endpoint.partition(" ")
        if method != "GET" or (endpoint in PDFS and not HAS_PDF):
            continue
        browser, headers = signed_in[opener_of(group)]
        options = {"headers": headers} if address.startswith("/api/") else {}
        with browser.client.get(address.format(**ids), **options, follow_redirects=True) as response:
            assert response.status_code in (200, 422), endpoint
            said = read_as_text(response, endpoint)
        for text in every_text:
            assert not [wrong for wrong in evaluated(text) if "".join(wrong.split()) in said], endpoint
        seen += said

    shown = {name for name, own in texts.items() if any("".join(text.split()) in seen for text in own)}
    assert set(WRITTEN_BY_PEOPLE) - shown <= SHOWN_NOWHERE


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_nothing_runs_when_every_parameter_of_every_page_holds_a_script(
    sign_in: Callable[[User], Browser], clinic: Clinic, user: User, ids: dict[str, str]
) -> None:
    admin = UserFactory(clinic=clinic, role=Role.ADMIN)
    browsers = {person.role: sign_in(person) for person in (user, admin)}
    for endpoint, group in PAGES.items():
        method, _, address = endpoint.partition(" ")
        address, browser = address.format(**ids), browsers[opener_of(group)]
        if method == "POST":
            if endpoint in FORMS:
                answer = browser.post(address, **dict.fromkeys(FORMS[endpoint], REFLECTED))
                hold_harmless(answer, endpoint)
        elif endpoint not in PDFS:
            names = {*PARAMETERS, *(control["name"] for control in controls_of(browser, address))}
            query = urlencode(dict.fromkeys(sorted(names), REFLECTED))
            with browser.client.get(f"{address}?{query}", follow_redirects=True) as response:
                hold_harmless(response, endpoint)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    "folder", ["/", "/patients/", "/models/", "/static/", "/api/v1/", "/api/v1/models/", "/sign-in/"]
)
def test_nothing_runs_when_an_address_that_is_not_there_holds_a_script(browser: Browser, folder: str) -> None:
    response = browser.client.get(folder + quote(REFLECTED, safe=""))

    assert response.status_code in (404, 405)
    hold_harmless(response, folder)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_nothing_runs_when_a_script_signs_in(client: FlaskClient) -> None:
    page = Browser(client).sign_in(REFLECTED, REFLECTED)

    hold_harmless(page.response, "/sign-in")
    hold_harmless(client.get("/sign-in", query_string={"next": "javascript:b()"}), "/sign-in")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_names_stay_text_when_imported_from_a_file(
    app: Flask, browser: Browser, user: User, tmp_path: Path, records: Records
) -> None:
    name = "<img src=x onerror=b()>{{7*7}}"
    path = tmp_path / "people.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["mrn", "family_name", "given_name", "birth_date", "gender"])
        writer.writerow(["A-1", name, '"><script>b()</script>', "1962-04-27", "female"])

    arguments = ["import", "patients", str(path), "--by", user.username]
    answer = app.test_cli_runner().invoke(args=arguments, catch_exceptions=False)

    assert answer.exit_code == 0, answer.output
    page = browser.open(f"/patients/{records.one(Patient).public_id}")
    hold_harmless(page.response, page.path)
    assert name in page.heading


def opener_of(group: str) -> Role:
    """Whom of the two that see the most a page is open to."""
    return Role.CLINICIAN if Role.CLINICIAN in IN_GROUP[group] else Role.ADMIN


def read_as_text(response: TestResponse, place: str) -> str:
    """What an answer says, without blanks; whatever kind it is of, none of it may be more than text."""
    if response.status_code != 200:
        hold_harmless(response, place)
        return ""
    match response.mimetype:
        case "text/html":
            hold_harmless(response, place)
            soup = BeautifulSoup(response.get_data(as_text=True), "html.parser")
            attributes = (str(value) for element in soup.find_all(True) for value in element.attrs.values())
            said = " ".join((soup.get_text(), *attributes))
        case "text/csv":
            rows = csv.reader(io.StringIO(response.get_data(as_text=True)))
            said = " ".join(cell for row in rows for cell in row)
        case "application/pdf":
            said = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(response.data)).pages)
        case mimetype if mimetype.endswith("json"):
            said = " ".join(strings_in(response.json if response.is_json else json.loads(response.data)))
        case mimetype:
            assert mimetype in ("image/jpeg", "image/png", "application/zip"), f"{place}: {mimetype}"
            said = ""
    return "".join(said.split())


def strings_in(value: Any) -> Iterator[str]:
    """Every text in a JSON value; XHTML in one (FHIR's narrative) as what it says."""
    if isinstance(value, dict):
        for one in value.values():
            yield from strings_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings_in(one)
    elif isinstance(value, str):
        yield html.unescape(value) if value.startswith("<div") else value


def hold_harmless(response: TestResponse, place: str) -> None:
    """Hold an answer to it that no element and no attribute came out of a text."""
    if response.mimetype != "text/html":
        assert response.headers["X-Content-Type-Options"] == "nosniff", place
        assert "sandbox" in response.headers["Content-Security-Policy"], place
        return
    soup = BeautifulSoup(response.get_data(as_text=True), "html.parser")
    assert len(soup.select("head > title, html > title")) == 1, place
    for element in soup.find_all(True):
        assert element.name not in ("u", "iframe", "object", "embed", "base"), f"{place}: {element}"
        assert not [name for name in element.attrs if name.startswith("on")], f"{place}: {element}"
        assert element.name != "script" or element.get("src"), f"{place}: {element}"
        for name in ("src", "href", "action", "formaction"):
            address = str(element.get(name, ""))
            assert urlsplit(address).scheme in ("", "https", "http", "mailto"), f"{place}: {address}"
            assert address != "x", f"{place}: {element}"


def controls_of(browser: Browser, address: str) -> list[Any]:
    """The named controls of a page's forms."""
    with browser.client.get(address, follow_redirects=True) as response:
        if response.mimetype != "text/html":
            return []
        soup = BeautifulSoup(response.get_data(as_text=True), "html.parser")
    return [control for control in soup.find_all(["input", "select"]) if control.get("name")]
