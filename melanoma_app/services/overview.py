"""What the overview and the patient list show at a glance."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.orm import contains_eager

from melanoma_app.extensions import db
from melanoma_app.models import Lesion, LesionImage, OutcomeCount, Patient, Prediction, RecordTotal
from melanoma_app.models.base import utc_now
from melanoma_app.models.prediction import is_latest_of_image
from melanoma_app.models.vocabulary import ComparedWith
from melanoma_app.services.actor import Actor
from melanoma_app.services.count_slices import Grain, find_slice
from melanoma_app.services.counted_tests import find_tests
from melanoma_app.services.paging import PAGE_SIZE
from melanoma_app.services.patient_search import (
    SearchPage,
    find_newest_patients,
    record_patients_shown,
    search_patients,
)
from melanoma_app.services.patients import clinic_day
from melanoma_app.services.small_numbers import Count
from melanoma_app.services.statistics import protect_for
from melanoma_app.services.statistics_filter import StatisticsFilter
from melanoma_app.services.worklist import overdue_histology
from melanoma_app.services.worklist_queries import count_up_to

OVERDUE_COUNTED_UP_TO: Final = 10_000
"""Where the count of overdue laboratory reports stops; all other figures are kept, this one changes with the hour."""
_TOTALS: Final = (
    RecordTotal.patients,
    RecordTotal.lesions,
    RecordTotal.awaiting_review,
    RecordTotal.high_risk_unsigned,
)


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """The figures at the top of the overview; the week began on `week_starts_on`, a Monday.

    Args:
        patients: All of the clinic; who was merged into another record is that other one.
        lesions: Those of these patients.
        examinations_this_week: Photographs of this week that a model has looked at.
        awaiting_review: Photographs that nobody has signed.
        high_risk_unsigned: Those of them that the newest prediction calls malignant.
        histology_overdue: Lesions whose laboratory report should have come; counted up to 10,000.
        week_starts_on: The Monday.
    """

    patients: Count
    lesions: Count
    examinations_this_week: Count
    awaiting_review: Count
    high_risk_unsigned: Count
    histology_overdue: Count
    week_starts_on: date


@dataclass(frozen=True, kw_only=True)
class PatientSummary:
    """A patient with the prediction of the latest photograph, if there is one."""

    patient: Patient
    last_prediction: Prediction | None


@dataclass(frozen=True, kw_only=True)
class NewestRecords:
    """What came last."""

    tests: Sequence[Prediction]
    patients: Sequence[PatientSummary]


def count_tiles(*, actor: Actor) -> Tiles:
    """The figures of the actor's clinic, protected for those who may not see patients; one statement."""
    today = clinic_day(utc_now(), actor=actor)
    monday = today - timedelta(days=today.weekday())
    # Zeros where nothing is on record yet.
    totals = [func.coalesce(func.max(one), 0) for one in _TOTALS]
    *known, overdue, this_week = db.session.execute(
        select(
            *totals,
            count_up_to(OVERDUE_COUNTED_UP_TO, overdue_histology(actor)),
            _tests_since(monday, actor),
        ).where(RecordTotal.clinic_id == actor.clinic_id)
    ).one()
    patients, lesions, awaiting_review, high_risk_unsigned = known
    return Tiles(
        patients=protect_for(actor, patients),
        lesions=protect_for(actor, lesions),
        examinations_this_week=protect_for(actor, int(this_week)),
        awaiting_review=protect_for(actor, awaiting_review),
        high_risk_unsigned=protect_for(actor, high_risk_unsigned),
        histology_overdue=protect_for(actor, overdue),
        week_starts_on=monday,
    )


def list_newest(
    *, chosen: StatisticsFilter, model_ids: Collection[int] | None, actor: Actor, size: int
) -> NewestRecords:
    """The latest tests that the filters let through, and the newest patients; audited together.

    Args:
        chosen: Which tests.
        model_ids: The rows of the model that `chosen` names; None when it names none.
        actor: Who looks.
        size: How many of each.
    """
    tests = find_tests(chosen=chosen, model_ids=model_ids, actor=actor, size=size).items
    patients = find_newest_patients(actor=actor, size=size)
    last = _last_predictions(patients)
    record_patients_shown(
        patients=[*(test.lesion_image.lesion.patient for test in tests), *patients], actor=actor
    )
    db.session.commit()
    return NewestRecords(
        tests=tests,
        patients=[
            PatientSummary(patient=patient, last_prediction=last.get(patient.id)) for patient in patients
        ],
    )


def list_patient_summaries(
    *, search: str, actor: Actor, cursor: str | None = None, size: int = PAGE_SIZE
) -> SearchPage[PatientSummary]:
    """The patients that fit a search, newest first, each with the last result."""
    page = search_patients(search=search, actor=actor, cursor=cursor, size=size)
    last = _last_predictions(page.items)
    return page.map(lambda patient: PatientSummary(patient=patient, last_prediction=last.get(patient.id)))


def _tests_since(day: date, actor: Actor) -> ScalarSelect[int]:
    """The tests from a day on, from the counters that tell nothing but days apart."""
    by_day = find_slice(grain=Grain.DAY, needed=frozenset(), compared_with=ComparedWith.NOTHING)
    assert by_day is not None  # noqa: S101 (a slice that is always kept)
    tests = func.sum(OutcomeCount.positive_tests + OutcomeCount.negative_tests)
    return (
        select(func.coalesce(tests, 0))
        .where(
            OutcomeCount.clinic_id == actor.clinic_id,
            OutcomeCount.slice == by_day.name,
            OutcomeCount.compared_with == ComparedWith.NOTHING,
            OutcomeCount.period_start >= day,
        )
        .scalar_subquery()
    )


def _last_predictions(patients: Sequence[Patient]) -> dict[int, Prediction]:
    """The latest photograph's latest prediction of each patient, by the patient's key, in one query."""
    ranked = (
        select(
            Prediction.id.label("prediction_id"),
            func.row_number()
            .over(
                partition_by=Lesion.patient_id,
                order_by=(LesionImage.captured_at.desc(), LesionImage.id.desc()),
            )
            .label("position"),
        )
        .join(Prediction.lesion_image)
        .join(LesionImage.lesion)
        .where(Lesion.patient_id.in_([patient.id for patient in patients]), is_latest_of_image())
        .subquery()
    )
    predictions = db.session.scalars(
        select(Prediction)
        .join(ranked, ranked.c.prediction_id == Prediction.id)
        .join(Prediction.lesion_image)
        .join(LesionImage.lesion)
        .where(ranked.c.position == 1)
        .options(contains_eager(Prediction.lesion_image).contains_eager(LesionImage.lesion))
    )
    return {prediction.lesion_image.lesion.patient_id: prediction for prediction in predictions}
