"""What a clinician took a lesion for before seeing the model's answer."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
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
from melanoma_app.models.user import User
from melanoma_app.models.vocabulary import ClinicalImpression


@append_only("a first read is never changed")
class FirstRead(Base):
    """One clinician's own impression of one photograph; `answer_was_shown` says that it was not a blind one."""

    __tablename__ = "first_read"
    __table_args__ = (UniqueConstraint("lesion_image_id", "read_by_id"),)

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    lesion_image_id: Mapped[int] = mapped_column(ForeignKey("lesion_image.id"))
    impression: Mapped[ClinicalImpression] = mapped_column(stored_enum(ClinicalImpression))
    note: Mapped[str] = mapped_column(String(500), default="")
    answer_was_shown: Mapped[bool]
    read_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    read_by_id: Mapped[int] = mapped_column(ForeignKey("user.id"))

    lesion_image: Mapped[LesionImage] = relationship(lazy="raise")
    read_by: Mapped[User] = relationship(lazy="raise")
