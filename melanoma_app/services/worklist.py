"""The worklist: photographs that nobody has signed, laboratory reports that are due, patients who should be back.

Nobody marks anything as open or done: what is open follows from the record. It used to be computed whenever it was
asked for, which took seconds on a million photographs, on every page. So it is kept as rows (`OpenTask`) that
`services/open_tasks.py` derives from the record in every transaction that changes what is open. `flask statistics
verify` derives them again and reports any difference, `rebuild` mends it. What changes with the day, such as being
overdue, is in no row.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from melanoma_app.errors import NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import Lesion, LesionImage, OpenTask, Patient, Prediction, Review
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import OpenTaskKind, OutcomeLabel
from melanoma_app.services.actor import Actor
from melanoma_app.services.paging import PAGE_SIZE, Page
from melanoma_app.services.patient_search import record_patients_shown
from melanoma_app.services.worklist_queries import (
    UNSCORED,
    Rows,
    WorklistPosition,
    count_up_to,
    counts_for_image,
    in_worklist_order,
    is_behind,
    open_tasks,
    overdue_monitoring,
    read_position,
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
    tasks = in_worklist_order(
        open_tasks(
            select(OpenTask.lesion_image_id, OpenTask.risk_order, OpenTask.since),
            OpenTaskKind.UNSIGNED,
            actor,
        )
    )
    if outcome:
        tasks = tasks.where(OpenTask.outcome == outcome)
    if cursor:
        tasks = tasks.where(is_behind(read_position(cursor)))
    # Cut to the page before anything is joined, so that no server can think of another way than along the index.
    listed = tasks.limit(size + 1).subquery()
    rows = db.session.execute(
        select(LesionImage, Prediction, listed.c.risk_order)
        .join(listed, listed.c.lesion_image_id == LesionImage.id)
        .outerjoin(Prediction, counts_for_image())
        .order_by(listed.c.risk_order, listed.c.since, listed.c.lesion_image_id)
        .options(
            joinedload(LesionImage.lesion, innerjoin=True).joinedload(Lesion.patient, innerjoin=True),
            joinedload(Prediction.model_version),
        )
    ).all()
    items = [UnsignedImage(image=image, prediction=prediction) for image, prediction, _ in rows[:size]]
    record_patients_shown(patients=[one.image.lesion.patient for one in items], actor=actor)
    db.session.commit()
    if len(rows) <= size:
        return Page(items=items, next_cursor=None)
    last, _, risk_order = rows[size - 1]
    position = WorklistPosition(rank=-risk_order, captured_at=last.captured_at, key=last.id)
    return Page(items=items, next_cursor=write_position(position))


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
    tasks = in_worklist_order(open_tasks(select(OpenTask.lesion_image_id), OpenTaskKind.UNSIGNED, actor))
    if after:
        tasks = tasks.where(is_behind(_find_position(after, actor)))
    first = tasks.limit(1).subquery()
    found = db.session.scalars(
        select(LesionImage.public_id).join(first, first.c.lesion_image_id == LesionImage.id)
    ).one_or_none()
    db.session.commit()
    return found


def list_pending_histology(*, actor: Actor, size: int | None = LONGEST_WAITING) -> Sequence[PendingHistology]:
    """The lesions whose biopsy has no laboratory report yet, the longest wait first; audited.

    A report counts when it was recorded after the review was signed. A lesion stands here once, with the first
    review that still waits.
    """
    reviews = _load_reviews(
        open_tasks(
            select(OpenTask.review_id, OpenTask.since.label("waits_from")), OpenTaskKind.HISTOLOGY, actor
        ).order_by(OpenTask.since, OpenTask.review_id),
        actor=actor,
        size=size,
    )
    overdue_before = utc_now() - HISTOLOGY_DUE_AFTER
    return [PendingHistology(review=one, is_overdue=one.signed_at < overdue_before) for one in reviews]


def list_overdue_monitoring(*, actor: Actor, size: int | None = LONGEST_WAITING) -> Sequence[Review]:
    """The reviews whose follow-up day has passed without a new photograph, the longest overdue first; audited."""
    return _load_reviews(
        overdue_monitoring(select(OpenTask.review_id, OpenTask.due_on.label("waits_from")), actor).order_by(
            OpenTask.due_on, OpenTask.review_id
        ),
        actor=actor,
        size=size,
    )


def count_worklist(*, actor: Actor) -> WorklistCounts:
    """How much there is to do, for the navigation of every page: one statement, counting no further than needed.

    It neither writes what the session holds unsaved (a page that shows a refused form) nor ends its transaction.
    """
    key = select(OpenTask.lesion_image_id)
    sections = (
        open_tasks(key, OpenTaskKind.UNSIGNED, actor),
        open_tasks(key, OpenTaskKind.HISTOLOGY, actor),
        overdue_monitoring(key, actor),
    )
    with db.session.no_autoflush:
        counts = db.session.execute(select(*(count_up_to(COUNTED_UP_TO, one) for one in sections))).one()
    return WorklistCounts(unsigned=counts[0], histology_pending=counts[1], monitoring_overdue=counts[2])


def overdue_histology(actor: Actor) -> Rows:
    """The keys of the photographs whose laboratory report is overdue."""
    return open_tasks(select(OpenTask.lesion_image_id), OpenTaskKind.HISTOLOGY, actor).where(
        OpenTask.since < utc_now() - HISTOLOGY_DUE_AFTER
    )


def describe_count(number: int) -> str:
    """A capped count in words: `7`, `99+`."""
    return f"{COUNTED_UP_TO - 1}+" if number >= COUNTED_UP_TO else str(number)


def _load_reviews(tasks: Rows, *, actor: Actor, size: int | None) -> Sequence[Review]:
    """The reviews that open tasks wait for.

    Args:
        tasks: The keys of the reviews and what each waits from, in that order.
        actor: Who looks.
        size: How many at most; None for all.
    """
    listed = tasks.limit(size).subquery()
    reviews: Sequence[Review] = db.session.scalars(
        select(Review)
        .join(listed, listed.c.review_id == Review.id)
        .order_by(listed.c.waits_from, Review.id)
        .options(
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


def _find_position(public_id: uuid.UUID, actor: Actor) -> WorklistPosition:
    """A photograph's place in the order; one that is signed has none of its own any more, so the record says it."""
    row = db.session.execute(
        select(LesionImage.captured_at, LesionImage.id, Prediction.malignancy_probability)
        .join(LesionImage.lesion)
        .join(Lesion.patient)
        .outerjoin(Prediction, counts_for_image())
        .where(Patient.clinic_id == actor.clinic_id, LesionImage.public_id == public_id)
    ).one_or_none()
    if row is None:
        raise NotFoundError("There is no such photograph in your clinic. Start again from the worklist.")
    captured_at, key, probability = row
    rank = UNSCORED if probability is None else probability
    return WorklistPosition(rank=rank, captured_at=captured_at, key=key)
