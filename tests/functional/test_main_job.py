"""The whole main job: register, add a lesion, photograph it, and find the result everywhere."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime

from bs4 import Tag
from flask.testing import FlaskClient

from melanoma_app.models import LesionImage, Prediction
from ml.inference import Classifier, decode_image
from tests.api import PATIENT, send_image
from tests.browsing import Browser, Page, words
from tests.photographs import draw_photograph
from tests.records import Records
from tests.released import SERVED

TYPED = {
    "mrn": "a-100",
    "family_name": "García",
    "given_name": "Ana",
    "birth_date": "1962-04-27",
    "gender": "female",
    "consent_to_ai_analysis": "yes",
}


def photograph_through_pages(browser: Browser, upload: bytes) -> Page:
    """From the registration form to the result page."""
    patient_page = browser.fill_in("/patients/new", **TYPED)
    action = f"{patient_page.path}/lesions"
    upload_page = browser.send(
        patient_page.form(action),
        patient_page,
        anatom_site_general="palms/soles",
        description="Left sole",
    )
    return browser.send(upload_page.form(), upload_page, image=(upload, "photo.jpg"))


def facts(page: Page) -> dict[str, str]:
    """The definition lists of a page, term to value."""
    return {
        words(term): words(term.find_next_sibling("dd"))
        for term in page.soup.find_all("dt")
        if isinstance(term.find_next_sibling("dd"), Tag)
    }


def test_result_page_says_what_the_model_says_when_photographed_through_pages(
    browser: Browser, photograph: bytes
) -> None:
    page = photograph_through_pages(browser, photograph)

    model = Classifier.load(SERVED)
    expected = model.predict(decode_image(photograph))
    assert page.path.startswith("/examinations/")
    assert expected.label.capitalize() in words(page.soup.find("h2", id="verdict-title"))
    assert f"{expected.probability * 100:.1f} %" in page.text
    assert f"{expected.threshold * 100:.1f} %" in page.text
    assert facts(page)["Model"] == f"{model.manifest.name} {model.manifest.version}"


def test_result_page_says_benign_when_the_model_does(browser: Browser) -> None:
    model = Classifier.load(SERVED)
    uploads = [
        draw_photograph(seed=seed, irregularity=share) for seed in range(6) for share in (0.0, 0.5, 1.0)
    ]
    benign = next(one for one in uploads if model.predict(decode_image(one)).label == "benign")

    page = photograph_through_pages(browser, benign)

    assert words(page.soup.find("h2", id="verdict-title")).startswith("Benign ")


def test_result_stands_on_the_patients_page_when_photographed(browser: Browser, photograph: bytes) -> None:
    result = photograph_through_pages(browser, photograph)
    (patient,) = {link for link in result.links() if re.fullmatch("/patients/[0-9a-f-]{36}", link)}

    page = browser.open(patient)

    assert page.heading == "García, Ana"
    assert result.path in page.links()
    images = [str(image["src"]) for image in page.soup.select('img[src^="/images/"]')]
    assert {browser.open(source).headers["Content-Type"] for source in images} == {"image/jpeg"}


def test_result_stands_on_the_dashboard_when_photographed(
    browser: Browser, photograph: bytes, records: Records
) -> None:
    photograph_through_pages(browser, photograph)

    overview = browser.open("/")

    prediction = records.one(Prediction)
    assert f"/predictions/{prediction.public_id}" in overview.links()
    label = prediction.label.value
    cells = overview.soup.select(f"#by-gender td[data-series={label}]")
    assert [int(str(cell["data-value"])) for cell in cells] == [1, 0, 0, 0]


def test_record_is_the_same_over_rest_when_photographed_through_pages(
    browser: Browser, headers: dict[str, str], client: FlaskClient, photograph: bytes, records: Records
) -> None:
    photograph_through_pages(browser, photograph)
    prediction = records.one(Prediction)

    answer = client.get(f"/api/v1/predictions/{prediction.public_id}", headers=headers).json

    assert answer["malignancy_probability"] == prediction.malignancy_probability
    patient = client.get(f"/api/v1/patients/{answer['image']['patient_id']}", headers=headers).json
    assert patient["mrn"] == "A-100"
    assert [one["prediction"]["id"] for one in patient["lesions"][0]["images"]] == [answer["id"]]


def test_main_job_is_done_when_rest_alone_is_used(
    client: FlaskClient, headers: dict[str, str], photograph: bytes
) -> None:
    patient = client.post("/api/v1/patients", json=PATIENT, headers=headers)
    assert patient.status_code == 201
    patient_address = f"/api/v1/patients/{patient.json['id']}"

    lesion = client.post(
        f"{patient_address}/lesions", json={"anatom_site_general": "head/neck"}, headers=headers
    )
    assert lesion.status_code == 201
    assert lesion.json["number"] == 1

    made = send_image(client, lesion.json["id"], headers, photograph, image_type="clinical: close-up")
    assert made.status_code == 201
    prediction = client.get(f"/api/v1/predictions/{made.json['prediction']['id']}", headers=headers).json
    assert {name: prediction[name] for name in made.json["prediction"]} == made.json["prediction"]
    assert prediction["image"]["id"] == made.json["id"]

    record = client.get(patient_address, headers=headers).json
    assert record["lesions"][0]["images"][0]["prediction"] == made.json["prediction"]
    found = client.post("/api/v1/patients/search", json={"search": "garcia"}, headers=headers).json
    assert [one["id"] for one in found["items"]] == [patient.json["id"]]

    column = {"malignant": "positive", "benign": "negative"}[made.json["prediction"]["label"]]
    for kind, group in (("gender", "female"), ("outcomes", "all"), ("age", "60-69")):
        groups = client.get(f"/api/v1/statistics/{kind}", headers=headers).json["groups"]
        counted = {one["group"]: (one[column], one["total"]) for one in groups if one["total"]}
        assert counted == {group: (1, 1)}


def test_answer_keeps_every_field_of_the_record_when_created_over_rest(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    sent = {
        **PATIENT,
        "birth_date_precision": "estimated",
        "fitzpatrick_skin_type": "IV",
        "personal_history_of_melanoma": True,
        "family_history_of_melanoma": False,
        "consent_to_care": True,
        "consent_to_ai_analysis": None,
        "consent_to_research": False,
    }

    answer = client.post("/api/v1/patients", json=sent, headers=headers).json

    assert {name: answer[name] for name in sent} == sent
    assert uuid.UUID(answer["id"])
    created = datetime.fromisoformat(answer["created_at"])
    assert abs((datetime.now(UTC) - created).total_seconds()) < 60


def test_image_is_dated_by_the_caller_when_taken_earlier(
    client: FlaskClient, headers: dict[str, str], photograph: bytes, records: Records
) -> None:
    patient = client.post("/api/v1/patients", json=PATIENT, headers=headers).json
    lesion = client.post(
        f"/api/v1/patients/{patient['id']}/lesions",
        json={"anatom_site_general": "head/neck"},
        headers=headers,
    ).json

    made = send_image(client, lesion["id"], headers, photograph, captured_at="2025-03-01T23:30:00-05:00")

    assert datetime.fromisoformat(made.json["captured_at"]) == datetime(2025, 3, 2, 4, 30, tzinfo=UTC)
    assert str(records.one(LesionImage).captured_on) == "2025-03-02"
