"""The clinical record over REST: from registering to an empty worklist, and every refusal on the way."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from melanoma_app.models import Addendum, Checklist, Clinic, Histopathology, LesionImage, Review, User
from melanoma_app.models.checklist import ABCDE, SEVEN_POINT_WEIGHTS
from melanoma_app.models.vocabulary import OutcomeLabel
from tests.api import PATIENT, error_of, send_image
from tests.factories import (
    FirstReadFactory,
    LesionFactory,
    LesionImageFactory,
    PatientFactory,
    PatientMergeFactory,
    PredictionFactory,
    ReviewFactory,
    UserFactory,
)
from tests.fhir import check_bundle
from tests.photographs import draw_photograph, encode
from tests.records import Records

LEFT_CHEEK = {"view": "front", "x": 0.55, "y": 0.05}
TODAY = datetime.now(UTC).date()
TOMORROW = (TODAY + timedelta(days=1)).isoformat()
YESTERDAY = (TODAY - timedelta(days=1)).isoformat()
EVERYTHING_THAT_HAPPENED = Counter(
    registered=1,
    consent=1,
    lesion=1,
    photograph=3,
    first_read=1,
    checklist=1,
    review=3,
    addendum=1,
    histopathology=1,
)


class Api:
    """The API as a program calls it, whose every call succeeds."""

    def __init__(self, client: FlaskClient, headers: dict[str, str]) -> None:
        self.client = client
        self.headers = headers

    def get(self, address: str) -> Any:
        response = self.client.get(f"/api/v1{address}", headers=self.headers)
        assert response.status_code == HTTPStatus.OK, response.get_data(as_text=True)[:500]
        return response.json

    def post(self, address: str, body: dict[str, Any] | None = None) -> Any:
        response = self.client.post(f"/api/v1{address}", json=body, headers=self.headers)
        assert response.status_code == HTTPStatus.CREATED, response.get_data(as_text=True)[:500]
        return response.json

    def photograph(self, lesion_id: str, **fields: Any) -> Any:
        response = send_image(self.client, lesion_id, self.headers, draw_photograph(), **fields)
        assert response.status_code == HTTPStatus.CREATED, response.get_data(as_text=True)[:500]
        return response.json


@pytest.fixture
def api(client: FlaskClient, headers: dict[str, str]) -> Api:
    return Api(client, headers)


def test_whole_record_is_kept_when_rest_alone_is_used(api: Api, user: User) -> None:
    patient = f"/patients/{api.post('/patients', PATIENT | {'consent_to_ai_analysis': None})['id']}"
    api.post(f"{patient}/consents", {"purpose": "ai_analysis", "is_given": True})
    lesion = api.post(f"{patient}/lesions", {"place": LEFT_CHEEK, "description": "Itches"})
    assert (lesion["anatom_site_general"], lesion["laterality"]) == ("head/neck", "left")

    images = [
        api.photograph(
            lesion["id"], captured_at=f"2026-0{month}-01T12:00:00Z", clin_size_long_diam_mm=month + 3
        )
        for month in (1, 2, 3)
    ]
    newest = f"/images/{images[-1]['id']}"
    assert api.post(f"{newest}/first-reads", {"impression": "unsure"})["answer_was_shown"] is False
    found = dict.fromkeys(SEVEN_POINT_WEIGHTS, False) | {"blue_whitish_veil": True, "irregular_streaks": True}
    checklist = api.post(f"{newest}/checklists", {"seven_point": found})
    assert (checklist["seven_point_score"], checklist["is_suspicious"], checklist["abcde"]) == (3, True, None)
    for image in images[:2]:
        api.post(
            f"/images/{image['id']}/review",
            {
                "prediction_id": image["prediction"]["id"],
                "conclusion": image["prediction"]["label"],
                "plan": "refer",
            },
        )
    review = api.post(
        f"{newest}/review",
        {
            "prediction_id": images[-1]["prediction"]["id"],
            "conclusion": "malignant",
            "plan": "biopsy",
            "reason": "Grown, with a blue-whitish veil",
        },
    )
    api.post(f"/reviews/{review['id']}/addenda", {"text": "The patient called: it bleeds."})

    shown = api.get(newest)
    assert shown["prediction"] == images[-1]["prediction"]
    assert shown["checklist"]["recorded_by"] == shown["first_reads"][0]["read_by"] == user.display_name
    assert shown["review"]["prediction_id"] == images[-1]["prediction"]["id"]
    assert [one["text"] for one in shown["review"]["addenda"]] == ["The patient called: it bleeds."]

    worklist = api.get("/worklist")
    assert worklist["unsigned"]["items"] == []
    assert [one["id"] for one in worklist["histology_pending"]] == [review["id"]]
    api.post(
        f"/lesions/{lesion['id']}/histopathology",
        {
            "diagnosis": "Superficial spreading melanoma",
            "outcome": "malignant",
            "reported_on": TODAY.isoformat(),
            "breslow_thickness_mm": 0.8,
        },
    )
    assert api.get("/worklist") == {
        "unsigned": {"items": [], "next_cursor": None},
        "histology_pending": [],
        "monitoring_overdue": [],
    }

    compared = api.get(f"/lesions/{lesion['id']}/comparison?left={images[0]['id']}&right={images[-1]['id']}")
    assert (compared["days_between"], compared["size_change_mm"], compared["probability_change"]) == (
        59,
        2,
        0,
    )
    history = api.get(f"/lesions/{lesion['id']}/history")
    assert [one["id"] for one in history["images"]] == [one["id"] for one in images]
    assert [len(one["points"]) for one in history["trend"]] == [3]
    laboratory = api.get(f"/lesions/{lesion['id']}/histopathology")["items"]
    assert [(one["breslow_thickness_mm"], one["recorded_by"]) for one in laboratory] == [
        (0.8, user.display_name)
    ]
    kinds = [one["kind"] for one in api.get(f"{patient}/timeline")["items"]]
    assert Counter(kinds) == EVERYTHING_THAT_HAPPENED

    resources = check_bundle(api.get(f"{patient}/fhir"))
    assert [one["status"] for one in resources["DiagnosticReport"]] == ["final", "final", "appended"]
    picture = api.client.get(resources["Media"][0]["content"]["url"], headers=api.headers)
    assert picture.mimetype == "image/jpeg"
    assert len(picture.data) == resources["Media"][0]["content"]["size"]


def test_photograph_is_scored_later_when_the_patient_agrees_later(api: Api, clinic: Clinic) -> None:
    lesion = LesionFactory(patient__clinic=clinic, patient__consent_to_ai_analysis=None)
    image = api.photograph(str(lesion.public_id))
    assert image["prediction"] is None
    assert image["review"] is None

    api.post(f"/patients/{image['patient_id']}/consents", {"purpose": "ai_analysis", "is_given": True})
    prediction = api.post(f"/images/{image['id']}/predictions")

    assert prediction["image"]["id"] == image["id"]
    assert api.get(f"/images/{image['id']}")["prediction"]["id"] == prediction["id"]


def test_pictures_are_jpegs_when_asked_for(client: FlaskClient, api: Api, clinic: Clinic) -> None:
    image = api.photograph(str(LesionFactory(patient__clinic=clinic).public_id))

    sizes = {}
    for address in (
        f"/api/v1/images/{image['id']}/file",
        f"/api/v1/images/{image['id']}/thumbnail",
        f"/api/v1/predictions/{image['prediction']['id']}/heat-map",
    ):
        response = client.get(address, headers=api.headers)
        assert response.mimetype == "image/jpeg", address
        with Image.open(io.BytesIO(response.data)) as picture:
            sizes[address.rpartition("/")[2]] = picture.size

    assert sizes["file"] == (image["width_px"], image["height_px"])
    assert max(sizes["thumbnail"]) < max(sizes["file"])


def test_record_is_replaced_when_the_version_is_the_one_that_was_read(api: Api) -> None:
    patient = api.post("/patients", PATIENT)

    answer = api.client.put(
        f"/api/v1/patients/{patient['id']}",
        json=PATIENT | {"given_name": "Anna", "version": patient["version"]},
        headers=api.headers,
    )

    assert answer.status_code == HTTPStatus.OK
    assert (answer.json["given_name"], answer.json["version"]) == ("Anna", patient["version"] + 1)


def test_merge_is_undone_when_asked_for(api: Api, clinic: Clinic) -> None:
    kept, merged = PatientFactory(clinic=clinic), PatientFactory(clinic=clinic)
    lesion = LesionFactory(patient=merged)
    address = f"/patients/{kept.public_id}"

    merge = api.post(
        f"{address}/merge", {"merged_patient_id": str(merged.public_id), "reason": "Same person"}
    )
    assert [one["id"] for one in api.get(address)["lesions"]] == [str(lesion.public_id)]
    answer = api.client.post(f"/api/v1/merges/{merge['id']}/revert", headers=api.headers)

    assert answer.json["reverted_at"] is not None
    assert api.get(address)["lesions"] == []
    assert [one["id"] for one in api.get(f"/patients/{merged.public_id}")["lesions"]] == [
        str(lesion.public_id)
    ]


def test_unsigned_photographs_come_in_pages_when_there_are_more(
    api: Api, clinic: Clinic, recount: Callable[[], None]
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    for share in (0.1, 0.9, 0.5):
        PredictionFactory(lesion_image__lesion=lesion, malignancy_probability=share)
    LesionImageFactory(lesion=lesion)
    recount()

    found, cursor = [], ""
    while cursor is not None:
        page = api.get(f"/worklist?size=2{cursor and f'&cursor={cursor}'}")["unsigned"]
        found += [one["prediction"] and one["prediction"]["malignancy_probability"] for one in page["items"]]
        cursor = page["next_cursor"]

    assert found == [0.9, 0.5, 0.1, None]


@pytest.fixture
def on_record(clinic: Clinic, user: User) -> dict[str, str]:
    """A patient with one lesion, photographed three times; the second one is signed, the third one not scored."""
    prediction = PredictionFactory(lesion_image__lesion__patient__clinic=clinic, label=OutcomeLabel.MALIGNANT)
    image, lesion = prediction.lesion_image, prediction.lesion_image.lesion
    FirstReadFactory(lesion_image=image, read_by=user)
    review = ReviewFactory(prediction__lesion_image__lesion=lesion)
    return {
        "patient": str(lesion.patient.public_id),
        "mrn": lesion.patient.mrn,
        "lesion": str(lesion.public_id),
        "image": str(image.public_id),
        "prediction": str(prediction.public_id),
        "signed": str(review.lesion_image.public_id),
        "signed_prediction": str(review.prediction.public_id),
        "review": str(review.public_id),
        "unscored": str(LesionImageFactory(lesion=lesion).public_id),
        "refused": str(
            LesionImageFactory(
                lesion__patient__clinic=clinic, lesion__patient__consent_to_ai_analysis=False
            ).public_id
        ),
        "merged": str(PatientMergeFactory(kept__clinic=clinic).merged.public_id),
    }


LABORATORY = {"diagnosis": "Naevus", "outcome": "benign", "reported_on": TODAY.isoformat()}
SIGNED = {"prediction_id": "{prediction}", "conclusion": "malignant", "plan": "refer"}
NEW_READ = {"impression": "benign"}


REFUSALS: list[tuple[str, dict[str, Any] | None, int, list[str]]] = [
    ("PUT /patients/{patient}", PATIENT | {"version": 7}, 409, []),
    ("PUT /patients/{patient}", PATIENT, 422, ["version"]),
    ("PUT /patients/{patient}", PATIENT | {"version": 1, "id": "x"}, 422, ["id"]),
    (
        "PUT /patients/{patient}",
        PATIENT | {"version": 1, "consent_to_ai_analysis": None},
        422,
        ["consent_to_ai_analysis"],
    ),
    ("GET /patients/{merged}", None, 409, []),
    ("GET /patients/{merged}/fhir", None, 409, []),
    ("POST /patients/{patient}/consents", {"purpose": "fun", "is_given": True}, 422, ["purpose"]),
    ("POST /patients/{patient}/consents", {"purpose": "care", "is_given": None}, 422, ["is_given"]),
    ("POST /patients/{merged}/consents", {"purpose": "care", "is_given": True}, 409, []),
    (
        "POST /patients/{patient}/merge",
        {"merged_patient_id": "{patient}", "reason": "x"},
        422,
        ["merged_patient_id"],
    ),
    ("POST /patients/{patient}/merge", {"merged_patient_id": "{merged}", "reason": " "}, 422, ["reason"]),
    ("POST /patients/{patient}/merge", {"merged_patient_id": "{merged}", "reason": "x"}, 409, []),
    ("POST /merges/{patient}/revert", None, 404, []),
    ("POST /patients/{patient}/lesions", {"place": LEFT_CHEEK | {"x": 0.01}}, 422, ["place"]),
    ("POST /patients/{patient}/lesions", {"place": LEFT_CHEEK | {"x": 1.01}}, 422, ["place"]),
    (
        "POST /patients/{patient}/lesions",
        {"place": LEFT_CHEEK, "anatom_site_general": "palms/soles"},
        422,
        ["anatom_site_general"],
    ),
    ("PUT /lesions/{lesion}", {"place": LEFT_CHEEK, "laterality": "right"}, 422, ["laterality"]),
    ("PUT /lesions/{lesion}", {}, 422, ["anatom_site_general"]),
    ("PUT /lesions/{image}", {"anatom_site_general": "head/neck"}, 404, []),
    (
        "POST /lesions/{lesion}/histopathology",
        LABORATORY | {"reported_on": TOMORROW},
        422,
        ["reported_on"],
    ),
    (
        "POST /lesions/{lesion}/histopathology",
        LABORATORY | {"breslow_thickness_mm": 0.8},
        422,
        ["breslow_thickness_mm"],
    ),
    (
        "POST /lesions/{lesion}/histopathology",
        LABORATORY | {"outcome": "malignant", "breslow_thickness_mm": 0},
        422,
        ["breslow_thickness_mm"],
    ),
    ("GET /lesions/{lesion}/comparison?left={image}&right={image}", None, 422, []),
    ("GET /lesions/{lesion}/comparison?left={image}&right={refused}", None, 404, []),
    ("GET /lesions/{lesion}/comparison?left=1", None, 422, ["left"]),
    ("POST /images/{image}/first-reads", NEW_READ, 409, []),
    ("POST /images/{signed}/first-reads", {"impression": "perhaps"}, 422, ["impression"]),
    ("POST /images/{image}/checklists", {}, 422, ["abcde", "seven_point"]),
    ("POST /images/{image}/checklists", {"abcde": {"asymmetry": True}}, 422, ["abcde"]),
    (
        "POST /images/{image}/checklists",
        {"abcde": dict.fromkeys(ABCDE, True) | {"more": True}},
        422,
        ["abcde"],
    ),
    ("POST /images/{image}/review", SIGNED | {"prediction_id": None}, 409, []),
    ("POST /images/{image}/review", SIGNED | {"prediction_id": "{signed_prediction}"}, 409, []),
    ("POST /images/{image}/review", SIGNED | {"conclusion": "benign"}, 422, ["reason"]),
    ("POST /images/{image}/review", SIGNED | {"plan": "reassure"}, 422, ["plan"]),
    ("POST /images/{image}/review", SIGNED | {"plan": "monitor"}, 422, ["due_on"]),
    (
        "POST /images/{image}/review",
        SIGNED | {"plan": "monitor", "due_on": YESTERDAY},
        422,
        ["due_on"],
    ),
    ("POST /images/{image}/review", SIGNED | {"due_on": TOMORROW}, 422, ["due_on"]),
    ("POST /images/{image}/review", SIGNED | {"signed_by": "me"}, 422, ["signed_by"]),
    ("POST /images/{signed}/review", SIGNED | {"prediction_id": "{signed_prediction}"}, 409, []),
    ("POST /reviews/{review}/addenda", {"text": " "}, 422, ["text"]),
    ("POST /reviews/{image}/addenda", {"text": "x"}, 404, []),
    ("POST /images/{refused}/predictions", None, 409, []),
    ("GET /worklist?cursor=x", None, 422, ["cursor"]),
    ("GET /worklist?page=2", None, 422, ["page"]),
]
"""Method and address, body, status, the fields that are named."""


def test_every_call_is_refused_in_one_shape_when_it_cannot_be_right(
    api: Api, on_record: dict[str, str], records: Records
) -> None:
    for call, body, status, fields in REFUSALS:
        method, _, address = call.partition(" ")
        filled = body and {
            name: value.format(**on_record) if isinstance(value, str) else value
            for name, value in body.items()
        }
        response = api.client.open(
            f"/api/v1{address.format(**on_record)}", method=method, json=filled, headers=api.headers
        )
        assert response.status_code == status, (call, body, response.json)
        assert sorted(error_of(response, HTTPStatus(status))["fields"]) == sorted(fields), (call, body)

    assert records.count(Review) == 1
    assert records.count(Histopathology) == records.count(Checklist) == records.count(Addendum) == 0


def test_photograph_is_refused_with_findings_when_it_is_not_good_enough(
    api: Api, clinic: Clinic, records: Records
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    dark = encode(Image.new("RGB", (600, 600), (9, 8, 8)), "JPEG")

    refused = error_of(
        send_image(api.client, lesion.public_id, api.headers, dark), HTTPStatus.UNPROCESSABLE_ENTITY
    )
    assert list(refused["fields"]) == ["quality"]
    assert all(finding.endswith(".") for finding in refused["fields"]["quality"])
    assert records.count(LesionImage) == 0

    taken = send_image(
        api.client, lesion.public_id, api.headers, dark, quality_override_reason="The patient has left"
    ).json
    assert "too_dark" in taken["quality"]["findings"]
    assert taken["quality_override_reason"] == "The patient has left"


def test_fhir_file_is_a_download_when_its_page_is_opened(
    sign_in: Any, clinic: Clinic, records: Records
) -> None:
    patient = PatientFactory(clinic=clinic)
    browser = sign_in(UserFactory(clinic=clinic))

    response = browser.client.get(f"/patients/{patient.public_id}/fhir.json")

    assert response.mimetype == "application/fhir+json"
    assert response.headers["Content-Disposition"].startswith("attachment;")
    assert patient.family_name not in response.headers["Content-Disposition"]
    assert list(check_bundle(response.json)) == ["Patient"]
