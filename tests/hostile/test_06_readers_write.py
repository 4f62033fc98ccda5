"""Hostile list 6: a reader writes, deletes, overrides the method."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, product

import pytest
from flask.testing import FlaskClient

from melanoma_app.models import Clinic, User
from melanoma_app.models.vocabulary import Role
from tests.api import error_of
from tests.browsing import Browser
from tests.factories import UserFactory
from tests.functional.test_borders import IN_GROUP, OPERATIONS, PAGES
from tests.hostile.doors import address_of, call_operation, csrf_token, use_page
from tests.hostile.stock import take_stock
from tests.records import Records

READERS = (Role.ANALYST, Role.NURSE)
"""The analyst reads numbers; the nurse writes records, but signs nothing, merges nothing, switches nothing."""
OVERRIDES = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "POST", "DELETE")


@pytest.fixture
def reader(clinic: Clinic, role: Role) -> User:
    return UserFactory(clinic=clinic, role=role)


def closed_to(role: Role, table: dict[str, str]) -> list[str]:
    return [endpoint for endpoint, group in table.items() if role not in IN_GROUP[group]]


@pytest.mark.parametrize("role", READERS)
def test_nothing_is_written_when_a_reader_sends_all_that_a_writer_would(
    client: FlaskClient,
    sign_in: Callable[[User], Browser],
    token_headers: Callable[[User], dict[str, str]],
    reader: User,
    role: Role,
    ids: dict[str, str],
    records: Records,
) -> None:
    pages, headers = sign_in(reader).client, token_headers(reader)
    token, before = csrf_token(pages), take_stock(records)

    for endpoint in closed_to(role, PAGES):
        assert use_page(pages, endpoint, ids, token=token).status_code == 403, endpoint
    for endpoint in closed_to(role, OPERATIONS):
        error_of(call_operation(client, endpoint, ids, headers), 403)

    assert take_stock(records) == before


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)  # it never gets so far
@pytest.mark.parametrize("role", [Role.ANALYST])
def test_method_is_the_one_that_was_sent_when_a_reader_overrides_it(
    client: FlaskClient,
    sign_in: Callable[[User], Browser],
    token_headers: Callable[[User], dict[str, str]],
    reader: User,
    role: Role,
    ids: dict[str, str],
    records: Records,
) -> None:
    pages, headers = sign_in(reader).client, token_headers(reader)
    data = {"csrf_token": csrf_token(pages)}
    addresses = {address_of(one, ids) for table in (PAGES, OPERATIONS) for one in closed_to(role, table)}
    readable = {
        address_of(one, ids)
        for one, group in (PAGES | OPERATIONS).items()
        if one.startswith("GET") and role in IN_GROUP[group]
    }
    before = take_stock(records)
    wishes = cycle(("DELETE", "PUT", "POST", "PATCH"))
    for address, method in product(sorted(addresses), METHODS):
        wanted = next(wishes)
        answer = (client if address.startswith("/api/") else pages).open(
            address,
            method=method,
            query_string={"_method": wanted},
            data=data | {"_method": wanted} if method == "POST" else None,
            headers=dict.fromkeys(OVERRIDES, wanted) | headers,
        )
        if method == "OPTIONS":
            assert answer.get_data() == b"", address
        elif address not in readable:
            assert answer.status_code in (403, 405), (method, address)
    assert take_stock(records) == before


@pytest.mark.parametrize("role", [Role.NURSE])
def test_reading_stays_reading_when_the_method_is_overridden(
    client: FlaskClient,
    token_headers: Callable[[User], dict[str, str]],
    reader: User,
    ids: dict[str, str],
    records: Records,
) -> None:
    headers, before = token_headers(reader), take_stock(records)
    for wanted in ("DELETE", "PUT", "POST"):
        answer = client.get(
            f"/api/v1/patients/{ids['patient']}?_method={wanted}",
            headers=headers | dict.fromkeys(OVERRIDES, wanted),
        )
        assert (answer.status_code, answer.json["id"]) == (200, ids["patient"])
    assert take_stock(records) == before
