"""The body map on the pages: what is drawn, what is placed, and what is refused."""

from __future__ import annotations

from datetime import date

import pytest
from bs4 import Tag
from flask import Flask
from sqlalchemy import event

from melanoma_app.extensions import db
from melanoma_app.models import Clinic, Lesion, Patient
from melanoma_app.models.vocabulary import BodyView, Laterality, OutcomeLabel, ReviewPlan
from tests.browsing import Browser, Page, form_values, words
from tests.factories import (
    LesionFactory,
    LesionImageFactory,
    PatientFactory,
    PredictionFactory,
    ReviewFactory,
)
from tests.records import Records

ON_THE_LEFT_FOREARM = {"body_view": "front", "body_x": "0.83", "body_y": "0.44"}


@pytest.fixture
def patient(clinic: Clinic) -> Patient:
    return PatientFactory(clinic=clinic)


def send_lesion(browser: Browser, patient: Patient, **values: str) -> Page:
    return browser.fill_in(
        f"/patients/{patient.public_id}", action=f"/patients/{patient.public_id}/lesions", **values
    )


def entry_of(page: Page, number: int) -> Tag:
    """A lesion's entry in the list."""
    entry = page.soup.find("article", attrs={"data-lesion": str(number)})
    assert isinstance(entry, Tag)
    return entry


def test_photograph_is_asked_for_when_a_placed_lesion_is_added(
    browser: Browser, patient: Patient, records: Records
) -> None:
    page = send_lesion(browser, patient, **ON_THE_LEFT_FOREARM)

    lesion = records.one(Lesion)
    assert page.path == f"/lesions/{lesion.public_id}/images/new"
    assert (lesion.body_view, lesion.laterality) == (BodyView.FRONT, Laterality.LEFT)


def test_lesion_is_added_when_only_its_site_is_chosen(
    browser: Browser, patient: Patient, records: Records
) -> None:
    send_lesion(browser, patient, anatom_site_general="oral/genital", laterality="right")

    assert records.one(Lesion).laterality is Laterality.RIGHT


@pytest.mark.parametrize(
    ("values", "element", "sentence"),
    [
        (ON_THE_LEFT_FOREARM | {"body_x": "0.02"}, "body_view-error", "not on the body"),
        (ON_THE_LEFT_FOREARM | {"body_x": "nan"}, "body_view-error", "not on the body"),
        (ON_THE_LEFT_FOREARM | {"body_x": ""}, "body_view-error", "Mark the lesion again"),
        (ON_THE_LEFT_FOREARM | {"body_y": "low"}, "body_view-error", "Mark the lesion again"),
        (ON_THE_LEFT_FOREARM | {"body_view": "side"}, "body_view-error", "Mark the lesion again"),
        (ON_THE_LEFT_FOREARM | {"laterality": "right"}, "laterality-error", "which is left, not right"),
        ({}, "anatom_site_general-error", "choose its site"),
    ],
    ids=["off the body", "no number", "half a place", "no number either", "no view", "other side", "nothing"],
)
def test_sentence_stands_beside_the_field_when_a_lesion_cannot_be(
    browser: Browser,
    patient: Patient,
    records: Records,
    values: dict[str, str],
    element: str,
    sentence: str,
) -> None:
    page = send_lesion(browser, patient, description="Typed", **values)

    assert page.status == 422
    assert sentence in words(page.soup.find(id=element))
    assert form_values(page.form())["description"].strip() == "Typed"
    assert records.count(Lesion) == 0


def test_marker_and_entry_lead_to_the_lesion_when_it_is_on_the_map(
    browser: Browser, patient: Patient
) -> None:
    lesion = LesionFactory(
        patient=patient,
        laterality=Laterality.LEFT,
        body_view=BodyView.FRONT,
        body_x=0.83,
        body_y=0.44,
        number=7,
    )

    page = browser.open(f"/patients/{patient.public_id}")

    drawing = page.soup.select_one("[data-body-map] svg[data-view=front]")
    assert drawing
    (marker,) = drawing.select("a[data-lesion]")
    assert marker["href"] == f"/lesions/{lesion.public_id}"
    assert marker["aria-label"] == "Lesion 7: Left forearm, front"
    assert marker["transform"] == "translate(166.0 193.6)"
    assert marker["href"] in {link["href"] for link in entry_of(page, 7).select("a[href]")}


