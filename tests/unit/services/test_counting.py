"""The counts follow the record: whatever the services do, in any order and at once, they stay what the record says."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from random import Random
from threading import Barrier
from typing import Any, Final

import pytest
from flask import Flask, current_app

from melanoma_app.errors import ConflictError
from melanoma_app.models import Clinic, Lesion, Patient
from melanoma_app.models.vocabulary import Dimension, Gender, OutcomeLabel, Role, StatisticsUnit
from melanoma_app.services import examinations, model_answers
from melanoma_app.services.actor import Actor
from melanoma_app.services.count_check import verify_statistics
from melanoma_app.services.examinations import score_image
from melanoma_app.services.model_answers import ModelAnswer
from melanoma_app.services.patient_merges import merge_patients, revert_merge
from melanoma_app.services.patients import MergedPatientError
from melanoma_app.services.statistics import (
    count_everything,
    count_outcomes,
    measure_agreement,
)
from melanoma_app.services.statistics_filter import StatisticsFilter
from tests.clerk import Clerk, change_patient, enter_answer, sign
from tests.examining import examine
from tests.factories import LesionFactory, ModelVersionFactory, UserFactory, actor_of
from tests.plain_counts import axis_of, bars, let_through, read_plain_tests, shown_bars
from tests.populations import count_population, write_population
from tests.records import Records, end_app_transaction

WRITERS: Final = 8
ROUNDS: Final = 5
STEPS: Final = 18
STEPS_A_CHECK: Final = 3


def expect_truth(records: Records, actor: Actor) -> None:
    """The counts are what the record says, by the program's own check and by plain Python."""
    end_app_transaction()
    assert list(verify_statistics()) == []
    tests = read_plain_tests(records.engine, actor.clinic_id)
    for unit in StatisticsUnit:
        chosen = StatisticsFilter(unit=unit)
        through = let_through(tests, chosen)
        overview = count_everything(chosen=chosen, actor=actor)
        for dimension, groups in (
            (Dimension.GENDER, overview.genders),
            (Dimension.AGE, overview.ages),
            (Dimension.SITE, overview.sites),
            (Dimension.SKIN_TYPE, overview.skin_types),
            (Dimension.MODEL, overview.models),
            (Dimension.PERIOD, overview.trend),
        ):
            key_of, names = axis_of(dimension, through)
            assert shown_bars(groups) == bars(through, key_of, names), (unit, dimension)
        for agreement in overview.agreements:
            for truth, positive in (
                ("malignant", agreement.true_positive),
                ("benign", agreement.false_positive),
            ):
                judged = let_through(tests, chosen, against=agreement.against, truth=truth)
                assert positive == sum(one.outcome == "malignant" for one in judged)
    end_app_transaction()


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("seed", range(2))
def test_counts_are_what_the_record_says_after_each_step_when_services_run_in_any_order(
    records: Records, seed: int
) -> None:
    clinic, user = write_population(Random(seed), patients=4)
    count_population(clinic)
    clerk = Clerk(Random(seed), actor_of(user))
    done = []
    for step in range(STEPS):
        done.append(clerk.act())
        if step % STEPS_A_CHECK == 0:
            assert list(verify_statistics()) == [], done
    expect_truth(records, clerk.actor)


