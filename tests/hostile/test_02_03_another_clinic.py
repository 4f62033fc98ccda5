"""Hostile list 2 and 3: another clinic's patient, image, thumbnail, prediction, PDF, CSV by any id → 404."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from http import HTTPStatus

import pytest
from flask.testing import FlaskClient

from melanoma_app.models import AuditEvent, Clinic, Patient, User
from melanoma_app.models.vocabulary import AuditAction, Role
from tests.api import PATIENT, error_of
from tests.browsing import Browser
from tests.factories import UserFactory
from tests.functional.test_borders import IN_GROUP, OPERATIONS, PAGES
from tests.hostile.doors import OF_A_RECORD, call_operation, csrf_token, use_page
from tests.hostile.stock import take_stock
from tests.records import Records

PAGES_OF_A_RECORD = [one for one in OF_A_RECORD if one in PAGES]
OPERATIONS_OF_A_RECORD = [one for one in OF_A_RECORD if one in OPERATIONS]
EXPORTS = ("/patients.csv", "/examinations.csv", "/worklist.csv")
LISTS = ("/", "/patients", "/examinations", "/worklist", "/crosstab", *EXPORTS)


@pytest.fixture
def strangers(records: Records) -> list[User]:
    """Two of another clinic who together may do all that a role may: a clinician, and an administrator."""
    clinician = UserFactory(role=Role.CLINICIAN)
    return [clinician, UserFactory(role=Role.ADMIN, clinic=clinician.clinic)]


def allowed(endpoint: str, user: User) -> bool:
    return user.role in IN_GROUP[(PAGES | OPERATIONS)[endpoint]]


def list_refusals(records: Records, user: User) -> list[tuple[str, str]]:
    """What the user was refused, as the audit has it: the id asked for, and the status."""
    entries = records.all(
        AuditEvent,
        AuditEvent.action == AuditAction.ACCESS_REFUSED,
        AuditEvent.actor_public_id == user.public_id,
    )
    return [(str(one.subject_public_id), str(one.details["status"])) for one in entries]


def id_in(endpoint: str, ids: dict[str, str]) -> str:
    return ids[endpoint.partition("{")[2].partition("}")[0]]


def test_record_is_not_there_when_another_clinic_opens_its_pages(
    sign_in: Callable[[User], Browser], strangers: list[User], ids: dict[str, str], records: Records
) -> None:
    for user in strangers:
        client = sign_in(user).client
        token, before = csrf_token(client), take_stock(records)
        asked = [one for one in PAGES_OF_A_RECORD if allowed(one, user)]
        for endpoint in asked:
            answer = use_page(client, endpoint, ids, token=token)
            assert answer.status_code == 404, endpoint
        assert take_stock(records) == before
        assert list_refusals(records, user) == [(id_in(one, ids), "404") for one in asked]


def test_record_is_not_there_when_another_clinic_calls_its_operations(
    client: FlaskClient,
    token_headers: Callable[[User], dict[str, str]],
    strangers: list[User],
    ids: dict[str, str],
    records: Records,
) -> None:
    for user in strangers:
        headers, before = token_headers(user), take_stock(records)
        asked = [one for one in OPERATIONS_OF_A_RECORD if allowed(one, user)]
        for endpoint in asked:
            error_of(call_operation(client, endpoint, ids, headers), HTTPStatus.NOT_FOUND)
        assert take_stock(records) == before
        assert list_refusals(records, user) == [(id_in(one, ids), "404") for one in asked]


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_same_requests_are_answered_when_they_come_from_the_own_clinic(
    client: FlaskClient,
    sign_in: Callable[[User], Browser],
    headers: dict[str, str],
    user: User,
    ids: dict[str, str],
) -> None:
    """Else the 404s above could be those of a body that is wrong in another way."""
    page_client = sign_in(user).client
    token = csrf_token(page_client)
    last = ("merge", "erase")  # what takes records away from the rest
    endpoints = sorted(OF_A_RECORD, key=lambda one: any(word in one for word in last))
    for endpoint in endpoints:
        if not allowed(endpoint, user):
            continue
        if endpoint in PAGES:
            answer = use_page(page_client, endpoint, ids, token=token)
        else:
            answer = call_operation(client, endpoint, ids, headers)
        good = (200, 201, 302, 303, 409, *([422] if "compar" in endpoint else []))  # there is one photograph
        assert answer.status_code in good, (endpoint, answer.get_data(as_text=True))


def test_lists_and_files_name_nobody_when_only_another_clinic_has_records(
    sign_in: Callable[[User], Browser], strangers: list[User], ids: dict[str, str], records: Records
) -> None:
    is_theirs = Patient.public_id == uuid.UUID(ids["patient"])
    records.change(Patient, is_theirs, family_name="Onyekachukwu")  # no stranger's own name by chance
    theirs = records.one(Patient, is_theirs)
    for user in strangers:
        client = sign_in(user).client
        for address in LISTS:
            text = client.get(address, buffered=True).get_data(as_text=True)
            shown = [one for one in (theirs.family_name, theirs.mrn, *ids.values()) if one in text]
            assert set(shown) <= {ids["model"], ids["plot"]}, address


def test_page_of_a_list_is_not_told_when_the_cursor_is_another_clinics(
    client: FlaskClient,
    clinic: Clinic,
    headers: dict[str, str],
    token_headers: Callable[[User], dict[str, str]],
    outsider: User,
    ids: dict[str, str],
) -> None:
    cursor = client.get("/api/v1/patients?size=1", headers=headers).json["next_cursor"]

    answer = client.get("/api/v1/patients", query_string={"cursor": cursor}, headers=token_headers(outsider))

    assert cursor
    assert answer.status_code != 200 or answer.json["items"] == []


def test_numbers_are_zero_when_only_another_clinic_has_records(
    client: FlaskClient,
    token_headers: Callable[[User], dict[str, str]],
    outsider: User,
    ids: dict[str, str],
) -> None:
    headers = token_headers(outsider)

    assert client.get("/api/v1/patients", headers=headers).json["items"] == []
    for kind in ("gender", "age", "outcomes"):
        groups = client.get(f"/api/v1/statistics/{kind}", headers=headers).json["groups"]
        assert {group["total"] for group in groups} == {0}


def test_mrn_may_be_the_same_when_registered_elsewhere(
    client: FlaskClient,
    headers: dict[str, str],
    token_headers: Callable[[User], dict[str, str]],
    outsider: User,
) -> None:
    statuses = [
        client.post("/api/v1/patients", json=PATIENT, headers=one).status_code
        for one in (headers, token_headers(outsider))
    ]

    assert statuses == [201, 201]
