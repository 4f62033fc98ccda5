"""Two records of one person made one, so that it can be undone."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, String, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from melanoma_app.models.base import Base, PrimaryKey, PublicId, UtcDateTime, utc_now
from melanoma_app.models.lesion import Lesion
from melanoma_app.models.patient import Patient
from melanoma_app.models.user import User

MERGE_REASON_LENGTH: Final = 500
"""Characters."""


class PatientMerge(Base):
    """The merge of a patient into another one; `reverted_at` is set when it has been undone."""

    __tablename__ = "patient_merge"
    __table_args__ = (CheckConstraint("kept_id <> merged_id", name="two_patients"),)

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    kept_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), index=True)
    merged_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), index=True)
    reason: Mapped[str] = mapped_column(String(MERGE_REASON_LENGTH))
    merged_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    merged_by_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    reverted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reverted_by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))

    kept: Mapped[Patient] = relationship(lazy="raise", foreign_keys=kept_id)
    merged: Mapped[Patient] = relationship(lazy="raise", foreign_keys=merged_id)
    merged_by: Mapped[User] = relationship(lazy="raise", foreign_keys=merged_by_id)


class MergedLesion(Base):
    """A lesion that a merge moved, and the number it had before."""

    __tablename__ = "merged_lesion"
    __table_args__ = (UniqueConstraint("merge_id", "lesion_id"),)

    id: Mapped[PrimaryKey]
    merge_id: Mapped[int] = mapped_column(ForeignKey("patient_merge.id"))
    lesion_id: Mapped[int] = mapped_column(ForeignKey("lesion.id"), index=True)
    former_number: Mapped[int]

    lesion: Mapped[Lesion] = relationship(lazy="raise")


def is_not_merged() -> ColumnElement[bool]:
    """The condition that a patient was not merged into another one: for every list and search."""
    return ~(
        select(PatientMerge.id)
        .where(PatientMerge.merged_id == Patient.id, PatientMerge.reverted_at.is_(None))
        .correlate(Patient)
        .exists()
    )
