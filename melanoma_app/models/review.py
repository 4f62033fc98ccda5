"""A clinician's signed judgement of a photograph, and what is added to it afterwards."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from melanoma_app.models.base import (
    Base,
    PrimaryKey,
    PublicId,
    UtcDateTime,
    append_only,
    stored_enum,
    utc_now,
)
from melanoma_app.models.lesion import LesionImage
from melanoma_app.models.prediction import Prediction
from melanoma_app.models.user import User
from melanoma_app.models.vocabulary import OutcomeLabel, ReviewPlan

REVIEW_TEXT_LENGTH: Final = 1000
"""Characters of a reason or an addendum."""


@append_only("a signed review is never changed: add an addendum")
class Review(Base):
    """What a clinician concluded and plans; the row is the signature, so there is one a photograph at most.

    `prediction` is the answer that was in front of the clinician, None where no model had looked; `reason` is given
    when the conclusion overrides it. `due_on` is set for monitoring, and for nothing else.
    """

    __tablename__ = "review"
    __table_args__ = (
        Index(None, "plan", "due_on"),
        CheckConstraint("(plan = 'monitor') = (due_on IS NOT NULL)", name="due_when_monitored"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    lesion_image_id: Mapped[int] = mapped_column(ForeignKey("lesion_image.id"), unique=True)
    prediction_id: Mapped[int | None] = mapped_column(ForeignKey("prediction.id"), index=True)
    conclusion: Mapped[OutcomeLabel] = mapped_column(stored_enum(OutcomeLabel))
    clinical_diagnosis: Mapped[str] = mapped_column(String(200), default="")
    reason: Mapped[str] = mapped_column(String(REVIEW_TEXT_LENGTH), default="")
    plan: Mapped[ReviewPlan] = mapped_column(stored_enum(ReviewPlan))
    due_on: Mapped[date | None]
    signed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    signed_by_id: Mapped[int] = mapped_column(ForeignKey("user.id"))

    lesion_image: Mapped[LesionImage] = relationship(lazy="raise")
    prediction: Mapped[Prediction | None] = relationship(lazy="raise")
    signed_by: Mapped[User] = relationship(lazy="raise")
    addenda: Mapped[list[Addendum]] = relationship(
        lazy="raise", order_by="Addendum.id", back_populates="review"
    )


@append_only("an addendum is never changed: add another one")
class Addendum(Base):
    """Something added to a signed review."""

    __tablename__ = "addendum"

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    review_id: Mapped[int] = mapped_column(ForeignKey("review.id"), index=True)
    text: Mapped[str] = mapped_column(String(REVIEW_TEXT_LENGTH))
    written_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    written_by_id: Mapped[int] = mapped_column(ForeignKey("user.id"))

    review: Mapped[Review] = relationship(lazy="raise", back_populates="addenda")
    written_by: Mapped[User] = relationship(lazy="raise")
