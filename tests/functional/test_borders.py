"""The borders between clinics, and between roles: what one may not know of is not there."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from http import HTTPStatus

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from melanoma_app.model_shelf import PLOTS
from melanoma_app.models import Clinic, Lesion, LesionImage, Patient, Prediction, User
from melanoma_app.models.checklist import ABCDE
from melanoma_app.models.vocabulary import Role
from tests.api import PATIENT, error_of, send_image
from tests.browsing import Browser
from tests.factories import PASSWORD, LesionFactory, PatientMergeFactory, ReviewFactory, UserFactory, session
from tests.records import Records

PAGES = {
    "GET /": "everybody",
    "GET /api-docs": "everybody",
    "GET /crosstab": "everybody",
    "GET /statistics.csv": "everybody",
    "GET /patients": "staff",
    "GET /examinations": "staff",
    "GET /worklist": "staff",
    "GET /worklist/next": "staff",
    "GET /patients.csv": "exporters",
    "GET /examinations.csv": "exporters",
    "GET /worklist.csv": "exporters",
    "GET /models": "everybody",
    "GET /models/{model}": "everybody",
    "GET /models/{model}/plots/{plot}": "everybody",
    "POST /models/{model}": "administrators",
    "GET /patients/new": "staff",
    "POST /patients/new": "staff",
    "POST /patients/check": "staff",
    "GET /patients/{patient}": "staff",
    "GET /patients/{patient}/edit": "staff",
    "POST /patients/{patient}/edit": "staff",
    "POST /patients/{patient}/consents": "staff",
    "GET /patients/{patient}/merge": "exporters",
    "POST /patients/{patient}/merge": "exporters",
    "POST /merges/{merge}/revert": "exporters",
    "POST /patients/{patient}/lesions": "staff",
    "GET /lesions/{lesion}/edit": "staff",
    "POST /lesions/{lesion}/edit": "staff",
    "GET /lesions/{lesion}": "staff",
    "GET /lesions/{lesion}/compare": "staff",
    "POST /lesions/{lesion}/histopathology": "staff",
    "GET /lesions/{lesion}/images/new": "staff",
    "POST /lesions/{lesion}/images/new": "staff",
    "GET /predictions/{prediction}": "staff",
    "GET /predictions/{prediction}/heat-map": "staff",
    "GET /examinations/{image}": "staff",
    "POST /examinations/{image}/score": "staff",
    "GET /examinations/{image}/report": "staff",
    "GET /examinations/{image}/report.pdf": "staff",
    "POST /examinations/{image}/review": "clinicians",
    "POST /reviews/{review}/addenda": "clinicians",
    "GET /images/{image}": "staff",
    "GET /images/{image}/thumbnail": "staff",
    "GET /examinations/{image}/first-read": "clinicians",
    "POST /examinations/{image}/first-read": "clinicians",
    "POST /examinations/{image}/checklist": "staff",
    "GET /patients/{patient}/fhir.json": "exporters",
    "POST /sign-out": "everybody",  # last: it ends the session
}
OPERATIONS = {
    "GET /api/v1/patients": "staff",
    "POST /api/v1/patients": "staff",
    "GET /api/v1/patients/{patient}": "staff",
    "PUT /api/v1/patients/{patient}": "staff",
    "GET /api/v1/patients/{patient}/timeline": "staff",
    "GET /api/v1/patients/{patient}/consents": "staff",
    "POST /api/v1/patients/{patient}/consents": "staff",
    "GET /api/v1/patients/{patient}/fhir": "exporters",
    "POST /api/v1/patients/{patient}/merge": "exporters",
    "POST /api/v1/merges/{merge}/revert": "exporters",
    "POST /api/v1/patients/{patient}/lesions": "staff",
    "PUT /api/v1/lesions/{lesion}": "staff",
    "GET /api/v1/lesions/{lesion}/history": "staff",
    "GET /api/v1/lesions/{lesion}/comparison": "staff",
    "GET /api/v1/lesions/{lesion}/histopathology": "staff",
    "POST /api/v1/lesions/{lesion}/histopathology": "staff",
    "POST /api/v1/lesions/{lesion}/images": "staff",
    "GET /api/v1/images/{image}": "staff",
    "GET /api/v1/images/{image}/file": "staff",
    "GET /api/v1/images/{image}/thumbnail": "staff",
    "POST /api/v1/images/{image}/predictions": "staff",
    "GET /api/v1/images/{image}/report": "staff",
    "POST /api/v1/images/{image}/first-reads": "clinicians",
    "POST /api/v1/images/{image}/checklists": "staff",
    "POST /api/v1/images/{image}/review": "clinicians",
    "POST /api/v1/reviews/{review}/addenda": "clinicians",
    "GET /api/v1/predictions/{prediction}": "staff",
    "GET /api/v1/predictions/{prediction}/heat-map": "staff",
    "GET /api/v1/worklist": "staff",
    "GET /api/v1/models": "everybody",
    "PUT /api/v1/models/active": "administrators",
    "GET /api/v1/statistics/gender": "everybody",
    "GET /api/v1/statistics/age": "everybody",
    "GET /api/v1/statistics/outcomes": "everybody",
    "GET /api/v1/statistics/trend": "everybody",
    "GET /api/v1/statistics/sites": "everybody",
    "GET /api/v1/statistics/skin-types": "everybody",
    "GET /api/v1/statistics/models": "everybody",
    "GET /api/v1/statistics/agreement": "everybody",
    "GET /api/v1/statistics/crosstab": "everybody",
}
BODIES = {
    "PUT /api/v1/patients/{patient}": PATIENT | {"version": 1},
    "POST /api/v1/patients/{patient}/consents": {"purpose": "research", "is_given": True},
    "POST /api/v1/patients/{patient}/merge": {"merged_patient_id": str(uuid.uuid4()), "reason": "x"},
    "POST /api/v1/patients/{patient}/lesions": {"anatom_site_general": "head/neck"},
    "PUT /api/v1/lesions/{lesion}": {"anatom_site_general": "head/neck"},
    "POST /api/v1/lesions/{lesion}/histopathology": {
        "diagnosis": "Naevus",
        "outcome": "benign",
        "reported_on": "2026-01-01",
    },
    "POST /api/v1/images/{image}/first-reads": {"impression": "benign"},
    "POST /api/v1/images/{image}/checklists": {"abcde": dict.fromkeys(ABCDE, False)},
    "POST /api/v1/images/{image}/review": {
        "prediction_id": None,
        "conclusion": "benign",
        "plan": "reassure",
    },
    "POST /api/v1/reviews/{review}/addenda": {"text": "x"},
}
"""What the operations take that take anything; a photograph is sent by `send_image`."""
PUBLIC = {"GET /sign-in", "POST /sign-in", "GET /api/v1/openapi.json", "GET /static/{}"}
IN_GROUP = {
    "everybody": {Role.ADMIN, Role.CLINICIAN, Role.NURSE, Role.ANALYST},
    "staff": {Role.ADMIN, Role.CLINICIAN, Role.NURSE},
    "clinicians": {Role.CLINICIAN},
    "exporters": {Role.ADMIN, Role.CLINICIAN},
    "administrators": {Role.ADMIN},
}


@pytest.fixture
def ids(
    client: FlaskClient,
    headers: dict[str, str],
    clinic: Clinic,
    user: User,
    records: Records,
    photograph: bytes,
) -> dict[str, str]:
    """The public ids of one record of each kind in the clinic, and the model that scored it."""
    lesion = LesionFactory(patient__clinic=clinic)
    answer = send_image(client, lesion.public_id, headers, photograph).json
    prediction, image = session.scalars(select(Prediction)).one(), session.scalars(select(LesionImage)).one()
    review = ReviewFactory(prediction=prediction, lesion_image=image, signed_by=user)
    model = answer["prediction"]["model"]
    return {
        "patient": answer["patient_id"],
        "lesion": answer["lesion_id"],
        "image": answer["id"],
        "prediction": answer["prediction"]["id"],
        "review": str(review.public_id),
        "merge": str(PatientMergeFactory(kept__clinic=clinic).public_id),
        "model": f"{model['name']}-{model['version']}",
        "plot": next(iter(PLOTS)),
    }


def test_every_endpoint_stands_in_the_table_when_one_is_added(app: Flask) -> None:
    offered = {
        f"{method} {re.sub('<[^>]+>', '{}', rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert offered - PUBLIC == {re.sub(r"{\w+}", "{}", one) for one in (*PAGES, *OPERATIONS)}


@pytest.mark.parametrize("role", Role)
def test_role_opens_exactly_the_pages_of_the_table_when_signed_in(
    sign_in: Callable[[User], Browser], clinic: Clinic, ids: dict[str, str], role: Role
) -> None:
    browser = sign_in(UserFactory(clinic=clinic, role=role))
    opened = {}
    for endpoint in PAGES:
        method, _, address = endpoint.partition(" ")
        address = address.format(**ids)
        response = browser.client.get(address) if method == "GET" else browser.post(address)
        assert response.status_code not in (400, 404, 405, 500), endpoint
        opened[endpoint] = response.status_code != HTTPStatus.FORBIDDEN

    assert opened == {endpoint: role in IN_GROUP[group] for endpoint, group in PAGES.items()}


@pytest.mark.parametrize("role", Role)
def test_role_calls_exactly_the_operations_of_the_table_when_its_token_is_sent(
    client: FlaskClient,
    token_headers: Callable[[User], dict[str, str]],
    clinic: Clinic,
    ids: dict[str, str],
    role: Role,
) -> None:
    headers = token_headers(UserFactory(clinic=clinic, role=role))
    opened = {}
    for endpoint in OPERATIONS:
        method, _, address = endpoint.partition(" ")
        response = client.open(address.format(**ids), method=method, headers=headers)
        assert response.status_code not in (401, 404, 405, 500), endpoint
        opened[endpoint] = response.status_code != HTTPStatus.FORBIDDEN
        if not opened[endpoint]:
            assert role.value in error_of(response, HTTPStatus.FORBIDDEN)["message"]

    assert opened == {endpoint: role in IN_GROUP[group] for endpoint, group in OPERATIONS.items()}


def test_stranger_is_sent_to_sign_in_when_opening_any_page(client: FlaskClient, ids: dict[str, str]) -> None:
    for endpoint in PAGES:
        method, _, address = endpoint.partition(" ")
        token = Browser(client).open("/sign-in").form().find("input", attrs={"name": "csrf_token"})["value"]
        data = {"csrf_token": token} if method == "POST" else None
        response = client.open(address.format(**ids), method=method, data=data)
        assert response.status_code == 302, endpoint
        assert response.headers["Location"].startswith("/sign-in?next="), endpoint


def test_stranger_is_unknown_when_calling_any_operation(client: FlaskClient, ids: dict[str, str]) -> None:
    for endpoint in OPERATIONS:
        method, _, address = endpoint.partition(" ")
        error_of(client.open(address.format(**ids), method=method), HTTPStatus.UNAUTHORIZED)


def test_stranger_learns_nothing_of_ids_when_they_exist_or_not(
    client: FlaskClient, ids: dict[str, str]
) -> None:
    known = client.get(f"/api/v1/patients/{ids['patient']}")
    unknown = client.get("/api/v1/patients/5d0f7f0e-6c5b-4d5f-9a62-0f5a4a1f0c11")

    assert known.status_code == unknown.status_code == 401
    assert known.json["error"]["message"] == unknown.json["error"]["message"]


def test_pages_of_the_analyst_link_to_no_patient_when_there_are_some(
    sign_in: Callable[[User], Browser], clinic: Clinic, ids: dict[str, str]
) -> None:
    page = sign_in(UserFactory(clinic=clinic, role=Role.ANALYST)).open("/")

    assert not [link for link in page.links() if "patient" in link or "/predictions" in link]
    assert page.status == 200


class TestAnotherClinic:
    def test_records_are_not_there_when_opened_by_page(
        self, sign_in: Callable[[User], Browser], outsider: User, ids: dict[str, str]
    ) -> None:
        browser = sign_in(outsider)
        for endpoint in (one for one in PAGES if "{" in one and "{model}" not in one):
            method, _, address = endpoint.partition(" ")
            address = address.format(**ids)
            response = browser.client.get(address) if method == "GET" else browser.post(address)
            assert response.status_code == 404, endpoint

    def test_records_are_not_there_when_called_over_rest(
        self,
        client: FlaskClient,
        token_headers: Callable[[User], dict[str, str]],
        outsider: User,
        ids: dict[str, str],
        records: Records,
        photograph: bytes,
    ) -> None:
        headers = token_headers(outsider)

        for endpoint in (one for one in OPERATIONS if "{" in one and not one.endswith("/images")):
            method, _, address = endpoint.partition(" ")
            body = BODIES.get(endpoint)
            response = client.open(address.format(**ids), method=method, json=body, headers=headers)
            error_of(response, HTTPStatus.NOT_FOUND)
        error_of(send_image(client, ids["lesion"], headers, photograph), HTTPStatus.NOT_FOUND)
        assert records.count(Lesion) == records.count(LesionImage) == 1

    def test_edit_changes_nothing_when_sent_by_page(
        self, sign_in: Callable[[User], Browser], outsider: User, ids: dict[str, str], records: Records
    ) -> None:
        is_theirs = Patient.public_id == uuid.UUID(ids["patient"])
        before = records.one(Patient, is_theirs)

        response = sign_in(outsider).post(
            f"/patients/{ids['patient']}/edit",
            mrn="X",
            family_name="X",
            given_name="X",
            birth_date="1990-01-01",
            gender="male",
            birth_date_precision="exact",
            version="1",
        )

        assert response.status_code == 404
        after = records.one(Patient, is_theirs)
        assert (after.family_name, after.version) == (before.family_name, before.version)

    @pytest.mark.parametrize("address", ["/patients", "/examinations", "/"])
    def test_lists_are_empty_when_only_the_other_clinic_has_records(
        self, sign_in: Callable[[User], Browser], outsider: User, ids: dict[str, str], address: str
    ) -> None:
        page = sign_in(outsider).open(address)

        assert not [link for link in page.links() if any(one in link for one in ids.values())]

    def test_numbers_are_zero_when_only_the_other_clinic_has_records(
        self,
        client: FlaskClient,
        token_headers: Callable[[User], dict[str, str]],
        outsider: User,
        ids: dict[str, str],
        records: Records,
    ) -> None:
        headers = token_headers(outsider)

        assert client.get("/api/v1/patients", headers=headers).json["items"] == []
        for kind in ("gender", "age", "outcomes"):
            groups = client.get(f"/api/v1/statistics/{kind}", headers=headers).json["groups"]
            assert {group["total"] for group in groups} == {0}
        assert records.count(Prediction) == 1

    def test_mrn_may_be_the_same_when_registered_elsewhere(
        self,
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


def test_token_opens_nothing_more_when_its_owners_role_changes(
    client: FlaskClient, headers: dict[str, str], user: User, records: Records
) -> None:
    records.execute("UPDATE `user` SET role = 'analyst' WHERE id = :id", id=user.id)

    error_of(client.get("/api/v1/patients", headers=headers), HTTPStatus.FORBIDDEN)
    assert client.get("/api/v1/statistics/age", headers=headers).status_code == 200


def test_password_opens_no_operation_when_sent_as_basic(client: FlaskClient, user: User) -> None:
    response = client.get("/api/v1/patients", auth=(user.username, PASSWORD))

    error_of(response, HTTPStatus.UNAUTHORIZED)
