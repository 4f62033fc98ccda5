"""The OpenAPI document is valid and true: schemathesis calls every operation and compares the answers with it."""

from __future__ import annotations

import hashlib
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
from melanoma_app.security.authentication import PERMISSION_ATTRIBUTE
from tests.api import send_image
from tests.factories import PatientMergeFactory, ReviewFactory, UserFactory
from tests.functional.test_borders import IN_GROUP
from tests.functional.test_borders import OPERATIONS as GROUP_OF
from tests.records import Records

# A schema cannot say that nobody is born tomorrow, or that a range must not end before it starts.
load_all_checks()
(BEYOND_A_SCHEMA,) = schemathesis.checks.CHECKS.get_by_names(["positive_data_acceptance"])
OPERATIONS = {
    "patients": """
        GET /api/v1/patients
        POST /api/v1/patients/search
        POST /api/v1/patients
        GET /api/v1/patients/{patient_id}
        PUT /api/v1/patients/{patient_id}
        GET /api/v1/patients/{patient_id}/timeline
        GET /api/v1/patients/{patient_id}/consents
        POST /api/v1/patients/{patient_id}/consents""",
    "patient_rights": """
        GET /api/v1/patients/{patient_id}/export
        POST /api/v1/patients/{patient_id}/erasure""",
    "patient-merges": """
        POST /api/v1/patients/{patient_id}/merge
        POST /api/v1/merges/{merge_id}/revert""",
    "patient-lesions": """
        POST /api/v1/patients/{patient_id}/lesions
        PUT /api/v1/lesions/{lesion_id}""",
    "images": """
        POST /api/v1/lesions/{lesion_id}/images
        GET /api/v1/images/{image_id}
        GET /api/v1/images/{image_id}/file
        GET /api/v1/images/{image_id}/thumbnail
        POST /api/v1/images/{image_id}/predictions
        GET /api/v1/predictions/{prediction_id}
        GET /api/v1/predictions/{prediction_id}/heat-map""",
    "assessments": """
        POST /api/v1/images/{image_id}/first-reads
        POST /api/v1/images/{image_id}/checklists
        POST /api/v1/images/{image_id}/review
        GET /api/v1/images/{image_id}/report
        POST /api/v1/reviews/{review_id}/addenda""",
    "follow-up": """
        GET /api/v1/lesions/{lesion_id}/history
        GET /api/v1/lesions/{lesion_id}/comparison
        GET /api/v1/lesions/{lesion_id}/histopathology
        POST /api/v1/lesions/{lesion_id}/histopathology""",
    "worklist": "GET /api/v1/worklist",
    "fhir": "GET /api/v1/patients/{patient_id}/fhir",
    "models": """
        GET /api/v1/models
        PUT /api/v1/models/active""",
    "audit-log": "GET /api/v1/audit",
    "statistics": """
        GET /api/v1/statistics/gender
        GET /api/v1/statistics/age
        GET /api/v1/statistics/outcomes
        GET /api/v1/statistics/trend
        GET /api/v1/statistics/sites
        GET /api/v1/statistics/skin-types
        GET /api/v1/statistics/models
        GET /api/v1/statistics/agreement
        GET /api/v1/statistics/crosstab""",
}
CALLS = 14
CALLS_WITHOUT_INPUT = 8
"""Where nothing but an id can be sent, more calls find no more."""
NOBODY = None
CALLERS: tuple[Role | str | None, ...] = (
    "able",
    Role.ADMIN,
    "able",
    Role.CLINICIAN,
    Role.NURSE,
    "able",
    Role.ANALYST,
    NOBODY,
)
"""Who calls, in turn: every role, nobody, and most often somebody whose role allows it."""


GROUPS = {re.sub("{.+?}", "{}", endpoint): group for endpoint, group in GROUP_OF.items()}


def operations_of(subject: str) -> list[tuple[str, str]]:
    """Method and path of each operation."""
    return [(line.split()[0], line.split()[1]) for line in OPERATIONS[subject].strip().splitlines()]


@pytest.fixture
def user(clinic: Clinic) -> User:
    """A clinician: the role that most operations are for."""
    return UserFactory(clinic=clinic, role=Role.CLINICIAN)


