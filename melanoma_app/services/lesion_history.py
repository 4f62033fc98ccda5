"""A lesion over time: its photographs, the trend of the model's answers, its reviews and its laboratory reports."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import contains_eager, joinedload, selectinload

from melanoma_app.extensions import db
from melanoma_app.models import (
    Addendum,
    Histopathology,
    Lesion,
    LesionImage,
    ModelVersion,
    Prediction,
    Review,
)
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.body_map import LesionSite, describe_site
from melanoma_app.services.lesion_images import ImageRecord, list_image_records
from melanoma_app.services.lesions import find_lesion


@dataclass(frozen=True, kw_only=True)
class TrendPoint:
    """An answer on the trend; `time_share` is 0 for the first scored photograph, 1 for the last, 0.5 if all at once."""

    image: LesionImage
    prediction: Prediction
    time_share: float


@dataclass(frozen=True, kw_only=True)
class TrendSeries:
    """The answers of one model version at one threshold, oldest photograph first: only these can be compared."""

    model_version: ModelVersion
    threshold: float
    points: Sequence[TrendPoint]


@dataclass(frozen=True, kw_only=True)
class LaboratoryCheck:
    """The laboratory report that counts, beside what was said of the lesion before it.

    `prediction` and `review` are the newest ones of photographs taken up to the day of the report; None where there
    is none. A photograph taken later shows what the knife left, so it says nothing about the tissue.
    """

    histopathology: Histopathology
    prediction: Prediction | None
    review: Review | None


@dataclass(frozen=True, kw_only=True)
class LesionHistory:
    """Everything about a lesion.

    `photographs` are oldest first, `reviews` and `histopathology` newest first; the first laboratory report counts,
    and the others have been superseded by it.
    """

    lesion: Lesion
    site: LesionSite
    photographs: Sequence[ImageRecord]
    trend: Sequence[TrendSeries]
    reviews: Sequence[Review]
    histopathology: Sequence[Histopathology]
    laboratory_check: LaboratoryCheck | None


def read_lesion_history(*, public_id: uuid.UUID, actor: Actor) -> LesionHistory:
    """A lesion to be shown with its whole history; the reading is audited once.

    Raises:
        NotFoundError: There is none, or none in the actor's clinic.
    """
    lesion = find_lesion(public_id=public_id, actor=actor)
    photographs = list_image_records(lesion_ids=[lesion.id])[lesion.id][::-1]
    reviews = _list_reviews(lesion)
    histopathology = db.session.scalars(
        select(Histopathology)
        .where(Histopathology.lesion_id == lesion.id)
        .order_by(Histopathology.id.desc())
        .options(joinedload(Histopathology.recorded_by))
    ).all()
    record_event(
        action=AuditAction.PATIENT_READ, actor=actor, subject_public_id=public_id, patient=lesion.patient
    )
    db.session.commit()
    return LesionHistory(
        lesion=lesion,
        site=describe_site(lesion),
        photographs=photographs,
        trend=draw_trend(photographs),
        reviews=reviews,
        histopathology=histopathology,
        laboratory_check=_check_laboratory(histopathology[0], photographs, reviews)
        if histopathology
        else None,
    )


def draw_trend(photographs: Sequence[ImageRecord]) -> Sequence[TrendSeries]:
    """The newest answers of some photographs, one series for each model version and threshold.

    Photographs that no model has looked at are left out.

    Args:
        photographs: Of one lesion, oldest first.

    Returns:
        The series in the order in which their models first appear.
    """
    scored = [(one.image, one.prediction) for one in photographs if one.prediction is not None]
    if not scored:
        return []
    first, last = scored[0][0].captured_at, scored[-1][0].captured_at
    points: dict[tuple[int, float], list[TrendPoint]] = {}
    for image, prediction in scored:
        share = (image.captured_at - first) / (last - first) if last > first else 0.5
        points.setdefault((prediction.model_version_id, prediction.threshold), []).append(
            TrendPoint(image=image, prediction=prediction, time_share=share)
        )
    return [
        TrendSeries(
            model_version=series[0].prediction.model_version,
            threshold=series[0].prediction.threshold,
            points=series,
        )
        for series in points.values()
    ]


def _list_reviews(lesion: Lesion) -> Sequence[Review]:
    return db.session.scalars(
        select(Review)
        .join(Review.lesion_image)
        .where(LesionImage.lesion_id == lesion.id)
        .order_by(Review.signed_at.desc(), Review.id.desc())
        .options(
            contains_eager(Review.lesion_image),
            joinedload(Review.signed_by),
            selectinload(Review.addenda).joinedload(Addendum.written_by),
        )
    ).all()


def _check_laboratory(
    histopathology: Histopathology, photographs: Sequence[ImageRecord], reviews: Sequence[Review]
) -> LaboratoryCheck:
    last_day = histopathology.reported_on
    answers = (one.prediction for one in reversed(photographs) if one.image.captured_on <= last_day)
    return LaboratoryCheck(
        histopathology=histopathology,
        prediction=next((answer for answer in answers if answer is not None), None),
        review=next((one for one in reviews if one.lesion_image.captured_on <= last_day), None),
    )