@pytest.mark.usefixtures("context")
def test_answer_counts_for_the_kept_patient_when_they_are_merged_while_the_model_looks(
    records: Records, actor: Actor, lesion_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = LesionFactory(patient__clinic=actor.user.clinic).patient
    image = examine(lesion_id, actor).lesion_image
    merged = records.one(Patient, Patient.id == records.one(Lesion, Lesion.public_id == lesion_id).patient_id)
    ask_model = model_answers.ask_model

    def merge_meanwhile(**values: Any) -> ModelAnswer:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(merge).result()
        return ask_model(**values)

    def merge() -> None:
        with current_app_object.app_context():
            merge_patients(
                kept_public_id=kept.public_id, merged_public_id=merged.public_id, reason="One", actor=actor
            )

    current_app_object = current_app._get_current_object()  # type: ignore[attr-defined]
    monkeypatch.setattr(examinations, "ask_model", merge_meanwhile)

    score_image(image_public_id=image.public_id, actor=actor)

    expect_truth(records, actor)


@pytest.mark.usefixtures("context")
def test_examination_is_counted_once_when_its_photograph_is_scored_again(
    records: Records, actor: Actor, lesion_id: uuid.UUID
) -> None:
    prediction = examine(lesion_id, actor)
    assert count_outcomes(chosen=StatisticsFilter(), actor=actor).total == 1

    score_image(image_public_id=prediction.lesion_image.public_id, actor=actor)

    assert count_outcomes(chosen=StatisticsFilter(), actor=actor).total == 1
    expect_truth(records, actor)


def at_once(app: Flask, acts: Sequence[Callable[[], None]]) -> None:
    """Do several things in threads that start together; what one raises comes out."""
    barrier = Barrier(len(acts))

    def act_in_context(act: Callable[[], None]) -> None:
        with app.app_context():
            barrier.wait(timeout=30)
            act()

    with ThreadPoolExecutor(len(acts)) as pool:
        list(pool.map(act_in_context, acts))


def test_no_count_is_lost_when_eight_examine_and_sign_at_once(
    app: Flask, clinic: Clinic, records: Records
) -> None:
    shared = LesionFactory(patient__clinic=clinic).public_id
    lesions = [LesionFactory(patient__clinic=clinic).public_id for _ in range(WRITERS)]
    models = [ModelVersionFactory().id for _ in range(2)]
    staff = [actor_of(UserFactory(clinic=clinic, role=Role.CLINICIAN)) for _ in range(WRITERS)]

    def write(number: int) -> None:
        for turn in range(ROUNDS):
            for lesion, label in (
                (lesions[number], OutcomeLabel.MALIGNANT),
                (shared, OutcomeLabel.BENIGN),
            ):
                image = enter_answer(lesion, label, models[turn % 2], staff[number])
                end_app_transaction()
                sign(image, OutcomeLabel.MALIGNANT, staff[number])
                end_app_transaction()

    at_once(app, [partial(write, number) for number in range(WRITERS)])

    each = WRITERS * ROUNDS
    with app.app_context():
        expect_truth(records, staff[0])
        outcomes = count_outcomes(chosen=StatisticsFilter(), actor=staff[0])
        assert (outcomes.positive, outcomes.negative) == (each, each)
        against_reviews = measure_agreement(chosen=StatisticsFilter(), actor=staff[0])[0]
        assert (against_reviews.true_positive, against_reviews.false_negative) == (each, each)
        by_patient = count_outcomes(chosen=StatisticsFilter(unit=StatisticsUnit.PATIENT), actor=staff[0])
        assert (by_patient.positive, by_patient.negative) == (WRITERS, 1)
        end_app_transaction()


def test_no_count_is_lost_when_patients_are_merged_parted_and_edited_beside_examinations(
    app: Flask, clinic: Clinic, records: Records
) -> None:
    pairs = [[LesionFactory(patient__clinic=clinic) for _ in range(2)] for _ in range(2)]
    model = ModelVersionFactory().id
    staff = [actor_of(UserFactory(clinic=clinic, role=Role.CLINICIAN)) for _ in range(WRITERS)]

    def merge_and_part(pair: int) -> None:
        kept, merged = (lesion.patient.public_id for lesion in pairs[pair])
        for _ in range(ROUNDS):
            merge = merge_patients(
                kept_public_id=kept, merged_public_id=merged, reason="One person", actor=staff[pair]
            ).public_id
            end_app_transaction()
            revert_merge(public_id=merge, actor=staff[pair])
            end_app_transaction()

    def examine_pair(number: int, pair: int) -> None:
        for turn in range(2 * ROUNDS):
            lesion = pairs[pair][turn % 2]
            enter_answer(lesion.public_id, list(OutcomeLabel)[number % 2], model, staff[number])
            end_app_transaction()

    def edit(number: int, pair: int) -> None:
        for turn in range(2 * ROUNDS):
            patient = records.one(Patient, Patient.id == pairs[pair][0].patient_id)
            with suppress(ConflictError, MergedPatientError):  # somebody else was faster
                change_patient(patient, staff[number], gender=list(Gender)[turn % len(Gender)])
            end_app_transaction()

    acts = [
        *(partial(merge_and_part, pair) for pair in range(2)),
        *(partial(examine_pair, number, number % 2) for number in range(2, 6)),
        *(partial(edit, number, number % 2) for number in range(6, 8)),
    ]
    at_once(app, acts)

    with app.app_context():
        expect_truth(records, staff[0])
        assert count_outcomes(chosen=StatisticsFilter(), actor=staff[0]).total == 4 * 2 * ROUNDS
        end_app_transaction()
