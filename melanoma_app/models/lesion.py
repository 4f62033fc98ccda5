"""The lesion and its images."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from melanoma_app.models.base import Base, PrimaryKey, PublicId, UtcDateTime, stored_enum, utc_now
from melanoma_app.models.patient import Patient
from melanoma_app.models.user import User
from melanoma_app.models.vocabulary import AnatomSiteGeneral, ImageType


class Lesion(Base):
    """One spot on one patient, followed over time; `number` counts within the patient, from 1."""

    __tablename__ = "lesion"
    __table_args__ = (
        UniqueConstraint("patient_id", "number"),
        CheckConstraint("number >= 1", name="number_positive"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    number: Mapped[int]
    anatom_site_general: Mapped[AnatomSiteGeneral] = mapped_column(stored_enum(AnatomSiteGeneral))
    description: Mapped[str] = mapped_column(String(500), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)

    patient: Mapped[Patient] = relationship(lazy="raise")


class LesionImage(Base):
    """A photograph of a lesion as the store keeps it: re-encoded, upright, without metadata.

    `upload_sha256` is the digest of the bytes that came in, `sha256` of those that are kept. `captured_at` is
    when the photograph was taken, `captured_on` that day in the clinic's time zone (what statistics count by),
    `created_at` when it was stored.
    """

    __tablename__ = "lesion_image"
    __table_args__ = (
        Index(None, "captured_at", "id"),
        CheckConstraint("width_px > 0 AND height_px > 0 AND size_bytes > 0", name="has_pixels"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    lesion_id: Mapped[int] = mapped_column(ForeignKey("lesion.id"), index=True)
    storage_key: Mapped[str] = mapped_column(String(160), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    upload_sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int]
    width_px: Mapped[int]
    height_px: Mapped[int]
    image_type: Mapped[ImageType] = mapped_column(stored_enum(ImageType))
    captured_at: Mapped[datetime] = mapped_column(UtcDateTime)
    captured_on: Mapped[date] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("user.id"))

    lesion: Mapped[Lesion] = relationship(lazy="raise")
    created_by: Mapped[User] = relationship(lazy="raise")
