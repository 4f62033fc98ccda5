"""Two people at once: one of them wins, the other is told, and nothing is lost or counted twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from melanoma_app.extensions import db
from melanoma_app.models import AuditEvent, Clinic, Lesion, LesionImage, ModelVersion, Patient, Prediction
from melanoma_app.services.audit import verify_chains
from tests.api import PATIENT, send_image
from tests.browsing import Browser
from tests.factories import LesionFactory, PatientFactory
from tests.records import Records

PEOPLE = 6


@pytest.fixture
def at_once() -> Callable[[Callable[[int], TestResponse]], list[TestResponse]]:
    """Call something from several threads that start together."""

    def call(function: Callable[[int], TestResponse]) -> list[TestResponse]:
        barrier = Barrier(PEOPLE)

        def wait_and_call(number: int) -> TestResponse:
            barrier.wait(timeout=10)
            return function(number)

        with ThreadPoolExecutor(PEOPLE) as pool:
            return list(pool.map(wait_and_call, range(PEOPLE)))

    return call


AtOnce = Callable[[Callable[[int], TestResponse]], list[TestResponse]]


@pytest.fixture(autouse=True)
def _chains_hold(app: Flask, records: Records) -> object:
    """Whatever happened at once, the audit chains hold afterwards."""
    yield
    with app.app_context():
        assert list(verify_chains()) == []
        db.session.remove()


def test_one_wins_when_all_register_the_same_mrn(
    app: Flask, headers: dict[str, str], at_once: AtOnce, records: Records
) -> None:
    answers = at_once(lambda _: app.test_client().post("/api/v1/patients", json=PATIENT, headers=headers))

    assert sorted(answer.status_code for answer in answers) == [201, *[409] * (PEOPLE - 1)]
    assert records.count(Patient) == 1


def test_all_are_kept_when_all_register_different_mrns(
    app: Flask, headers: dict[str, str], at_once: AtOnce, records: Records
) -> None:
    answers = at_once(
        lambda number: app.test_client().post(
            "/api/v1/patients", json=PATIENT | {"mrn": f"A-{number}"}, headers=headers
        )
    )

    assert [answer.status_code for answer in answers] == [201] * PEOPLE
    assert records.count(Patient) == PEOPLE


def test_numbers_are_unique_when_all_add_a_lesion(
    app: Flask, headers: dict[str, str], clinic: Clinic, at_once: AtOnce, records: Records
) -> None:
    patient = PatientFactory(clinic=clinic)
    address = f"/api/v1/patients/{patient.public_id}/lesions"

    answers = at_once(
        lambda _: app.test_client().post(address, json={"anatom_site_general": "head/neck"}, headers=headers)
    )

    assert [answer.status_code for answer in answers] == [201] * PEOPLE
    assert sorted(lesion.number for lesion in records.all(Lesion)) == list(range(1, PEOPLE + 1))


def test_all_are_kept_when_all_send_their_first_photograph(
    app: Flask,
    headers: dict[str, str],
    clinic: Clinic,
    at_once: AtOnce,
    records: Records,
    photograph: bytes,
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)

    answers = at_once(lambda _: send_image(app.test_client(), lesion.public_id, headers, photograph))

    assert [answer.status_code for answer in answers] == [201] * PEOPLE
    assert len({answer.json["malignancy_probability"] for answer in answers}) == 1
    assert records.count(ModelVersion) == 1
    assert records.count(LesionImage) == records.count(Prediction) == len(records.files()) == PEOPLE


def test_one_edit_is_kept_when_all_save_at_once(
    sign_in: Callable[..., Browser], user: object, clinic: Clinic, at_once: AtOnce, records: Records
) -> None:
    patient = PatientFactory(clinic=clinic)
    browsers = [sign_in(user) for _ in range(PEOPLE)]
    pages = [browser.open(f"/patients/{patient.public_id}/edit") for browser in browsers]

    answers = at_once(
        lambda number: (
            browsers[number]
            .send(pages[number].form(), pages[number], follow=False, given_name=f"Name{number}")
            .response
        )
    )

    winners = [number for number, answer in enumerate(answers) if answer.status_code == 302]
    assert len(winners) == 1
    stored = records.one(Patient)
    assert (stored.given_name, stored.version) == (f"Name{winners[0]}", 2)


def test_entries_stand_in_one_row_when_all_read_at_once(
    app: Flask, headers: dict[str, str], clinic: Clinic, at_once: AtOnce, records: Records
) -> None:
    patient = PatientFactory(clinic=clinic)

    answers = at_once(
        lambda _: app.test_client().get(f"/api/v1/patients/{patient.public_id}", headers=headers)
    )

    assert [answer.status_code for answer in answers] == [200] * PEOPLE
    reads = records.count(AuditEvent, AuditEvent.patient_public_id == patient.public_id)
    assert reads == PEOPLE
