"""Hostile list 17: no CSRF token, foreign Origin, JSON as text/plain."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import pytest
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import Clinic, User
from melanoma_app.models.vocabulary import Role
from tests.browsing import Browser
from tests.factories import PASSWORD, UserFactory
from tests.functional.test_borders import BODIES, FORMS, IN_GROUP, OPERATIONS, PAGES, PUBLIC
from tests.hostile.doors import address_of, csrf_token, fill
from tests.hostile.stock import take_stock
from tests.records import Records

FORMS_SENT: Final = [one for one in (*PAGES, *sorted(PUBLIC)) if one.startswith("POST") and "{}" not in one]
FOREIGN: Final[dict[str, dict[str, str]]] = {
    "Origin": {"Origin": "https://evil.example"},
    "Origin that begins like ours": {"Origin": "http://localhost.evil.example"},
    "Origin of another port": {"Origin": "http://localhost:8080"},
    "Origin that is none": {"Origin": "http://[::1"},
    "Sec-Fetch-Site": {"Sec-Fetch-Site": "cross-site"},
    "Sec-Fetch-Site of a sibling": {"Sec-Fetch-Site": "same-site"},
    "both, and a Referer": {
        "Origin": "https://evil.example",
        "Referer": "https://evil.example/localhost",
        "Sec-Fetch-Site": "cross-site",
    },
}
TEXT_TYPES: Final = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "")
"""What a form of another site can send without asking our server first (a simple request, says CORS)."""


@pytest.fixture
def staff(clinic: Clinic, user: User, sign_in: Callable[[User], Browser]) -> dict[Role, FlaskClient]:
    """Two who together may send every form."""
    admin = UserFactory(clinic=clinic, role=Role.ADMIN)
    return {Role.CLINICIAN: sign_in(user).client, Role.ADMIN: sign_in(admin).client}


def client_for(endpoint: str, staff: dict[Role, FlaskClient]) -> FlaskClient:
    allowed = IN_GROUP[PAGES.get(endpoint, "everybody")]
    return staff[Role.CLINICIAN if Role.CLINICIAN in allowed else Role.ADMIN]


def test_form_is_refused_when_its_token_is_missing_or_wrong(
    staff: dict[Role, FlaskClient],
    sign_in: Callable[[User], Browser],
    outsider: User,
    ids: dict[str, str],
    records: Records,
) -> None:
    others = csrf_token(sign_in(outsider).client)
    before = take_stock(records)
    for number, endpoint in enumerate(FORMS_SENT):
        client, address = client_for(endpoint, staff), address_of(endpoint, ids)
        values = fill(FORMS.get(endpoint, {}), ids)
        for token in (None, "", "wrong", others) if number == 0 else (None, others):
            data = values if token is None else values | {"csrf_token": token}
            answer = client.post(address, data=data)
            assert answer.status_code == 400, (endpoint, token)
            assert answer.mimetype == "text/html"
    in_address = client.post(f"{address}?csrf_token={csrf_token(client)}", data=values)
    assert in_address.status_code == 400
    assert take_stock(records) == before


def test_form_is_refused_when_another_site_sends_it_with_a_right_token(
    staff: dict[Role, FlaskClient], ids: dict[str, str], records: Records
) -> None:
    tokens = {role: csrf_token(client) for role, client in staff.items()}
    before = take_stock(records)
    for number, endpoint in enumerate(FORMS_SENT):
        client = client_for(endpoint, staff)
        role = next(role for role, one in staff.items() if one is client)
        data = fill(FORMS.get(endpoint, {}), ids) | {"csrf_token": tokens[role]}
        kinds = FOREIGN if number == 0 else {name: FOREIGN[name] for name in list(FOREIGN)[-1:]}
        for kind, headers in kinds.items():
            answer = client.post(address_of(endpoint, ids), data=data, headers=headers)
            assert answer.status_code == 400, (endpoint, kind)
    assert take_stock(records) == before


def test_form_is_refused_when_it_is_sent_as_json_or_text(
    browser: Browser, ids: dict[str, str], records: Records
) -> None:
    before, token = take_stock(records), csrf_token(browser.client)
    for endpoint in ("POST /patients/new", "POST /patients/{patient}/edit"):
        values = fill(FORMS[endpoint], ids) | {"csrf_token": token}
        for content_type in ("text/plain", "application/json"):
            answer = browser.client.post(
                address_of(endpoint, ids), data=json.dumps(values), content_type=content_type
            )
            assert answer.status_code in (400, 422), (endpoint, content_type)
    assert take_stock(records) == before


def test_operation_is_refused_when_its_json_comes_as_something_else(
    client: FlaskClient, headers: dict[str, str], ids: dict[str, str], records: Records
) -> None:
    before = take_stock(records)
    for endpoint, body in BODIES.items():
        if Role.CLINICIAN not in IN_GROUP[OPERATIONS[endpoint]]:
            continue
        for content_type in TEXT_TYPES:
            answer = client.open(
                address_of(endpoint, ids),
                method=endpoint.partition(" ")[0],
                data=json.dumps(fill(body, ids)),
                content_type=content_type,
                headers=headers,
            )
            assert answer.status_code in (400, 415, 422), (endpoint, content_type)
    assert take_stock(records) == before


def test_operation_is_refused_when_a_session_is_all_there_is(
    staff: dict[Role, FlaskClient], ids: dict[str, str], records: Records
) -> None:
    before = take_stock(records)
    for endpoint in OPERATIONS:
        client, (method, _, _) = staff[Role.ADMIN], endpoint.partition(" ")
        answer = client.open(
            address_of(endpoint, ids),
            method=method,
            json=fill(BODIES.get(endpoint), ids) if method != "GET" else None,
            headers={"X-CSRFToken": csrf_token(client)} if method == "POST" else {},
        )
        assert answer.status_code == 401, endpoint
    assert take_stock(records) == before


def test_no_other_site_may_read_an_answer_when_it_asks(client: FlaskClient, headers: dict[str, str]) -> None:
    asked = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    for answer in (
        client.options("/api/v1/patients", headers=asked),
        client.get("/api/v1/patients", headers=headers | asked),
        client.get("/sign-in", headers=asked),
    ):
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control-")]


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_form_over_tls_is_taken_from_our_own_pages_alone(make_app: Callable[..., Flask], user: User) -> None:
    site = "https://localhost"
    for headers, statuses in (
        ({"Origin": site}, (302,)),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, (302,)),
        ({"Origin": "http://localhost"}, (400,)),
        ({"Origin": "null"}, (400,)),
        ({"Origin": "https://evil.example"}, (400,)),
    ):
        client = make_app(ENVIRONMENT="production").test_client()
        page = client.get("/sign-in", base_url=site).text
        token = page.partition('name="csrf_token"')[2].partition('value="')[2].partition('"')[0]
        data = {"csrf_token": token, "username": user.username, "password": PASSWORD}
        answer = client.post("/sign-in", base_url=site, data=data, headers=headers)
        assert answer.status_code in statuses, headers
