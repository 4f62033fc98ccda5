"""The OpenAPI document is valid and true: schemathesis calls every operation and compares the answers with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import load_all_checks

from melanoma_app.models import Clinic, User
from melanoma_app.models.vocabulary import Role
from tests.api import send_image
from tests.factories import LesionFactory, UserFactory
from tests.records import Records

# A schema cannot say that nobody is born tomorrow, or that a range must not end before it starts.
load_all_checks()
(BEYOND_A_SCHEMA,) = schemathesis.checks.CHECKS.get_by_names(["positive_data_acceptance"])
OPERATIONS = [
    ("POST", "/api/v1/patients"),
    ("GET", "/api/v1/patients"),
    ("GET", "/api/v1/patients/{patient_id}"),
    ("POST", "/api/v1/patients/{patient_id}/lesions"),
    ("POST", "/api/v1/lesions/{lesion_id}/images"),
    ("GET", "/api/v1/predictions/{prediction_id}"),
    ("GET", "/api/v1/models"),
    ("PUT", "/api/v1/models/active"),
    ("GET", "/api/v1/statistics/gender"),
    ("GET", "/api/v1/statistics/age"),
    ("GET", "/api/v1/statistics/outcomes"),
]


@pytest.fixture
def user(clinic: Clinic) -> User:
    """An administrator, whom no operation turns away."""
    return UserFactory(clinic=clinic, role=Role.ADMIN)


@pytest.fixture
def document(client: FlaskClient) -> dict:
    response = client.get("/api/v1/openapi.json")
    assert response.status_code == 200
    return response.json


@pytest.fixture
def schema(app: Flask) -> Iterator[schemathesis.schemas.BaseSchema]:
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)


@pytest.fixture
def ids(
    client: FlaskClient, headers: dict[str, str], clinic: Clinic, records: Records, photograph: bytes
) -> dict[str, str]:
    """Ids that exist, so that more than 404 is reached."""
    lesion = LesionFactory(patient__clinic=clinic)
    answer = send_image(client, lesion.public_id, headers, photograph).json
    return {
        "patient_id": answer["image"]["patient_id"],
        "lesion_id": answer["image"]["lesion_id"],
        "prediction_id": answer["id"],
    }


def test_document_names_every_operation_when_read(document: dict) -> None:
    offered = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    offered = {
        (method, path) for method, path in offered if method in ("GET", "POST", "PUT", "DELETE", "PATCH")
    }

    assert offered == set(OPERATIONS)


def test_document_is_valid_when_checked(schema: schemathesis.schemas.BaseSchema) -> None:
    schema.validate()


def test_document_asks_for_a_bearer_token_when_read(document: dict) -> None:
    assert document["security"] == [{"bearerToken": []}]
    assert document["components"]["securitySchemes"]["bearerToken"]["scheme"] == "bearer"


def test_every_operation_tells_its_refusals_when_read(document: dict) -> None:
    reference = "#/components/schemas/Error"
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            answers = {
                code: answer if "$ref" not in answer else resolve(document, answer["$ref"])
                for code, answer in operation["responses"].items()
            }
            errors = {code: answer for code, answer in answers.items() if not code.startswith("2")}
            assert "default" in errors or {"401", "403", "422"} <= errors.keys(), (method, path)
            for code, answer in errors.items():
                assert answer["content"]["application/json"]["schema"]["$ref"] == reference, (path, code)


def resolve(document: dict, reference: str) -> dict:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part]
    return document


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda value: re.sub(r"^/api/v1/", "", value))
def test_answers_are_as_the_document_says_when_called_in_many_ways(
    schema: schemathesis.schemas.BaseSchema,
    headers: dict[str, str],
    ids: dict[str, str],
    method: str,
    path: str,
) -> None:
    operation = schema[path][method]
    calls: list[int] = []

    def call(case: Case) -> None:
        # Every other call is for a record that exists.
        if len(calls) % 2 == 0:
            case.path_parameters = {name: ids[name] for name in case.path_parameters or {}}
        response = case.call_and_validate(headers=headers, excluded_checks=[BEYOND_A_SCHEMA])
        calls.append(response.status_code)

    run_many_ways(operation, call)
    assert len(calls) >= 5


def run_many_ways(operation: object, call: Callable[[Case], None]) -> None:
    """A few calls drawn from the document, the same ones every time."""
    from hypothesis import given

    strategy = operation.as_strategy()  # type: ignore[attr-defined]  # schemathesis types it loosely
    limits = settings(
        max_examples=20,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    limits(given(case=strategy)(lambda case: call(case)))()
