"""The worklist: photographs that nobody has signed, laboratory reports that are due, patients who should be back.

All of it is computed from the record whenever it is asked for; nothing is marked as open or done anywhere.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Label, case, func, select
from sqlalchemy.orm import joinedload

from melanoma_app.errors import NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import Lesion, LesionImage, Prediction, Review
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import OutcomeLabel
from melanoma_app.services.actor import Actor
from melanoma_app.services.paging import PAGE_SIZE, Page
from melanoma_app.services.patient_search import record_patients_shown
from melanoma_app.services.worklist_queries import (
    UNSCORED,
    Rows,
    WorklistPosition,
    first_waiting_biopsies,
    in_clinic,
    in_worklist_order,
    is_behind,
    newest_prediction_of_image,
    overdue_monitoring,
    read_position,
    risk_rank,
    unsigned_ids,
    unsigned_images,
    write_position,
)

HISTOLOGY_DUE_AFTER: Final = timedelta(days=28)
"""A biopsy without a laboratory report after this long is called overdue (the clinic's own net, issue 4)."""
COUNTED_UP_TO: Final = 100
"""Where the counts of the navigation stop: from here on they say 99+."""
LONGEST_WAITING: Final = 100
"""How many rows the two lists without pages show."""


@dataclass(frozen=True, kw_only=True)
class UnsignedImage:
    """A photograph without a review, with its newest prediction if there is one."""

    image: LesionImage
    prediction: Prediction | None


@dataclass(frozen=True, kw_only=True)
class PendingHistology:
    """The review that asked for a biopsy whose report has not come."""

    review: Review
    is_overdue: bool


@dataclass(frozen=True, kw_only=True)
class WorklistCounts:
    """How much there is to do; no number goes beyond `COUNTED_UP_TO`."""

    unsigned: int
    histology_pending: int
    monitoring_overdue: int

    @property
    def total(self) -> int:
        """All three; as inexact as they are."""
        return self.unsigned + self.histology_pending + self.monitoring_overdue

    @property
    def shown_total(self) -> str:
        """The total in words."""
        return describe_count(self.total)


@dataclass(frozen=True, kw_only=True)
class OpenRisks:
    """What the overview tells of the worklist, counted to the end.

    Args:
        unsigned: Photographs without a review.
        unsigned_malignant: Those of them that the newest prediction calls malignant.
        histology_overdue: Lesions whose laboratory report is overdue.
    """

    unsigned: int
    unsigned_malignant: int
    histology_overdue: int


def list_unsigned(
    *, actor: Actor, cursor: str | None = None, size: int = PAGE_SIZE, outcome: OutcomeLabel | None = None
) -> Page[UnsignedImage]:
    """The clinic's photographs that nobody has signed; whom it showed is audited.

    The highest probability comes first, then the oldest photograph; those without a prediction come last. A cursor
    names a place in that order, not a photograph, so a walk goes on where it was although photographs are signed or
    scored again meanwhile; one that is scored again can turn up a second time, or wait for the next walk.

    Args:
        actor: Who looks.
        cursor: Where the page before ended.
        size: Rows a page.
        outcome: Only photographs whose newest prediction says so; None for all.

    Raises:
        InvalidInputError: The cursor is not one of ours.
    """
    query = in_worklist_order(unsigned_images(select(LesionImage, Prediction), actor)).options(
        joinedload(LesionImage.lesion, innerjoin=True).joinedload(Lesion.patient, innerjoin=True),
        joinedload(Prediction.model_version),
    )
    if outcome:
        query = query.where(Prediction.label == outcome)
    if cursor:
        query = query.where(is_behind(read_position(cursor)))
    rows = db.session.execute(query.limit(size + 1)).all()
    items = [UnsignedImage(image=image, prediction=prediction) for image, prediction in rows[:size]]
    record_patients_shown(patients=[one.image.lesion.patient for one in items], actor=actor)
    db.session.commit()
    return Page(items=items, next_cursor=write_position(_position(items[-1])) if len(rows) > size else None)


def next_unsigned(*, actor: Actor, after: uuid.UUID | None = None) -> uuid.UUID | None:
    """The photograph to sign next: the first of the worklist, or the first behind a photograph.

    Args:
        actor: Who signs.
        after: The photograph that was open; it keeps its place in the order when it has been signed meanwhile.

    Returns:
        The photograph's public id; None when nothing is left from there on.

    Raises:
        NotFoundError: The clinic has no photograph `after`.
    """
    query = in_worklist_order(unsigned_images(select(LesionImage.public_id), actor))
    if after:
        query = query.where(is_behind(_find_position(after, actor)))
    found = db.session.scalars(query.limit(1)).first()
    db.session.commit()
    return found


def list_pending_histology(*, actor: Actor, size: int | None = LONGEST_WAITING) -> Sequence[PendingHistology]:
    """The lesions whose biopsy has no laboratory report yet, the longest wait first; audited.

    A report counts when it was recorded after the review was signed. A lesion stands here once, with the first
    review that still waits.
    """
    reviews = _load_reviews(
        select(Review)
        .join(waiting := first_waiting_biopsies(actor).subquery(), waiting.c.id == Review.id)
        .order_by(Review.signed_at, Review.id)
        .limit(size),
        actor,
    )
    overdue_before = utc_now() - HISTOLOGY_DUE_AFTER
    return [PendingHistology(review=one, is_overdue=one.signed_at < overdue_before) for one in reviews]


def list_overdue_monitoring(*, actor: Actor, size: int | None = LONGEST_WAITING) -> Sequence[Review]:
    """The reviews whose follow-up day has passed without a new photograph, the longest overdue first; audited."""
    return _load_reviews(
        overdue_monitoring(select(Review), actor).order_by(Review.due_on, Review.id).limit(size), actor
    )


def count_worklist(*, actor: Actor) -> WorklistCounts:
    """How much there is to do, for the navigation of every page: one statement, counting no further than needed.

    It neither writes what the session holds unsaved (a page that shows a refused form) nor ends its transaction.
    """
    sections = (
        unsigned_ids(actor),
        first_waiting_biopsies(actor),
        overdue_monitoring(select(Review.id), actor),
    )
    with db.session.no_autoflush:
        unsigned, histology_pending, monitoring_overdue = db.session.execute(
            select(
                *(
                    select(func.count()).select_from(one.limit(COUNTED_UP_TO).subquery()).scalar_subquery()
                    for one in sections
                )
            )
        ).one()
    return WorklistCounts(
        unsigned=unsigned, histology_pending=histology_pending, monitoring_overdue=monitoring_overdue
    )


def count_open_risks(*, actor: Actor) -> OpenRisks:
    """The worklist's figures of the overview, in two statements."""
    labels = unsigned_images(select(Prediction.label), actor).subquery()
    unsigned, malignant = db.session.execute(
        select(func.count(), func.count(case((labels.c.label == OutcomeLabel.MALIGNANT, 1)))).select_from(
            labels
        )
    ).one()
    overdue = (
        first_waiting_biopsies(actor).where(Review.signed_at < utc_now() - HISTOLOGY_DUE_AFTER).subquery()
    )
    return OpenRisks(
        unsigned=unsigned,
        unsigned_malignant=malignant,
        histology_overdue=db.session.scalar(select(func.count()).select_from(overdue)) or 0,
    )


def describe_count(number: int) -> str:
    """A capped count in words: `7`, `99+`."""
    return f"{COUNTED_UP_TO - 1}+" if number >= COUNTED_UP_TO else str(number)


def _load_reviews(query: Rows, actor: Actor) -> Sequence[Review]:
    reviews: Sequence[Review] = db.session.scalars(
        query.options(
            joinedload(Review.lesion_image, innerjoin=True)
            .joinedload(LesionImage.lesion, innerjoin=True)
            .joinedload(Lesion.patient, innerjoin=True),
            joinedload(Review.prediction).joinedload(Prediction.model_version),
            joinedload(Review.signed_by, innerjoin=True),
        )
    ).all()
    record_patients_shown(patients=[one.lesion_image.lesion.patient for one in reviews], actor=actor)
    db.session.commit()
    return reviews


def _position(row: UnsignedImage) -> WorklistPosition:
    return WorklistPosition(
        rank=row.prediction.malignancy_probability if row.prediction else UNSCORED,
        captured_at=row.image.captured_at,
        key=row.image.id,
    )


def _find_position(public_id: uuid.UUID, actor: Actor) -> WorklistPosition:
    place: Label[float] = risk_rank().label("rank")
    query = in_clinic(select(place, LesionImage.captured_at, LesionImage.id).select_from(LesionImage), actor)
    row = db.session.execute(
        query.outerjoin(Prediction, newest_prediction_of_image()).where(LesionImage.public_id == public_id)
    ).one_or_none()
    if row is None:
        raise NotFoundError("There is no such photograph in your clinic. Start again from the worklist.")
    return WorklistPosition(rank=row[0], captured_at=row[1], key=row[2])
