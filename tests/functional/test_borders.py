"""The borders between clinics, and between roles: what one may not know of is not there."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus

import pytest
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import Clinic, User
from melanoma_app.models.checklist import ABCDE
from melanoma_app.models.vocabulary import Role
from melanoma_app.security.authentication import PERMISSION_ATTRIBUTE
from melanoma_app.security.permissions import Permission
from tests.api import PATIENT, error_of
from tests.browsing import Browser
from tests.factories import PASSWORD, ApiTokenFactory, UploadFactory, UserFactory, UserSessionFactory
from tests.records import Records

PAGES = {
    "GET /": "everybody",
    "GET /api-docs": "everybody",
    "GET /crosstab": "everybody",
    "GET /statistics.csv": "everybody",
    "GET /patients": "staff",
    "POST /patients/search": "staff",
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
    "GET /jobs": "staff",
    "POST /jobs": "administrators",
    "GET /jobs/{job}": "administrators",
    "GET /jobs/{job}/progress": "administrators",
    "POST /jobs/{job}/cancel": "administrators",
    "POST /jobs/{job}/retry": "administrators",
    "GET /uploads/new": "staff",
    "POST /uploads": "staff",
    "POST /uploads/{own_upload}/photographs": "staff",
    "POST /uploads/{own_upload}/wanted": "staff",
    "POST /uploads/{own_upload}/begin": "staff",
    "GET /patients/new": "staff",
    "POST /patients/new": "staff",
    "POST /patients/check": "staff",
    "GET /patients/{patient}": "staff",
    "GET /patients/{patient}/edit": "staff",
    "POST /patients/{patient}/edit": "staff",
    "POST /patients/{patient}/consents": "staff",
    "GET /patients/{patient}/merge": "exporters",
    "POST /patients/{patient}/merge": "exporters",
    "POST /patients/{patient}/merge/search": "exporters",
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
    "GET /patients/{patient}/export.zip": "exporters",
    "GET /patients/{patient}/erase": "administrators",
    "POST /patients/{patient}/erase": "administrators",
    "GET /research": "administrators",
    "POST /research": "administrators",
    "GET /audit": "administrators",
    "POST /audit": "administrators",
    "GET /audit.csv": "administrators",
    "POST /audit/verify": "administrators",
    "GET /account": "everybody",
    "POST /account/password": "everybody",
    "POST /account/sessions/{own_session}/end": "everybody",
    "POST /account/sessions/end-others": "everybody",
    "GET /account/second-factor": "everybody",
    "POST /account/second-factor": "everybody",
    "POST /account/second-factor/confirm": "everybody",
    "POST /account/second-factor/codes": "everybody",
    "POST /account/second-factor/remove": "everybody",
    "GET /account/tokens": "everybody",
    "POST /account/tokens": "everybody",
    "POST /account/tokens/{own_token}/revoke": "everybody",
    "GET /users": "administrators",
    "GET /users/new": "administrators",
    "POST /users/new": "administrators",
    "GET /users/{colleague}": "administrators",
    "POST /users/{colleague}": "administrators",
    "POST /users/{colleague}/link": "administrators",
    "POST /users/{colleague}/clear-second-factor": "administrators",
    "POST /users/{colleague}/disable": "administrators",
    "POST /users/{colleague}/enable": "administrators",
    "GET /clinic": "administrators",
    "POST /clinic": "administrators",
    "POST /sign-out": "everybody",  # last: it ends the session
}
OPERATIONS = {
    "GET /api/v1/patients": "staff",
    "POST /api/v1/patients": "staff",
    "POST /api/v1/patients/search": "staff",
    "GET /api/v1/patients/{patient}": "staff",
    "PUT /api/v1/patients/{patient}": "staff",
    "GET /api/v1/patients/{patient}/timeline": "staff",
    "GET /api/v1/patients/{patient}/consents": "staff",
    "POST /api/v1/patients/{patient}/consents": "staff",
    "GET /api/v1/patients/{patient}/fhir": "exporters",
    "GET /api/v1/patients/{patient}/export": "exporters",
    "POST /api/v1/patients/{patient}/erasure": "administrators",
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
    "GET /api/v1/audit": "administrators",
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
    "POST /api/v1/patients": PATIENT,
    "POST /api/v1/patients/search": {"search": "x"},
    "PUT /api/v1/patients/{patient}": PATIENT | {"version": 1},
    "POST /api/v1/patients/{patient}/erasure": {"mrn": "NOBODYS", "reason": "x"},
    "POST /api/v1/patients/{patient}/consents": {"purpose": "research", "is_given": True},
    "POST /api/v1/patients/{patient}/merge": {"merged_patient_id": "{other_patient}", "reason": "x"},
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
        "prediction_id": "{prediction}",
        "conclusion": "benign",
        "plan": "reassure",
    },
    "POST /api/v1/reviews/{review}/addenda": {"text": "x"},
    "PUT /api/v1/models/active": {"model": "{model}", "reason": "x"},
}
"""What the operations take that take anything; a photograph is sent by `send_image`."""
_PATIENT_FORM = {
    "mrn": "A-100",
    "family_name": "García",
    "given_name": "Ana",
    "birth_date": "1962-04-27",
    "birth_date_precision": "exact",
    "gender": "female",
    "fitzpatrick_skin_type": "",
    "personal_history_of_melanoma": "",
    "family_history_of_melanoma": "",
    "consent_to_care": "",
    "consent_to_ai_analysis": "yes",
    "consent_to_research": "",
}
FORMS = {
    "POST /models/{model}": {"reason": "x", "replaces": "{model}"},
    "POST /patients/new": _PATIENT_FORM,
    "POST /patients/check": _PATIENT_FORM,
    "POST /patients/{patient}/edit": _PATIENT_FORM | {"version": "1"},
    "POST /patients/{patient}/consents": {"purpose": "research", "is_given": "yes"},
    "POST /patients/{patient}/merge": {"merged": "{other_patient}", "reason": "x"},
    "POST /patients/{patient}/lesions": {"anatom_site_general": "head/neck", "laterality": ""},
    "POST /lesions/{lesion}/edit": {"anatom_site_general": "head/neck", "laterality": ""},
    "POST /lesions/{lesion}/histopathology": {
        "diagnosis": "Naevus",
        "outcome": "benign",
        "reported_on": "2026-01-01",
    },
    "POST /lesions/{lesion}/images/new": {"image_type": "dermoscopic"},
    "POST /examinations/{image}/review": {
        "prediction": "{prediction}",
        "conclusion": "benign",
        "plan": "reassure",
    },
    "POST /examinations/{image}/first-read": {"impression": "benign"},
    "POST /examinations/{image}/checklist": {"abcde_done": "y"},
    "POST /reviews/{review}/addenda": {"text": "x"},
    "POST /account/password": {
        "current": "not the password",
        "password": "some other battery staple",
        "again": "some other battery staple",
    },
    "POST /account/second-factor/confirm": {"code": "000000"},
    "POST /account/second-factor/codes": {"code": "000000"},
    "POST /account/second-factor/remove": {"removal_code": "000000"},
    "POST /account/tokens": {"name": "a program", "scopes": "statistics:read", "days": "30"},
    "POST /users/new": {"username": "newcomer", "display_name": "", "role": "nurse"},
    "POST /users/{colleague}": {"display_name": "Nora Yew", "role": "nurse"},
    "POST /clinic": {"name": "Clinic of the borders", "time_zone": "Europe/Lisbon", "retention_years": "10"},
}
"""What the pages' forms send; a photograph is added to the one that takes one."""
PUBLIC = {
    "GET /sign-in",
    "POST /sign-in",
    "GET /sign-in/code",
    "POST /sign-in/code",
    "GET /set-password",
    "POST /set-password",
    "GET /set-password/{}",
    "GET /api/v1/openapi.json",
    "GET /static/{}",
    "GET /health/live",
    "GET /health/ready",
    "GET /metrics",
}
IN_GROUP = {
    "everybody": {Role.ADMIN, Role.CLINICIAN, Role.NURSE, Role.ANALYST},
    "staff": {Role.ADMIN, Role.CLINICIAN, Role.NURSE},
    "clinicians": {Role.CLINICIAN},
    "exporters": {Role.ADMIN, Role.CLINICIAN},
    "administrators": {Role.ADMIN},
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
    user = UserFactory(clinic=clinic, role=role)
    browser = sign_in(user)
    ids |= {
        "own_token": str(ApiTokenFactory(user=user).public_id),
        "own_session": str(UserSessionFactory(user=user).public_id),
        "own_upload": str(UploadFactory(clinic_id=clinic.id, made_by_id=user.id).public_id),
    }
    opened = {}
    for endpoint in PAGES:
        method, _, address = endpoint.partition(" ")
        address = address.format(**ids)
        response = browser.client.get(address, buffered=True) if method == "GET" else browser.post(address)
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
        response = client.open(address.format(**ids), method=method, headers=headers, buffered=True)
        assert response.status_code not in (401, 404, 405, 500), endpoint
        opened[endpoint] = response.status_code != HTTPStatus.FORBIDDEN
        if not opened[endpoint]:
            assert role.value in error_of(response, HTTPStatus.FORBIDDEN)["message"]

    assert opened == {endpoint: role in IN_GROUP[group] for endpoint, group in OPERATIONS.items()}


def test_pages_of_the_analyst_link_to_no_patient_when_there_are_some(
    sign_in: Callable[[User], Browser], clinic: Clinic, ids: dict[str, str]
) -> None:
    page = sign_in(UserFactory(clinic=clinic, role=Role.ANALYST)).open("/")

    assert not [link for link in page.links() if "patient" in link or "/predictions" in link]
    assert page.status == 200


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)  # the guards ask no database for it
def test_token_opens_exactly_its_scopes_when_its_owner_may_do_more(
    app: Flask, client: FlaskClient, clinic: Clinic, ids: dict[str, str]
) -> None:
    """Each scope alone, for the role that has most: an administrator, or a clinician for signing."""
    asked = {
        f"{method} {re.sub('<[^>]+>', '{}', rule.rule)}": getattr(
            app.view_functions[rule.endpoint], PERMISSION_ATTRIBUTE, None
        )
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    needed = {endpoint: asked[re.sub(r"{\w+}", "{}", endpoint)] for endpoint in OPERATIONS}
    for permission in (None, *Permission):
        role = Role.CLINICIAN if permission is Permission.REVIEW else Role.ADMIN
        owner = UserFactory(clinic=clinic, role=role)
        ApiTokenFactory(user=owner, secret=f"of {permission}", scopes=[permission] if permission else [])
        opened = set()
        for endpoint in OPERATIONS:
            method, _, address = endpoint.partition(" ")
            headers = {"Authorization": f"Bearer of {permission}"}
            response = client.open(address.format(**ids), method=method, headers=headers, buffered=True)
            if response.status_code != HTTPStatus.FORBIDDEN:
                opened.add(endpoint)

        assert opened == {endpoint for endpoint, one in needed.items() if one is permission}


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("scopes", [None, [], ["patients"], ["*"], ["patients:READ"], ["admin"]], ids=str)
def test_token_opens_nothing_when_its_scopes_are_none_of_ours(
    client: FlaskClient, user: User, records: Records, scopes: list[str] | None
) -> None:
    ApiTokenFactory(user=user, secret="the-secret", scopes=scopes)

    response = client.get("/api/v1/patients", headers={"Authorization": "Bearer the-secret"})

    error_of(response, HTTPStatus.FORBIDDEN)


def test_token_opens_nothing_more_when_its_owners_role_changes(
    client: FlaskClient, headers: dict[str, str], user: User, records: Records
) -> None:
    records.execute("UPDATE `user` SET role = 'analyst' WHERE id = :id", id=user.id)

    error_of(client.get("/api/v1/patients", headers=headers), HTTPStatus.FORBIDDEN)
    assert client.get("/api/v1/statistics/age", headers=headers).status_code == 200


def test_password_opens_no_operation_when_sent_as_basic(client: FlaskClient, user: User) -> None:
    response = client.get("/api/v1/patients", auth=(user.username, PASSWORD))

    error_of(response, HTTPStatus.UNAUTHORIZED)
