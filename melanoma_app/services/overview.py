"""What the overview and the patient list show at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import contains_eager

from melanoma_app.extensions import db
from melanoma_app.models import Lesion, LesionImage, Patient, Prediction
from melanoma_app.models.base import utc_now
from melanoma_app.models.prediction import is_latest_of_image
from melanoma_app.services.actor import Actor
from melanoma_app.services.paging import PAGE_SIZE
from melanoma_app.services.patient_merges import count_merged_patients
from melanoma_app.services.patient_search import SearchPage, search_patients
from melanoma_app.services.patients import clinic_day
from melanoma_app.services.statistics import StatisticsFilter, count_outcomes
from melanoma_app.services.worklist import count_open_risks


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """The figures at the top of the overview; the week began on `week_starts_on`, a Monday.

    Args:
        patients: All of the clinic; who was merged into another record is that other one.
        lesions: Those of these patients.
        examinations_this_week: Photographs of this week that a model has looked at.
        awaiting_review: Photographs that nobody has signed.
        high_risk_unsigned: Those of them that the newest prediction calls malignant.
        histology_overdue: Lesions whose laboratory report should have come.
        week_starts_on: The Monday.
    """

    patients: int
    lesions: int
    examinations_this_week: int
    awaiting_review: int
    high_risk_unsigned: int
    histology_overdue: int
    week_starts_on: date


@dataclass(frozen=True, kw_only=True)
class PatientSummary:
    """A patient with the prediction of the latest photograph, if there is one."""

    patient: Patient
    last_prediction: Prediction | None


def count_tiles(*, actor: Actor) -> Tiles:
    """The figures of the actor's clinic."""
    today = clinic_day(utc_now(), actor=actor)
    monday = today - timedelta(days=today.weekday())
    this_week = count_outcomes(chosen=StatisticsFilter(date_from=monday), actor=actor)
    risks = count_open_risks(actor=actor)
    in_clinic = Patient.clinic_id == actor.clinic_id
    return Tiles(
        patients=_count_patients(actor),
        lesions=db.session.scalar(
            select(func.count()).select_from(Lesion).join(Lesion.patient).where(in_clinic)
        )
        or 0,
        examinations_this_week=this_week.total,
        awaiting_review=risks.unsigned,
        high_risk_unsigned=risks.unsigned_malignant,
        histology_overdue=risks.histology_overdue,
        week_starts_on=monday,
    )


def list_patient_summaries(
    *, search: str, actor: Actor, cursor: str | None = None, size: int = PAGE_SIZE
) -> SearchPage[PatientSummary]:
    """The patients that fit a search, newest first, each with the last result."""
    page = search_patients(search=search, actor=actor, cursor=cursor, size=size)
    last = _last_predictions(page.items)
    return page.map(lambda patient: PatientSummary(patient=patient, last_prediction=last.get(patient.id)))


def _count_patients(actor: Actor) -> int:
    """Without those who were merged; counted apart, for there are few of them."""
    registered = select(func.count()).select_from(Patient).where(Patient.clinic_id == actor.clinic_id)
    return (db.session.scalar(registered) or 0) - count_merged_patients(actor=actor)


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
