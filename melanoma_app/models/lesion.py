"""The lesion and its images."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import JSON, CheckConstraint, Double, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from melanoma_app.models.base import Base, PrimaryKey, PublicId, UtcDateTime, stored_enum, utc_now
from melanoma_app.models.patient import Patient
from melanoma_app.models.user import User
from melanoma_app.models.vocabulary import AnatomSiteGeneral, BodyView, ImageType, Laterality

LARGEST_LESION_MM: Final = 500
QUALITY_OVERRIDE_LENGTH: Final = 500
"""Characters."""


class Lesion(Base):
    """One spot on one patient, followed over time; `number` counts within the patient, from 1.

    `body_x` and `body_y` are shares (0–1) of the width and height of the body map's drawing, from its top left
    corner; view and both coordinates are set together, and None for a lesion that nobody has marked on the map.
    """

    __tablename__ = "lesion"
    __table_args__ = (
        UniqueConstraint("patient_id", "number"),
        CheckConstraint("number >= 1", name="number_positive"),
        CheckConstraint(
            "(body_view IS NULL AND body_x IS NULL AND body_y IS NULL)"
            " OR (body_view IS NOT NULL AND body_x >= 0 AND body_x <= 1 AND body_y >= 0 AND body_y <= 1)",
            name="on_the_body_map",
        ),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    number: Mapped[int]
    anatom_site_general: Mapped[AnatomSiteGeneral] = mapped_column(stored_enum(AnatomSiteGeneral))
    laterality: Mapped[Laterality | None] = mapped_column(stored_enum(Laterality))
    body_view: Mapped[BodyView | None] = mapped_column(stored_enum(BodyView))
    body_x: Mapped[float | None] = mapped_column(Double)
    body_y: Mapped[float | None] = mapped_column(Double)
    description: Mapped[str] = mapped_column(String(500), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)

    patient: Mapped[Patient] = relationship(lazy="raise")


class LesionImage(Base):
    """A photograph of a lesion as the store keeps it: re-encoded, upright, without metadata.

    `upload_sha256` is the digest of the bytes that came in, `sha256` of those that are kept. `captured_at` is
    when the photograph was taken, `captured_on` that day in the clinic's time zone (what statistics count by),
    `created_at` when it was stored. `thumbnail_key` is the small copy that lists show; `quality` what the quality gate
    found (None: no model looked at it), `quality_override_reason` why it was taken in all the same.
    `clin_size_long_diam_mm` is the lesion's longest diameter on that day.
    """

    __tablename__ = "lesion_image"
    __table_args__ = (
        Index(None, "captured_at", "id"),
        CheckConstraint("width_px > 0 AND height_px > 0 AND size_bytes > 0", name="has_pixels"),
        CheckConstraint(
            f"clin_size_long_diam_mm > 0 AND clin_size_long_diam_mm <= {LARGEST_LESION_MM}",
            name="clin_size_plausible",
        ),
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
    thumbnail_key: Mapped[str | None] = mapped_column(String(160))
    image_type: Mapped[ImageType] = mapped_column(stored_enum(ImageType))
    clin_size_long_diam_mm: Mapped[float | None] = mapped_column(Double)
    quality: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    quality_override_reason: Mapped[str | None] = mapped_column(String(QUALITY_OVERRIDE_LENGTH))
    captured_at: Mapped[datetime] = mapped_column(UtcDateTime)
    captured_on: Mapped[date] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("user.id"))

    lesion: Mapped[Lesion] = relationship(lazy="raise")
    created_by: Mapped[User] = relationship(lazy="raise")
