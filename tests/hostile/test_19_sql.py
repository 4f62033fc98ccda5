"""Hostile list 19: `sort`, `group_by`, dates with SQL in them: 4xx, no delay."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any, Final

import pytest
from bs4 import BeautifulSoup
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from melanoma_app.models import Clinic, User
from melanoma_app.models.vocabulary import Role
from tests.browsing import Browser
from tests.factories import UserFactory
from tests.functional.test_borders import FORMS, IN_GROUP, OPERATIONS, PAGES
from tests.hostile.doors import address_of, csrf_token, fill
from tests.hostile.stock import take_stock
from tests.records import Records

PAYLOADS: Final = (
    "1' OR (SELECT 1 FROM (SELECT SLEEP(30))x) OR '1'='1",
    "id; SELECT pg_sleep(30); -- ",
    "(WITH RECURSIVE c(x) AS (SELECT LENGTH(RANDOMBLOB(9)) UNION ALL SELECT x+1 FROM c) SELECT MAX(x) FROM c)",
    "2026-01-01'; DROP TABLE patient; -- ",
    "x' UNION SELECT id, password_hash, username FROM user -- ",
    "1 DESC, (SELECT BENCHMARK(50000000, SHA2('x', 512)))",
)
LONGEST_S: Final = 10.0
"""The payloads ask for thirty seconds and more; a busy machine takes one or two by itself."""
NEVER_OFFERED: Final = ("sort", "order", "order_by", "group_by", "fields", "where")
ASKED_BY_LINKS: Final = {
    "GET /patients": ("search", "cursor"),
    "GET /patients.csv": ("search",),
    "GET /examinations": ("cursor",),
    "GET /worklist": ("cursor", "outcome"),
    "GET /worklist.csv": ("outcome",),
    "GET /worklist/next": ("after",),
    "GET /statistics.csv": ("chart", "gender", "date_from", "rows", "columns", "model", "period"),
    "GET /examinations.csv": ("gender", "date_to", "model", "review"),
    "GET /patients/{patient}": ("timeline",),
    "GET /patients/{patient}/merge": ("merged", "search"),
    "GET /lesions/{lesion}/compare": ("left", "right"),
    "GET /examinations/{image}/first-read": ("then",),
    "GET /audit": ("cursor",),
}
"""What pages read from their address beside the fields of their forms."""


@pytest.fixture
def staff(clinic: Clinic, user: User) -> dict[Role, User]:
    return {Role.CLINICIAN: user, Role.ADMIN: UserFactory(clinic=clinic, role=Role.ADMIN)}


def role_for(endpoint: str) -> Role:
    allowed = IN_GROUP[(PAGES | OPERATIONS)[endpoint]]
    return Role.CLINICIAN if Role.CLINICIAN in allowed else Role.ADMIN


def hold_harmless(ask: Callable[[], TestResponse], place: object) -> TestResponse:
    """Ask, and hold the answer to be plain or refused, to come at once, and to hold no secret."""
    started = time.monotonic()
    answer = ask()
    took_s = time.monotonic() - started
    assert answer.status_code < 500, place
    assert took_s < LONGEST_S, place
    text = answer.get_data(as_text=True)
    for secret in ("$argon2", "syntax", "OperationalError", "ProgrammingError"):
        assert secret not in text, place
    return answer


def query_parameters(client: FlaskClient) -> Iterator[tuple[str, str, bool]]:
    """Every parameter of a query that the API's document names: operation, name, and whether it takes any text."""
    document: Any = client.get("/api/v1/openapi.json").json
    named = {re.sub(r"{\w+}", "{}", endpoint): endpoint for endpoint in OPERATIONS}
    for path, item in document["paths"].items():
        for one in item.get("get", {}).get("parameters", []):
            if one.get("in") == "query":
                is_free = (
                    one["schema"].get("type") == "string" and not {"enum", "format"} & one["schema"].keys()
                )
                yield named[re.sub(r"{\w+}", "{}", f"GET {path}")], one["name"], is_free


