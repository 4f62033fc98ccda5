"""What a model said of an image, and which model that was."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
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
from melanoma_app.models.lesion import LesionImage
from melanoma_app.models.user import User
from melanoma_app.models.vocabulary import OutcomeLabel


class ModelVersion(Base):
    """A released model, known by the SHA-256 of its file.

    `sensitivity` and `specificity` (0–1) are those of `threshold`, measured on the model's validation images;
    `test_performance` says what they were on images it had not seen, with intervals (the manifest's object of that
    name). Probabilities from `uncertain_from` to below `uncertain_to` are in doubt.
    """

    __tablename__ = "model_version"
    __table_args__ = (
        UniqueConstraint("name", "version", "sha256"),
        CheckConstraint("threshold >= 0 AND threshold <= 1", name="threshold_is_probability"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    name: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(32))
    sha256: Mapped[str] = mapped_column(String(64))
    input_size_px: Mapped[int]
    preprocessing_version: Mapped[str] = mapped_column(String(16))
    operating_point: Mapped[str] = mapped_column(String(120))
    threshold: Mapped[float] = mapped_column(Double)
    sensitivity: Mapped[float | None] = mapped_column(Double)
    specificity: Mapped[float | None] = mapped_column(Double)
    uncertain_from: Mapped[float | None] = mapped_column(Double)
    uncertain_to: Mapped[float | None] = mapped_column(Double)
    test_performance: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)


@append_only("a prediction is never changed: score the image again")
class Prediction(Base):
    """A model's answer for one image: written once, never changed; scoring again makes a new row.

    `malignancy_probability` and `threshold` are 0–1; `image_sha256` is the digest of the bytes that were scored;
    `latency_s` the seconds that decoding and inference took.
    """

    __tablename__ = "prediction"
    __table_args__ = (
        Index(None, "lesion_image_id", "id"),
        CheckConstraint(
            "malignancy_probability >= 0 AND malignancy_probability <= 1",
            name="malignancy_probability_in_range",
        ),
        CheckConstraint("threshold >= 0 AND threshold <= 1", name="threshold_in_range"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    lesion_image_id: Mapped[int] = mapped_column(ForeignKey("lesion_image.id"))
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_version.id"), index=True)
    malignancy_probability: Mapped[float] = mapped_column(Double)
    label: Mapped[OutcomeLabel] = mapped_column(stored_enum(OutcomeLabel))
    threshold: Mapped[float] = mapped_column(Double)
    operating_point: Mapped[str] = mapped_column(String(120))
    preprocessing_version: Mapped[str] = mapped_column(String(16))
    image_sha256: Mapped[str] = mapped_column(String(64))
    latency_s: Mapped[float] = mapped_column(Double)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("user.id"))

    lesion_image: Mapped[LesionImage] = relationship(lazy="raise")
    model_version: Mapped[ModelVersion] = relationship(lazy="raise")
    created_by: Mapped[User] = relationship(lazy="raise")


def is_latest_of_image() -> ColumnElement[bool]:
    """The condition that a prediction is the newest of its image: the one that counts."""
    other = aliased(Prediction)
    newest = select(func.max(other.id)).where(other.lesion_image_id == Prediction.lesion_image_id)
    return Prediction.id == newest.correlate(Prediction).scalar_subquery()