def test_way_to_place_it_is_offered_when_a_lesion_is_not_on_the_map(
    browser: Browser, patient: Patient
) -> None:
    lesion = LesionFactory(patient=patient)

    entry = entry_of(browser.open(f"/patients/{patient.public_id}"), 1)

    assert "Not on the map yet." in words(entry)
    assert f"/lesions/{lesion.public_id}/edit" in {link["href"] for link in entry.select("a[href]")}


def test_entry_shows_result_plan_and_thumbnail_when_the_lesion_was_examined(
    browser: Browser, patient: Patient
) -> None:
    image = LesionImageFactory(lesion__patient=patient)
    answer = PredictionFactory(lesion_image=image, label=OutcomeLabel.MALIGNANT)
    ReviewFactory(prediction=answer, plan=ReviewPlan.MONITOR, due_on=date(2031, 3, 12))

    entry = entry_of(browser.open(f"/patients/{patient.public_id}"), 1)

    assert "Malignant — suspicious" in words(entry)
    assert "Plan: monitor, due 12 Mar 2031" in words(entry)
    thumbnail = entry.select_one("img")
    assert thumbnail
    assert thumbnail["src"] == f"/images/{image.public_id}/thumbnail"
    assert thumbnail["loading"] == "lazy"


def test_edit_form_shows_the_record_when_opened(browser: Browser, patient: Patient) -> None:
    lesion = LesionFactory(
        patient=patient,
        laterality=Laterality.LEFT,
        body_view=BodyView.FRONT,
        body_x=0.83,
        body_y=0.44,
        description="Flat",
    )

    page = browser.open(f"/lesions/{lesion.public_id}/edit")

    values = form_values(page.form())
    values.pop("csrf_token")
    # HTML drops the line break that a text area starts with; the parser keeps it.
    values["description"] = values["description"].strip()
    assert values == ON_THE_LEFT_FOREARM | {
        "anatom_site_general": "upper extremity",
        "laterality": "left",
        "description": "Flat",
    }


def test_lesion_is_placed_when_the_edit_form_is_sent(
    browser: Browser, patient: Patient, records: Records
) -> None:
    lesion = LesionFactory(patient=patient)

    page = browser.fill_in(f"/lesions/{lesion.public_id}/edit", **ON_THE_LEFT_FOREARM, laterality="")

    assert page.path == f"/patients/{patient.public_id}"
    assert "The changes to lesion 1 are saved." in page.text
    assert records.one(Lesion).body_view is BodyView.FRONT


def test_edit_is_refused_when_off_the_body(browser: Browser, patient: Patient, records: Records) -> None:
    lesion = LesionFactory(patient=patient)

    page = browser.fill_in(
        f"/lesions/{lesion.public_id}/edit", **ON_THE_LEFT_FOREARM | {"body_y": "0.01"}, description="New"
    )

    assert page.status == 422
    assert "not on the body" in words(page.soup.find(id="body_view-error"))
    assert records.one(Lesion).description == lesion.description


def test_patient_page_takes_as_many_queries_when_there_are_twenty_lesions(
    app: Flask, browser: Browser, clinic: Clinic
) -> None:
    counts = []
    for lesions in (1, 20):
        patient = PatientFactory(clinic=clinic)
        for number in range(1, lesions + 1):
            lesion = LesionFactory(patient=patient, number=number)
            ReviewFactory(prediction=PredictionFactory(lesion_image__lesion=lesion))
            PredictionFactory(lesion_image__lesion=lesion)
        counts.append(count_queries(app, browser, f"/patients/{patient.public_id}"))

    assert counts[0] == counts[1]


def count_queries(app: Flask, browser: Browser, address: str) -> int:
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert browser.open(address).status == 200
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(statements)
