"""What the laboratory found in the tissue."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    String,
    and_,
    func,
    select,
)
from sqlalchemy.orm import Mapped, aliased, mapped_column, relationship

from melanoma_app.models.base import (
    Base,
    PrimaryKey,
    PublicId,
    UtcDateTime,
    append_only,
    stored_enum,
    utc_now,
)
from melanoma_app.models.lesion import Lesion
from melanoma_app.models.user import User
from melanoma_app.models.vocabulary import OutcomeLabel

THICKEST_MM: Final = 100


@append_only("a laboratory report is never changed: record the corrected one")
class Histopathology(Base):
    """A laboratory report on a lesion; a corrected one is a new row, and the newest counts.

    `reported_on` is the report's own date; `breslow_thickness_mm` is measured on melanomas alone.
    """

    __tablename__ = "histopathology"
    __table_args__ = (
        Index(None, "lesion_id", "id"),
        CheckConstraint(
            f"breslow_thickness_mm > 0 AND breslow_thickness_mm <= {THICKEST_MM} AND outcome = 'malignant'"
            " OR breslow_thickness_mm IS NULL",
            name="breslow_thickness_plausible",
        ),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    lesion_id: Mapped[int] = mapped_column(ForeignKey("lesion.id"))
    diagnosis: Mapped[str] = mapped_column(String(200))
    outcome: Mapped[OutcomeLabel] = mapped_column(stored_enum(OutcomeLabel))
    breslow_thickness_mm: Mapped[float | None] = mapped_column(Double)
    reported_on: Mapped[date]
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    recorded_by_id: Mapped[int] = mapped_column(ForeignKey("user.id"))

    lesion: Mapped[Lesion] = relationship(lazy="raise")
    recorded_by: Mapped[User] = relationship(lazy="raise")


def is_newest_of_lesion() -> ColumnElement[bool]:
    """What joins a lesion to the laboratory report that counts."""
    other = aliased(Histopathology)
    newest = select(func.max(other.id)).where(other.lesion_id == Lesion.id)
    return and_(
        Histopathology.lesion_id == Lesion.id,
        Histopathology.id == newest.correlate(Lesion).scalar_subquery(),
    )
