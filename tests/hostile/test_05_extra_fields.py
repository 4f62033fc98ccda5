"""Hostile list 5: extra fields `role`, `clinic_id`, `is_admin`."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from melanoma_app.models import Base, Clinic, Patient, User
from melanoma_app.models.vocabulary import Role
from tests.api import PATIENT, error_of
from tests.browsing import Browser
from tests.factories import UserFactory
from tests.functional.test_borders import BODIES, FORMS, IN_GROUP, OPERATIONS, PAGES
from tests.hostile.doors import call_operation, csrf_token, fill, use_page
from tests.hostile.stock import take_stock
from tests.records import Records

PLANTED_ID = "5eed5eed-5eed-4eed-9eed-5eed5eed5eed"
PLANTED_NUMBER = 999_999
EXTRA: dict[str, Any] = {
    "role": "admin",
    "is_admin": True,
    "is_active": False,
    "id": PLANTED_NUMBER,
    "public_id": PLANTED_ID,
    "created_by": PLANTED_NUMBER,
    "created_by_id": PLANTED_NUMBER,
    "signed_by_id": PLANTED_NUMBER,
    "recorded_by_id": PLANTED_NUMBER,
    "permissions": ["users:manage"],
    "__class__": "User",
    "constructor": "x",
}
VERSIONS = (
    0,
    -1,
    2,
    2**31,
    2**64,
    -(2**64),
    "x",
    "1; DROP TABLE patient",
    1.5,
    "1.5",
    None,
    [1],
    {"$gt": 0},
    "",
)


@pytest.fixture
def staff(clinic: Clinic, user: User) -> dict[Role, User]:
    """Two who together may use every page and operation."""
    return {Role.CLINICIAN: user, Role.ADMIN: UserFactory(clinic=clinic, role=Role.ADMIN)}


def role_for(endpoint: str) -> Role:
    allowed = IN_GROUP[(PAGES | OPERATIONS)[endpoint]]
    return Role.CLINICIAN if Role.CLINICIAN in allowed else Role.ADMIN


def accounts(records: Records) -> dict[uuid.UUID, tuple[Role, int, bool]]:
    """What each account may be, where, and whether it is on."""
    return {one.public_id: (one.role, one.clinic_id, one.is_active) for one in records.all(User)}


def foreign_rows(records: Records, clinic: Clinic) -> dict[str, int]:
    """How many rows of another clinic each table has."""
    with records.engine.connect() as connection:
        return {
            table.name: len(connection.execute(select(table).where(table.c.clinic_id == clinic.id)).all())
            for table in Base.metadata.sorted_tables
            if "clinic_id" in table.c
        }


def test_body_is_refused_by_field_when_it_says_more_than_is_asked(
    client: FlaskClient,
    token_headers: Callable[[User], dict[str, str]],
    staff: dict[Role, User],
    outsider: User,
    ids: dict[str, str],
    records: Records,
) -> None:
    headers = {role: token_headers(one) for role, one in staff.items()}
    extra, before = EXTRA | {"clinic_id": outsider.clinic.id}, take_stock(records)
    for endpoint in (*BODIES, "POST /api/v1/lesions/{lesion}/images"):
        answer = call_operation(client, endpoint, ids, headers[role_for(endpoint)], **extra)
        asked = BODIES.get(endpoint, {}).keys()
        assert error_of(answer, 422)["fields"].keys() == extra.keys() - asked, endpoint
    assert take_stock(records) == before


def test_nested_field_is_refused_when_it_is_unknown(
    client: FlaskClient, headers: dict[str, str], ids: dict[str, str], records: Records
) -> None:
    before = take_stock(records)
    for address, body in (
        (f"/api/v1/patients/{ids['patient']}/lesions", {"place": {"view": "front", "x": 0.5, "y": 0.5}}),
        (f"/api/v1/images/{ids['image']}/checklists", BODIES["POST /api/v1/images/{image}/checklists"]),
    ):
        ((name, inner),) = body.items()
        answer = client.post(address, json={name: {**inner, "clinic_id": 1}}, headers=headers)
        assert error_of(answer, 422)["fields"] == {name: {"clinic_id": ["Unknown field."]}}
    assert take_stock(records) == before


def test_form_stores_nothing_of_it_when_it_says_more_than_is_asked(
    sign_in: Callable[[User], Browser],
    staff: dict[Role, User],
    outsider: User,
    ids: dict[str, str],
    records: Records,
) -> None:
    clients = {role: sign_in(one).client for role, one in staff.items()}
    tokens = {role: csrf_token(one) for role, one in clients.items()}
    extra = EXTRA | {"clinic_id": outsider.clinic.id, "clinic": str(outsider.clinic.public_id)}
    users, foreign = accounts(records), foreign_rows(records, outsider.clinic)
    for endpoint, form in FORMS.items():
        role = role_for(endpoint)
        more = {name: value for name, value in extra.items() if name not in form}
        answer = use_page(clients[role], endpoint, ids, token=tokens[role], **more)
        assert answer.status_code < 500, endpoint
    after = take_stock(records)
    rows = [row for table, one in after.items() if table != "user" for row in one]
    assert not [row for row in rows if str(PLANTED_NUMBER) in row or PLANTED_ID.replace("-", "") in row]
    assert not [row for row in rows if PLANTED_ID in row]
    assert users.items() <= accounts(records).items()
    assert foreign_rows(records, outsider.clinic) == foreign


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_account_keeps_role_and_clinic_when_the_sign_in_form_says_more(
    client: FlaskClient, outsider: User, user: User, records: Records
) -> None:
    data = {
        "username": user.username,
        "password": "correct horse battery",
        "csrf_token": csrf_token(client),
        **EXTRA,
        "clinic_id": outsider.clinic.id,
        "user_id": str(outsider.public_id),
        "_user_id": str(outsider.public_id),
    }
    assert client.post("/sign-in", data=data).status_code == 302

    page = Browser(client).open("/")
    known = records.one(User, User.public_id == user.public_id)

    assert user.display_name in page.text
    assert outsider.display_name not in page.text
    assert (known.role, known.clinic_id, known.is_active) == (user.role, user.clinic_id, True)


def test_patient_stays_when_the_version_is_a_trick(
    client: FlaskClient, headers: dict[str, str], browser: Browser, ids: dict[str, str], records: Records
) -> None:
    patient = records.one(Patient, Patient.public_id == uuid.UUID(ids["patient"]))
    form, token = fill(FORMS["POST /patients/{patient}/edit"], ids), csrf_token(browser.client)
    for version in VERSIONS:
        body = PATIENT | {"version": version}
        called = client.put(f"/api/v1/patients/{ids['patient']}", json=body, headers=headers)
        assert called.status_code in (409, 422), version
        data = form | {"csrf_token": token, "version": str(version)}
        sent = browser.client.post(f"/patients/{ids['patient']}/edit", data=data)
        assert sent.status_code == 422, version

    after = records.one(Patient, Patient.public_id == uuid.UUID(ids["patient"]))
    assert (after.version, after.family_name) == (patient.version, patient.family_name)
