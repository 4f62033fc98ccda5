"""What is open in the record, as the worklist lists it: derived from the record, rebuildable at any time."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, Double, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from melanoma_app.models.base import Base, UtcDateTime, stored_enum
from melanoma_app.models.lesion import LesionImage
from melanoma_app.models.review import Review
from melanoma_app.models.vocabulary import OpenTaskKind, OutcomeLabel


class OpenTask(Base):
    """A photograph that waits for its review, or a review that waits for what it asked for.

    No photograph waits for two things: it is unsigned, or its one review asked for a biopsy, or for monitoring.
    `since` is when an unsigned photograph was taken, or when the review was signed. `outcome` is what the newest
    prediction says of an unsigned photograph, `risk_order` minus its probability, 1 where no model has looked: so all
    parts of the order rise, and an index gives it on every server. Whether something is overdue is not stored, for
    it changes with the day; `due_on` is the day that a review set for monitoring.
    """

    __tablename__ = "open_task"
    __table_args__ = (
        CheckConstraint("(kind = 'unsigned') = (review_id IS NULL)", name="review_unless_unsigned"),
        CheckConstraint("(kind = 'unsigned') = (risk_order IS NOT NULL)", name="risk_when_unsigned"),
        CheckConstraint("(kind = 'monitoring') = (due_on IS NOT NULL)", name="due_when_monitored"),
        Index("ix_open_task_by_risk", "clinic_id", "kind", "risk_order", "since", "lesion_image_id"),
        Index(
            "ix_open_task_by_outcome",
            "clinic_id",
            "kind",
            "outcome",
            "risk_order",
            "since",
            "lesion_image_id",
        ),
        Index("ix_open_task_by_time", "clinic_id", "kind", "since", "review_id"),
        Index("ix_open_task_by_due_day", "clinic_id", "kind", "due_on", "review_id"),
    )

    lesion_image_id: Mapped[int] = mapped_column(
        ForeignKey("lesion_image.id"), primary_key=True, autoincrement=False
    )
    clinic_id: Mapped[int] = mapped_column(ForeignKey("clinic.id"))
    kind: Mapped[OpenTaskKind] = mapped_column(stored_enum(OpenTaskKind))
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), index=True)
    review_id: Mapped[int | None] = mapped_column(ForeignKey("review.id"), index=True)
    risk_order: Mapped[float | None] = mapped_column(Double)
    outcome: Mapped[OutcomeLabel | None] = mapped_column(stored_enum(OutcomeLabel))
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    due_on: Mapped[date | None]

    lesion_image: Mapped[LesionImage] = relationship(lazy="raise")
    review: Mapped[Review | None] = relationship(lazy="raise")