def test_query_is_refused_or_plain_when_the_api_gets_sql(
    client: FlaskClient,
    token_headers: Callable[[User], dict[str, str]],
    staff: dict[Role, User],
    ids: dict[str, str],
    records: Records,
) -> None:
    headers = {role: token_headers(one) for role, one in staff.items()}
    parameters, payloads = list(query_parameters(client)), cycle(PAYLOADS)
    before = take_stock(records)
    for endpoint, name, is_free in parameters:
        others = {"rows": "gender", "columns": "age"} if "crosstab" in endpoint else {}
        for payload in PAYLOADS if is_free else (next(payloads), next(payloads)):

            def ask(endpoint: str = endpoint, query: Any = others | {name: payload}) -> TestResponse:
                return client.get(
                    address_of(endpoint, ids), query_string=query, headers=headers[role_for(endpoint)]
                )

            answer = hold_harmless(ask, (endpoint, name, payload))
            assert is_free or answer.status_code == 422, (endpoint, name, payload)
    for endpoint in {endpoint for endpoint, _, _ in parameters}:
        for name, payload in zip(NEVER_OFFERED, PAYLOADS, strict=True):
            answer = client.get(
                address_of(endpoint, ids), query_string={name: payload}, headers=headers[role_for(endpoint)]
            )
            assert name in answer.json["error"]["fields"], (endpoint, name)
    assert len(parameters) > 80
    assert take_stock(records) == before


def test_query_is_refused_or_plain_when_a_page_gets_sql(
    sign_in: Callable[[User], Browser], staff: dict[Role, User], ids: dict[str, str], records: Records
) -> None:
    clients = {role: sign_in(one).client for role, one in staff.items()}
    before, payloads = take_stock(records), cycle(PAYLOADS)
    for endpoint in PAGES:
        is_list = "{" not in endpoint or endpoint in ASKED_BY_LINKS
        if not endpoint.startswith("GET") or not is_list:
            continue
        client, address = clients[role_for(endpoint)], address_of(endpoint, ids)
        names = {*ASKED_BY_LINKS.get(endpoint, ()), *fields_on(client.get(address, buffered=True))}
        for name in sorted(names):
            query = {name: next(payloads)}
            hold_harmless(
                lambda a=address, q=query, c=client: c.get(a, query_string=q, buffered=True),
                (endpoint, query),
            )
        if names:
            query = dict(zip(NEVER_OFFERED, PAYLOADS, strict=True))
            hold_harmless(
                lambda a=address, q=query, c=client: c.get(a, query_string=q, buffered=True),
                (endpoint, query),
            )
    assert take_stock(records) == before


def fields_on(page: TestResponse) -> Iterator[str]:
    """The names of the fields of a page's forms that are sent in the address."""
    if page.mimetype != "text/html":
        return
    for form in BeautifulSoup(page.get_data(as_text=True), "html.parser").find_all("form"):
        if str(form.get("method", "get")).lower() == "get":
            for control in form.find_all(["input", "select"], attrs={"name": True}):
                yield str(control["name"])


def test_words_are_found_as_words_when_they_are_sql(
    client: FlaskClient, headers: dict[str, str], clinic: Clinic, ids: dict[str, str]
) -> None:
    for payload in ("' OR '1'='1", "%", "_", "\\", "' OR 1=1 -- ", "*"):
        answer = client.get("/api/v1/patients", query_string={"search": payload}, headers=headers)
        assert answer.status_code in (200, 422), payload
        if answer.status_code == 200:
            assert answer.json["items"] == [], payload


def test_address_is_not_there_when_an_id_is_sql(
    client: FlaskClient, headers: dict[str, str], browser: Browser, ids: dict[str, str]
) -> None:
    for payload in PAYLOADS:
        for address in (f"/api/v1/patients/{ids['patient']}{payload}", f"/api/v1/images/{payload}"):
            hold = hold_harmless(lambda a=address: client.get(a, headers=headers), address)
            assert hold.status_code == 404
        for address in (
            f"/patients/{payload}",
            f"/models/{payload}",
            f"/models/{ids['model']}/plots/{payload}",
        ):
            hold = hold_harmless(lambda a=address: browser.client.get(a), address)
            assert hold.status_code == 404


def test_form_stores_a_text_or_nothing_when_it_gets_sql(
    browser: Browser, ids: dict[str, str], records: Records
) -> None:
    token, payloads = csrf_token(browser.client), cycle(PAYLOADS)
    tables = take_stock(records).keys()
    for endpoint, form in FORMS.items():
        if role_for(endpoint) is not Role.CLINICIAN or endpoint.endswith("/merge"):
            continue
        for name in form:
            data = fill(form, ids) | {"csrf_token": token, name: next(payloads)}
            address = address_of(endpoint, ids)
            hold_harmless(lambda a=address, d=data: browser.client.post(a, data=d), (endpoint, name))
    assert take_stock(records).keys() == tables
