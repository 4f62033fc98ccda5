"""Hostile list 20: object for scalar, NUL, lone surrogate, nesting a million deep: 4xx."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any, Final

import pytest
from flask.testing import FlaskClient

from melanoma_app.models import Clinic, User
from melanoma_app.models.vocabulary import Role
from tests.api import error_of
from tests.browsing import Browser
from tests.factories import UserFactory
from tests.functional.test_borders import BODIES, FORMS, IN_GROUP, OPERATIONS, PAGES
from tests.hostile.doors import address_of, csrf_token, fill
from tests.hostile.stock import take_stock
from tests.records import Records

MILLION: Final = 10**6
NO_OBJECT: Final = {
    "nothing": b"",
    "null": b"null",
    "true": b"true",
    "number": b"7",
    "text": b'"text"',
    "array": b"[]",
    "array of objects": b'[{"mrn": "x"}]',
    "unfinished": b'{"mrn": "x"',
    "two": b"{}{}",
    "comment": b"{} // x",
    "single quotes": b"{'mrn': 'x'}",
    "no UTF-8": b'{"mrn": "\xff\xfe"}',
    "UTF-16": '{"mrn": "x"}'.encode("utf-16"),
    "NUL": b'{"mrn": "x"}\x00',
    "deep arrays": b"[" * MILLION,
    "deep objects": b'{"a":' * MILLION,
    "deep and closed": b'{"place":' + b"[" * MILLION + b"]" * MILLION + b"}",
    "number of a million digits": b'{"version": ' + b"9" * MILLION + b"}",
    "NaN": b'{"version": NaN}',
    "endless": b'{"version": Infinity}',
}
"""Bodies that no operation takes: no JSON, no object, or nothing of it that is known."""
WRONG_FOR_ANY: Final[dict[str, str]] = {
    "object": "{}",
    "object in object": '{"$gt": ""}',
    "array": "[]",
    "array of one": '["x"]',
    "NUL": '"a\\u0000b"',
    "lone high surrogate": '"a\\ud800b"',
    "lone low surrogate": '"a\\udc00b"',
    "too large for any integer": "1" + "0" * 400,
    "beyond a float": "1e999",
    "below a float": "-1e999",
    "not a number": "NaN",
    "deep": "[" * 500 + "]" * 500,
}
"""Values that no field takes, as JSON."""
WRONG_SOMETIMES: Final = {
    "null": "null",
    "true": "true",
    "zero": "0",
    "minus": "-1",
    "large": "9223372036854775808",
    "fraction": "1e-400",
    "empty": '""',
    "long": json.dumps("x" * 100_000),
    "overriding": '"\\u202egnp.exe"',
    "emoji": '"\\ud83d\\ude00"',
}
OPTIONAL: Final = {
    "POST /api/v1/patients": ("fitzpatrick_skin_type", "consent_to_research"),
    "PUT /api/v1/patients/{patient}": ("birth_date_precision",),
    "POST /api/v1/patients/{patient}/lesions": ("description", "laterality", "place"),
    "PUT /api/v1/lesions/{lesion}": ("description",),
    "POST /api/v1/lesions/{lesion}/histopathology": ("breslow_thickness_mm",),
    "POST /api/v1/images/{image}/first-reads": ("note",),
    "POST /api/v1/images/{image}/checklists": ("seven_point",),
    "POST /api/v1/images/{image}/review": ("reason", "clinical_diagnosis", "due_on"),
    "PUT /api/v1/models/active": ("replaces",),
}
"""Fields that a body may leave out."""
TAKES_NOTHING: Final = ("POST /api/v1/patients/search",)
"""Operations that may be called without a body."""
TYPES: Final = (
    "text/html",
    "application/xml",
    "application/x-yaml",
    "image/jpeg",
    "text/json",
)
LONGEST_S: Final = 10.0


@pytest.fixture
def staff(clinic: Clinic, user: User) -> dict[Role, User]:
    return {Role.CLINICIAN: user, Role.ADMIN: UserFactory(clinic=clinic, role=Role.ADMIN)}


@pytest.fixture
def send(
    client: FlaskClient,
    token_headers: Callable[[User], dict[str, str]],
    staff: dict[Role, User],
    ids: dict[str, str],
) -> Callable[..., Any]:
    """Send bytes to an operation as somebody who may call it; gives the error, or None where it was taken."""
    headers = {role: token_headers(one) for role, one in staff.items()}

    def send_bytes(endpoint: str, data: bytes, content_type: str = "application/json") -> Any:
        allowed = IN_GROUP[OPERATIONS[endpoint]]
        started = time.monotonic()
        answer = client.open(
            address_of(endpoint, ids),
            method=endpoint.partition(" ")[0],
            data=data,
            content_type=content_type,
            headers=headers[Role.CLINICIAN if Role.CLINICIAN in allowed else Role.ADMIN],
        )
        assert time.monotonic() - started < LONGEST_S, endpoint
        assert answer.status_code < 500, (endpoint, data[:100])
        if answer.status_code < 400:
            return None
        assert len(answer.get_data()) < 100_000, (endpoint, data[:100])
        return error_of(answer, answer.status_code)

    return send_bytes


def with_value(body: dict[str, Any], name: str, value: str) -> bytes:
    """The body as JSON with one value replaced by some JSON."""
    marked = json.dumps(body | {name: "@@"})
    return marked.replace('"@@"', value).encode()


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)  # nothing of it gets so far
def test_body_is_refused_when_it_is_no_object_of_ours(
    send: Callable[..., Any], ids: dict[str, str], records: Records
) -> None:
    before = take_stock(records)
    for endpoint in BODIES:
        for kind, data in NO_OBJECT.items():
            may_be_empty = kind == "nothing" and endpoint in TAKES_NOTHING
            assert may_be_empty or send(endpoint, data) is not None, (endpoint, kind)
        for content_type in TYPES:
            data = json.dumps(fill(BODIES[endpoint], ids)).encode()
            assert send(endpoint, data, content_type) is not None, (endpoint, content_type)
    assert take_stock(records) == before


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)  # nothing of it gets so far
def test_body_is_refused_when_it_has_ten_megabytes_of_keys(
    send: Callable[..., Any], ids: dict[str, str], records: Records
) -> None:
    keys = [b'"key%d":0' % number for number in range(700_000)]
    before = take_stock(records)
    for endpoint in ("POST /api/v1/patients", "PUT /api/v1/patients/{patient}"):
        assert send(endpoint, b"{" + b",".join(keys) + b"}")["code"] == "too_large"
        assert send(endpoint, b"{" + b",".join(keys[:50_000]) + b"}")["code"] == "invalid"
        assert send(endpoint, b'{"' + b"k" * 900_000 + b'": 0}')["code"] == "invalid"
    assert take_stock(records) == before


def test_value_is_refused_when_no_field_could_take_it(
    send: Callable[..., Any], ids: dict[str, str], records: Records
) -> None:
    before = take_stock(records)
    for endpoint, body in BODIES.items():
        names = [*body, *OPTIONAL.get(endpoint, ())]
        for name in names:
            for kind, value in WRONG_FOR_ANY.items():
                refusal = send(endpoint, with_value(fill(body, ids), name, value))
                assert refusal is not None, (endpoint, name, kind)
    assert take_stock(records) == before


def test_value_breaks_nothing_when_it_is_strange(send: Callable[..., Any], ids: dict[str, str]) -> None:
    values = cycle(WRONG_SOMETIMES.values())
    for endpoint, body in BODIES.items():
        if endpoint.endswith("/merge"):
            continue
        for name in (*body, *OPTIONAL.get(endpoint, ())):
            for value in islice(values, 3):
                send(endpoint, with_value(fill(body, ids), name, value))


def test_form_breaks_nothing_when_a_value_is_no_text(
    browser: Browser, ids: dict[str, str], records: Records
) -> None:
    token = csrf_token(browser.client)
    values = cycle((b"a%00b", b"a%ED%A0%80b", b"%FF%FE", b"9" * 400, b"NaN", b"1e999", b"x" * 100_000))
    for endpoint, form in FORMS.items():
        if Role.CLINICIAN not in IN_GROUP[PAGES[endpoint]] or endpoint.endswith("/merge"):
            continue
        filled = fill(form, ids)
        for name in form:
            for value in islice(values, 2):
                others = {one: text for one, text in filled.items() if one != name}
                pairs = [f"{one}={text}".encode() for one, text in ({"csrf_token": token} | others).items()]
                body = b"&".join([*pairs, name.encode() + b"=" + value])
                answer = browser.client.post(
                    address_of(endpoint, ids), data=body, content_type="application/x-www-form-urlencoded"
                )
                assert answer.status_code < 500, (endpoint, name, value[:20])
    stored = [row for rows in take_stock(records).values() for row in rows]
    assert not [row for row in stored if "\\x00" in row or "\\ud800" in row]


def test_query_breaks_nothing_when_it_is_no_text(
    client: FlaskClient, headers: dict[str, str], browser: Browser, ids: dict[str, str]
) -> None:
    for text in ("a%00b", "a%ED%A0%80b", "%FF%FE", "9" * 400, "x" * 8000, "%F0%9F%98%80"):
        for address in (
            f"/api/v1/patients?search={text}",
            f"/api/v1/patients?cursor={text}",
            f"/api/v1/patients?size={text}",
            f"/api/v1/patients?{text}=1",
            f"/api/v1/statistics/outcomes?model={text}",
            f"/api/v1/statistics/age?age_min={text}",
        ):
            answer = client.get(address, headers=headers)
            assert answer.status_code < 500, address
        for address in (
            f"/patients?search={text}",
            f"/examinations?model={text}",
            f"/examinations?cursor={text}",
            f"/worklist?cursor={text}",
            f"/worklist/next?after={text}",
            f"/models/{text}",
            f"/lesions/{ids['lesion']}/compare?left={text}",
        ):
            assert browser.client.get(address).status_code < 500, address
