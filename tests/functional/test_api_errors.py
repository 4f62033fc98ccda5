"""Every refusal of the API: its status, and the one shape."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus

import pytest
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import Clinic, Lesion, Patient
from tests.api import PATIENT, error_of, send_image
from tests.factories import ApiTokenFactory, LesionFactory, PatientFactory
from tests.records import Records

TOMORROW = (datetime.now(UTC).date() + timedelta(days=1)).isoformat()
UNKNOWN = "5d0f7f0e-6c5b-4d5f-9a62-0f5a4a1f0c11"
"""The id of no record; parallel test processes must agree on the tests, so it is not drawn."""
LONG_AGO = date(datetime.now(UTC).year - 140, 1, 1).isoformat()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"birth_date": TOMORROW}, "birth_date"),
        ({"birth_date": LONG_AGO}, "birth_date"),
        ({"birth_date": "27 April"}, "birth_date"),
        ({"birth_date": 19620427}, "birth_date"),
        ({"birth_date": None}, "birth_date"),
        ({"gender": "f"}, "gender"),
        ({"gender": ["female"]}, "gender"),
        ({"mrn": ""}, "mrn"),
        ({"mrn": "x" * 33}, "mrn"),
        ({"mrn": "a b;c"}, "mrn"),
        ({"mrn": 7}, "mrn"),
        ({"family_name": " "}, "family_name"),
        ({"given_name": "x" * 101}, "given_name"),
        ({"given_name": "\x00"}, "given_name"),
        ({"fitzpatrick_skin_type": "VII"}, "fitzpatrick_skin_type"),
        ({"consent_to_care": "perhaps"}, "consent_to_care"),
        ({"clinic_id": 1}, "clinic_id"),
        ({"id": UNKNOWN}, "id"),
    ],
    ids=str,
)
def test_patient_is_refused_by_field_when_a_value_is_wrong(
    client: FlaskClient, headers: dict[str, str], records: Records, change: dict[str, object], field: str
) -> None:
    response = client.post("/api/v1/patients", json=PATIENT | change, headers=headers)

    assert list(error_of(response, HTTPStatus.UNPROCESSABLE_ENTITY)["fields"]) == [field]
    assert records.count(Patient) == 0


def test_every_field_is_named_when_all_are_missing(client: FlaskClient, headers: dict[str, str]) -> None:
    error = error_of(
        client.post("/api/v1/patients", json={}, headers=headers), HTTPStatus.UNPROCESSABLE_ENTITY
    )

    assert error["fields"].keys() == PATIENT.keys() - {"consent_to_ai_analysis"}


@pytest.mark.parametrize(
    "address",
    [
        f"/api/v1/patients/{UNKNOWN}",
        f"/api/v1/predictions/{UNKNOWN}",
        "/api/v1/patients/1",
        "/api/v1/predictions/not-an-id",
        "/api/v1/nothing",
    ],
)
def test_record_is_not_found_when_there_is_none(
    client: FlaskClient, headers: dict[str, str], address: str
) -> None:
    error_of(client.get(address, headers=headers), HTTPStatus.NOT_FOUND)


def test_lesion_is_not_added_when_the_patient_is_unknown(
    client: FlaskClient, headers: dict[str, str], records: Records
) -> None:
    response = client.post(
        f"/api/v1/patients/{uuid.uuid4()}/lesions",
        json={"anatom_site_general": "head/neck"},
        headers=headers,
    )

    error_of(response, HTTPStatus.NOT_FOUND)
    assert records.count(Lesion) == 0


def test_image_is_not_taken_when_the_lesion_is_unknown(
    client: FlaskClient, headers: dict[str, str], photograph: bytes, records: Records
) -> None:
    error_of(send_image(client, uuid.uuid4(), headers, photograph), HTTPStatus.NOT_FOUND)
    assert records.files() == []


@pytest.mark.parametrize("change", [{}, {"anatom_site_general": "elbow"}, {"number": 7}], ids=str)
def test_lesion_is_refused_when_a_value_is_wrong(
    client: FlaskClient, headers: dict[str, str], clinic: Clinic, change: dict[str, object]
) -> None:
    patient = PatientFactory(clinic=clinic)
    response = client.post(f"/api/v1/patients/{patient.public_id}/lesions", json=change, headers=headers)

    error_of(response, HTTPStatus.UNPROCESSABLE_ENTITY)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"image_type": "selfie"}, "image_type"),
        ({"captured_at": "yesterday"}, "captured_at"),
        ({"captured_at": "2026-01-01T00:00:00"}, "captured_at"),
        ({"captured_at": "2999-01-01T00:00:00Z"}, "captured_at"),
        ({"captured_at": "1900-01-01T00:00:00Z"}, "captured_at"),
        ({"captured_at": "0001-01-01T00:00:00+14:00"}, "captured_at"),
        ({"captured_at": "9999-12-31T23:59:59-14:00"}, "captured_at"),
        ({"unknown": "x"}, "unknown"),
    ],
    ids=str,
)
def test_image_is_refused_by_field_when_its_description_is_wrong(
    client: FlaskClient,
    headers: dict[str, str],
    clinic: Clinic,
    records: Records,
    photograph: bytes,
    fields: dict[str, str],
    name: str,
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)

    response = send_image(client, lesion.public_id, headers, photograph, **fields)

    assert list(error_of(response, HTTPStatus.UNPROCESSABLE_ENTITY)["fields"]) == [name]
    assert records.files() == []


def test_image_is_asked_for_when_none_is_sent(
    client: FlaskClient, headers: dict[str, str], clinic: Clinic
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)

    response = client.post(
        f"/api/v1/lesions/{lesion.public_id}/images",
        data={},
        content_type="multipart/form-data",
        headers=headers,
    )

    assert list(error_of(response, HTTPStatus.UNPROCESSABLE_ENTITY)["fields"]) == ["image"]


def test_mrn_conflicts_when_it_is_taken(
    client: FlaskClient, headers: dict[str, str], records: Records
) -> None:
    client.post("/api/v1/patients", json=PATIENT, headers=headers)

    response = client.post("/api/v1/patients", json=PATIENT | {"mrn": "a-100"}, headers=headers)

    assert list(error_of(response, HTTPStatus.CONFLICT)["fields"]) == ["mrn"]
    assert records.count(Patient) == 1


@pytest.mark.parametrize("kind", ["gender", "age", "outcomes"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("date_from=yesterday", "date_from"),
        ("age_min=-1", "age_min"),
        ("age_max=131", "age_max"),
        ("gender=f", "gender"),
        ("outcome=unsure", "outcome"),
        ("colour=red", "colour"),
        ("age_min=9&age_max=8", "age_min"),
        ("date_from=2026-02-01&date_to=2026-01-01", "date_from"),
    ],
)
def test_statistics_are_refused_by_field_when_a_filter_is_wrong(
    client: FlaskClient, headers: dict[str, str], kind: str, query: str, field: str
) -> None:
    response = client.get(f"/api/v1/statistics/{kind}?{query}", headers=headers)

    assert list(error_of(response, HTTPStatus.UNPROCESSABLE_ENTITY)["fields"]) == [field]


@pytest.mark.parametrize(
    "query", ["size=0", "size=101", "size=x", "cursor=x", "page=2", "search=" + "x" * 201]
)
def test_list_is_refused_when_its_arguments_are_wrong(
    client: FlaskClient, headers: dict[str, str], query: str
) -> None:
    error_of(client.get(f"/api/v1/patients?{query}", headers=headers), HTTPStatus.UNPROCESSABLE_ENTITY)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Bearer",
        "Bearer ",
        "Bearer unknown",
        "Bearer a b c",
        "bearer\tx",
        "Basic dXNlcjpwYXNz",
        "Token the-secret",
        "the-secret",
        "Bearer é",
        'Bearer realm="x"',
    ],
)
def test_caller_is_unknown_when_the_token_is_missing_or_wrong(
    client: FlaskClient, records: Records, authorization: str | None
) -> None:
    ApiTokenFactory(secret="the-secret")
    headers = {} if authorization is None else {"Authorization": authorization.encode().decode("latin1")}

    response = client.get("/api/v1/patients", headers=headers)

    error_of(response, HTTPStatus.UNAUTHORIZED)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_caller_is_known_when_the_scheme_is_in_lower_case(client: FlaskClient, records: Records) -> None:
    ApiTokenFactory(secret="the-secret")

    assert client.get("/api/v1/patients", headers={"Authorization": "bearer the-secret"}).status_code == 200


def test_token_opens_no_page_when_no_session_is_there(client: FlaskClient, headers: dict[str, str]) -> None:
    response = client.get("/patients", headers=headers)

    assert response.status_code == 302
    assert response.headers["Location"].startswith("/sign-in")


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_method_is_refused_in_the_same_shape_when_not_offered(
    client: FlaskClient, headers: dict[str, str], method: str
) -> None:
    response = getattr(client, method)("/api/v1/patients", headers=headers)

    error_of(response, HTTPStatus.METHOD_NOT_ALLOWED)
    assert "GET" in response.headers["Allow"]


def test_identity_is_asked_first_when_the_body_is_wrong_too(client: FlaskClient) -> None:
    error_of(client.post("/api/v1/patients", json={"mrn": 1}), HTTPStatus.UNAUTHORIZED)


def test_error_says_nothing_of_our_insides_when_the_app_breaks(
    client: FlaskClient, headers: dict[str, str], records: Records, app: Flask
) -> None:
    app.testing = False  # as when it serves
    records.execute("DELETE FROM audit_event")
    records.execute("DELETE FROM audit_chain")

    response = client.post("/api/v1/patients", json=PATIENT, headers=headers)

    message = error_of(response, HTTPStatus.INTERNAL_SERVER_ERROR)["message"]
    assert "NoResultFound" not in response.get_data(as_text=True)
    assert "on our side" in message
