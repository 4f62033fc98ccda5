"""Which released model scores new photographs: the switches from one to another."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from melanoma_app.models.base import Base, PrimaryKey, UtcDateTime, append_only, utc_now
from melanoma_app.models.prediction import ModelVersion
from melanoma_app.models.user import User

REASON_LENGTH: Final = 500
"""Characters."""


@append_only("a model's activation is never changed: activate another model")
class ModelActivation(Base):
    """A switch to a model. The one with the highest number is in force, for every process and every clinic.

    Appended and never changed, so that it can be told later what served when, and why. An `is_active` flag on the
    models would need an old row switched off and a new one on, and no constraint that SQLite, MariaDB and MySQL share
    refuses two rows that are on, or none. Here there is always exactly one highest number, and `number` is unique: of
    two administrators who read the same last number at once, the database lets one append the next and refuses the
    other, whatever the isolation. Auto-increment ids would not do: they are drawn before the commit, so a later
    switch could carry the lower one.
    """

    __tablename__ = "model_activation"
    __table_args__ = (CheckConstraint("number >= 1", name="number_is_positive"),)

    id: Mapped[PrimaryKey]
    number: Mapped[int] = mapped_column(unique=True)
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_version.id"))
    activated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    activated_by_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    reason: Mapped[str] = mapped_column(String(REASON_LENGTH))

    model_version: Mapped[ModelVersion] = relationship(lazy="raise")
    activated_by: Mapped[User] = relationship(lazy="raise")
