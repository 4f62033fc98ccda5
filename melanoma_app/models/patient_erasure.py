"""What is left of a patient who was erased: that it was done, and why."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from melanoma_app.models.base import Base, PrimaryKey, PublicId, UtcDateTime, append_only, utc_now


@append_only("an erasure is never changed")
class PatientErasure(Base):
    """Who erased which record, when and on what ground; nothing here tells who the patient was."""

    __tablename__ = "patient_erasure"

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    clinic_id: Mapped[int] = mapped_column(ForeignKey("clinic.id"), index=True)
    patient_public_id: Mapped[uuid.UUID] = mapped_column(Uuid(native_uuid=False), unique=True)
    reason: Mapped[str] = mapped_column(String(500))
    lesions: Mapped[int]
    lesion_images: Mapped[int]
    erased_by_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    erased_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
