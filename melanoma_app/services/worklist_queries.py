"""What is open in the record, as queries; `services/worklist.py` says what each list means."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import aliased

from melanoma_app.errors import InvalidInputError
from melanoma_app.models import Histopathology, Lesion, LesionImage, Patient, Prediction, Review
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import ReviewPlan
from melanoma_app.services.actor import Actor
from melanoma_app.services.patients import clinic_day

Rows = Select[*tuple[Any, ...]]
"""A query, whatever its rows hold."""
UNSCORED: Final = -1.0
"""Below every probability, so that photographs that no model has looked at come last."""


@dataclass(frozen=True, kw_only=True)
class WorklistPosition:
    """A place in the order of the unsigned photographs: probability, moment of the photograph, its key."""

    rank: float
    captured_at: datetime
    key: int


def unsigned_ids(actor: Actor) -> Rows:
    """The keys of the photographs without a review: one look into the reviews' unique index for each photograph."""
    return in_clinic(
        select(LesionImage.id).where(LesionImage.id.not_in(select(Review.lesion_image_id))), actor
    )


def unsigned_images(query: Rows, actor: Actor) -> Rows:
    """Photographs without a review, and the prediction that counts for each."""
    unsigned = unsigned_ids(actor).subquery()
    return (
        query.select_from(LesionImage)
        .join(unsigned, unsigned.c.id == LesionImage.id)
        .outerjoin(Prediction, newest_prediction_of_image())
    )


def newest_prediction_of_image() -> ColumnElement[bool]:
    """What joins a photograph to the prediction that counts: one look into an index for each photograph."""
    other = aliased(Prediction)
    newest = select(func.max(other.id)).where(other.lesion_image_id == LesionImage.id)
    return and_(
        Prediction.lesion_image_id == LesionImage.id,
        Prediction.id == newest.correlate(LesionImage).scalar_subquery(),
    )


def first_waiting_biopsies(actor: Actor) -> Rows:
    """The key of the first review a lesion that asked for a biopsy and has had no report since."""
    reported = (
        select(Histopathology.id)
        .where(
            Histopathology.lesion_id == LesionImage.lesion_id,
            Histopathology.recorded_at > Review.signed_at,
        )
        .correlate(LesionImage, Review)
    )
    return (
        select(func.min(Review.id).label("id"))
        .join(Review.lesion_image)
        .where(Review.plan == ReviewPlan.BIOPSY, ~reported.exists(), _reviewed_in_clinic(actor))
        .group_by(LesionImage.lesion_id)
    )


def overdue_monitoring(query: Rows, actor: Actor) -> Rows:
    """Reviews past their day that are the newest of their lesion and were followed by no photograph."""
    newer, newer_image, followed = aliased(Review), aliased(LesionImage), aliased(LesionImage)
    is_followed = select(followed.id).where(
        followed.lesion_id == LesionImage.lesion_id, followed.captured_at > Review.signed_at
    )
    has_newer = (
        select(newer.id)
        .join(newer_image, newer.lesion_image_id == newer_image.id)
        .where(newer_image.lesion_id == LesionImage.lesion_id, newer.id > Review.id)
    )
    return (
        query.select_from(Review)
        .join(Review.lesion_image)
        .where(
            Review.plan == ReviewPlan.MONITOR,
            Review.due_on < clinic_day(utc_now(), actor=actor),
            ~is_followed.correlate(LesionImage, Review).exists(),
            ~has_newer.correlate(LesionImage, Review).exists(),
            _reviewed_in_clinic(actor),
        )
    )


def in_clinic(query: Rows, actor: Actor) -> Rows:
    """What a query of photographs finds in the actor's clinic."""
    return query.join(LesionImage.lesion).join(Lesion.patient).where(Patient.clinic_id == actor.clinic_id)


def _reviewed_in_clinic(actor: Actor) -> ColumnElement[bool]:
    """The same for a query of reviews, asked of each: a join would tempt MariaDB to walk all patients first."""
    owner = (
        select(Patient.clinic_id)
        .join(Lesion, Lesion.patient_id == Patient.id)
        .where(Lesion.id == LesionImage.lesion_id)
    )
    return owner.correlate(LesionImage).scalar_subquery() == actor.clinic_id


def risk_rank() -> ColumnElement[float]:
    """The newest prediction's probability, or `UNSCORED`."""
    return func.coalesce(Prediction.malignancy_probability, UNSCORED)


def in_worklist_order(query: Rows) -> Rows:
    """The highest probability first, then the oldest photograph."""
    return query.order_by(risk_rank().desc(), LesionImage.captured_at, LesionImage.id)


def is_behind(position: WorklistPosition) -> ColumnElement[bool]:
    """Whether a photograph comes after a place in that order."""
    rank, captured_at, key = risk_rank(), LesionImage.captured_at, LesionImage.id
    later = and_(
        captured_at >= position.captured_at, or_(captured_at > position.captured_at, key > position.key)
    )
    return and_(rank <= position.rank, or_(rank < position.rank, later))


def write_position(position: WorklistPosition) -> str:
    """The place as a cursor; `repr` keeps every digit of the probability, so that none is skipped or seen twice."""
    text = f"{position.rank!r}|{position.captured_at.isoformat()}|{position.key}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_position(cursor: str) -> WorklistPosition:
    """The place that a cursor names.

    Raises:
        InvalidInputError: It is not one of ours.
    """
    try:
        rank, at, key = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split("|")
        position = WorklistPosition(rank=float(rank), captured_at=datetime.fromisoformat(at), key=int(key))
        if position.captured_at.tzinfo is None or not 0 <= position.key < 2**63:
            raise ValueError(cursor)
        if not UNSCORED <= position.rank <= 1:  # which "nan" is not either
            raise ValueError(cursor)
        position.captured_at.astimezone(UTC)
    except (ValueError, OverflowError, binascii.Error) as error:
        raise InvalidInputError(
            "The cursor is not one that this list gave out. Start again without it.",
            fields={"cursor": ["Not a cursor of this list."]},
        ) from error
    return position
