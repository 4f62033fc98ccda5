"""Two people at once: one of them wins, the other is told, and nothing is lost or counted twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from melanoma_app.extensions import db
from melanoma_app.models import (
    AuditEvent,
    Clinic,
    Lesion,
    LesionImage,
    ModelActivation,
    ModelVersion,
    OpenTask,
    Patient,
    PatientMerge,
    Prediction,
    RecordTotal,
    User,
)
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.services.audit import verify_chains
from tests.api import PATIENT, send_image
from tests.browsing import Browser
from tests.examining import FILES_AN_IMAGE
from tests.factories import LesionFactory, PatientFactory, UserFactory
from tests.records import Records
from tests.released import OTHER, OTHER_THRESHOLD, SERVED

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
    assert records.count(Patient) == records.one(RecordTotal).patients == PEOPLE


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
    assert records.one(RecordTotal).lesions == PEOPLE


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
    assert len({answer.json["prediction"]["malignancy_probability"] for answer in answers}) == 1
    assert records.count(ModelVersion) == 1
    assert records.count(LesionImage) == records.count(Prediction) == PEOPLE
    assert records.count(OpenTask) == records.one(RecordTotal).awaiting_review == PEOPLE
    assert len(records.files()) == PEOPLE * FILES_AN_IMAGE


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


def test_one_merge_is_kept_when_all_merge_at_once_either_way_round(
    sign_in: Callable[..., Browser], user: object, clinic: Clinic, at_once: AtOnce, records: Records
) -> None:
    lesions = [LesionFactory(patient__clinic=clinic) for _ in range(2)]
    one, other = (lesion.patient.public_id for lesion in lesions)
    addresses = (f"/patients/{one}/merge?merged={other}", f"/patients/{other}/merge?merged={one}")
    browsers = [sign_in(user) for _ in range(PEOPLE)]
    pages = [browser.open(addresses[number % 2]) for number, browser in enumerate(browsers)]

    answers = at_once(
        lambda number: (
            browsers[number]
            .send(pages[number].form(), pages[number], follow=False, reason=f"Reason {number}")
            .response
        )
    )

    assert {answer.status_code for answer in answers} <= {303, 422}
    merge = records.one(PatientMerge)
    moved = sorted((lesion.patient_id, lesion.number) for lesion in records.all(Lesion))
    assert moved == [(merge.kept_id, 1), (merge.kept_id, 2)]


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


class TestModelSwitch:
    @pytest.fixture
    def environment(self, environment: dict[str, str], shelf: Path) -> dict[str, str]:
        """An app with two released models, of which the older serves by default."""
        return environment | {"MODEL_FOLDER": str(shelf), "MODEL_NAME": SERVED.name}

    @pytest.fixture
    def switch(
        self, app: Flask, clinic: Clinic, token_headers: Callable[[User], dict[str, str]]
    ) -> Callable[..., TestResponse]:
        headers = token_headers(UserFactory(clinic=clinic, role=Role.ADMIN))

        def put(model: str, **values: str) -> TestResponse:
            choice = {"model": model, "reason": "Better"} | values
            return app.test_client().put("/api/v1/models/active", json=choice, headers=headers)

        return put

    def test_one_wins_when_all_replace_the_same_model(
        self, switch: Callable[..., TestResponse], at_once: AtOnce, records: Records
    ) -> None:
        answers = at_once(lambda _: switch(OTHER, replaces=SERVED.name))

        assert sorted(answer.status_code for answer in answers) == [200, *[409] * (PEOPLE - 1)]
        assert records.one(ModelActivation).number == 1
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.MODEL_ACTIVATED) == 1

    def test_switches_stand_in_one_row_when_all_want_different_models(
        self,
        app: Flask,
        headers: dict[str, str],
        switch: Callable[..., TestResponse],
        at_once: AtOnce,
        records: Records,
    ) -> None:
        answers = at_once(lambda number: switch((OTHER, SERVED.name)[number % 2]))

        done = [answer for answer in answers if answer.status_code == 200]
        assert {answer.status_code for answer in answers} <= {200, 409}
        assert done
        rows = records.all(ModelActivation)
        assert [row.number for row in rows] == list(range(1, len(done) + 1))
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.MODEL_ACTIVATED) == len(done)
        listed = app.test_client().get("/api/v1/models", headers=headers).json
        (last,) = records.all(ModelVersion, ModelVersion.id == rows[-1].model_version_id)
        assert listed["active"]["id"] == f"{last.name}-{last.version}"

    def test_each_photograph_is_scored_by_one_whole_model_when_it_is_switched_meanwhile(
        self,
        app: Flask,
        headers: dict[str, str],
        clinic: Clinic,
        switch: Callable[..., TestResponse],
        at_once: AtOnce,
        records: Records,
        photograph: bytes,
    ) -> None:
        lesion = LesionFactory(patient__clinic=clinic)

        def act(number: int) -> TestResponse:
            if number == 0:
                for turn in range(6):
                    answer = switch((OTHER, SERVED.name)[turn % 2])
                    assert answer.status_code == 200
                return answer
            for _ in range(5):
                answer = send_image(app.test_client(), lesion.public_id, headers, photograph)
                assert answer.status_code == 201
            return answer

        at_once(act)

        names = {row.id: f"{row.name}-{row.version}" for row in records.all(ModelVersion)}
        predictions = records.all(Prediction)
        assert len(predictions) == 5 * (PEOPLE - 1)
        for prediction in predictions:
            is_other = prediction.threshold == OTHER_THRESHOLD
            assert names[prediction.model_version_id] == (OTHER if is_other else SERVED.name)

    def test_losers_are_told_on_their_page_when_all_send_the_form(
        self, sign_in: Callable[[User], Browser], clinic: Clinic, at_once: AtOnce, records: Records
    ) -> None:
        admin = UserFactory(clinic=clinic, role=Role.ADMIN)
        browsers = [sign_in(admin) for _ in range(PEOPLE)]
        pages = [browser.open(f"/models/{OTHER}") for browser in browsers]

        answers = at_once(
            lambda number: (
                browsers[number]
                .send(pages[number].form(), pages[number], follow=False, reason="Better")
                .response
            )
        )

        assert sorted(answer.status_code for answer in answers) == [302, *[409] * (PEOPLE - 1)]
        assert records.count(ModelActivation) == 1