@pytest.fixture
def role_headers(
    clinic: Clinic, headers: dict[str, str], token_headers: Callable[[User], dict[str, str]]
) -> dict[Role | None, dict[str, str]]:
    """The headers of somebody of each role, and of nobody."""
    of_roles = {role: token_headers(UserFactory(clinic=clinic, role=role)) for role in Role}
    return {**of_roles, Role.CLINICIAN: headers, NOBODY: {}}


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
    review = ReviewFactory(
        prediction__lesion_image__lesion__patient__clinic=clinic,
        prediction__lesion_image__sha256=hashlib.sha256(photograph).hexdigest(),
    )
    lesion = review.lesion_image.lesion
    file = records.stored(review.lesion_image.storage_key)
    file.parent.mkdir(parents=True)
    file.write_bytes(photograph)
    answer = send_image(client, lesion.public_id, headers, photograph).json
    return {
        "patient_id": answer["patient_id"],
        "lesion_id": answer["lesion_id"],
        "image_id": answer["id"],
        "prediction_id": answer["prediction"]["id"],
        "review_id": str(review.public_id),
        "merge_id": str(PatientMergeFactory(kept__clinic=clinic).public_id),
    }


def test_document_names_every_operation_when_read(document: dict) -> None:
    offered = {
        (operation["tags"][0], method.upper(), path)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }

    assert offered == {(subject, *one) for subject in OPERATIONS for one in operations_of(subject)}


def test_every_operation_says_what_it_does_when_read(document: dict) -> None:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert method == "parameters" or operation["summary"].endswith("."), (method, path)


def test_document_is_valid_when_checked(schema: schemathesis.schemas.BaseSchema) -> None:
    schema.validate()


def test_document_asks_for_a_bearer_token_when_read(document: dict) -> None:
    assert document["security"] == [{"bearerToken": []}]
    assert document["components"]["securitySchemes"]["bearerToken"]["scheme"] == "bearer"


def test_every_operation_names_its_permission_when_read(app: Flask, document: dict) -> None:
    """As its guard asks for it: a person chooses the scopes of a token by it."""
    asked = {
        (method.lower(), re.sub("<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule)): getattr(
            app.view_functions[rule.endpoint], PERMISSION_ATTRIBUTE, None
        )
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                named = operation.get("x-required-permission")
                assert named is not None, (method, path)
                assert named == asked[method, path], (method, path)


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
            errors = {code: answer for code, answer in answers.items() if code[0] not in "23"}
            assert "default" in errors or {"401", "403", "422"} <= errors.keys(), (method, path)
            for code, answer in errors.items():
                assert answer["content"]["application/json"]["schema"]["$ref"] == reference, (path, code)


def resolve(document: dict, reference: str) -> dict:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part]
    return document


def test_statistics_say_what_they_count_when_read(document: dict) -> None:
    (text,) = [tag["description"] for tag in document["tags"] if tag["name"] == "statistics"]

    for words in (
        "newest prediction",
        "first positive test",
        "completed years",
        "time zone",
        "re-score",
        "merge",
    ):
        assert words in text
    assert "erased" in text
    assert "docs/statistics.md" in text


@pytest.mark.parametrize("subject", OPERATIONS)
def test_answers_are_as_the_document_says_when_called_in_many_ways(
    schema: schemathesis.schemas.BaseSchema,
    document: dict,
    role_headers: dict[Role | None, dict[str, str]],
    ids: dict[str, str],
    subject: str,
) -> None:
    """With all checks: no 5xx, no answer that is not described, no authentication that is ignored.

    The operations of one subject share a database, which takes longer to make than a hundred calls.
    """
    for method, path in operations_of(subject):
        described = document["paths"][path][method.lower()]
        takes_input = "requestBody" in described or any(
            one["in"] == "query" for one in described.get("parameters", [])
        )
        allowed = IN_GROUP[GROUPS[f"{method} {re.sub('{.+?}', '{}', path)}"]]
        able = Role.CLINICIAN if Role.CLINICIAN in allowed else Role.ADMIN
        answered: list[Role | None] = []

        def call(
            case: Case,
            answered: list[Role | None] = answered,
            allowed: set[Role] = allowed,
            able: Role = able,
        ) -> None:
            chosen = CALLERS[len(answered) % len(CALLERS)]
            role = able if chosen == "able" else chosen
            # Of every eight calls, six are for a record that exists.
            exists = len(answered) % 8 not in (0, 5)
            if exists:
                case.path_parameters = {name: ids[name] for name in case.path_parameters or {}}
            response = case.call_and_validate(headers=role_headers[role], excluded_checks=[BEYOND_A_SCHEMA])
            if exists and role is NOBODY:
                assert response.status_code == 401
            elif exists:
                assert (response.status_code == 403) == (role not in allowed)
            answered.append(role)

        run_many_ways(schema[path][method], call, examples=CALLS if takes_input else CALLS_WITHOUT_INPUT)
        assert set(answered) == {*Role, NOBODY}, (method, path)


def run_many_ways(operation: object, call: Callable[[Case], None], *, examples: int) -> None:
    """A few calls drawn from the document, the same ones every time."""
    from hypothesis import given

    strategy = operation.as_strategy()  # type: ignore[attr-defined]  # schemathesis types it loosely
    limits = settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    limits(given(case=strategy)(lambda case: call(case)))()
