"""What a patient has agreed to, and when they changed their mind."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from melanoma_app.models.base import Base, PrimaryKey, UtcDateTime, append_only, stored_enum, utc_now
from melanoma_app.models.user import User
from melanoma_app.models.vocabulary import ConsentPurpose


@append_only("a consent decision is never changed: record the new one")
class ConsentDecision(Base):
    """One answer of a patient's; the answer in force also stands in the patient's `consent_to_…` column."""

    __tablename__ = "consent_decision"
    __table_args__ = (Index(None, "patient_id", "decided_at"),)

    id: Mapped[PrimaryKey]
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    purpose: Mapped[ConsentPurpose] = mapped_column(stored_enum(ConsentPurpose))
    is_given: Mapped[bool]
    decided_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    recorded_by_id: Mapped[int] = mapped_column(ForeignKey("user.id"))

    recorded_by: Mapped[User] = relationship(lazy="raise")
