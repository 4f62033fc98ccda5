"""The clinic: everything else belongs to one."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from melanoma_app.models.base import Base, PrimaryKey, PublicId, UtcDateTime, utc_now


class Clinic(Base):
    """A clinic and the zone its days are counted in."""

    __tablename__ = "clinic"

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    name: Mapped[str] = mapped_column(String(120), unique=True)
    time_zone: Mapped[str] = mapped_column(String(64), default="UTC")
    is_demo: Mapped[bool] = mapped_column(default=False)
    requires_second_factor: Mapped[bool | None]
    """Whether everyone must have one; empty: nobody has decided, so no."""
    retention_years: Mapped[int | None]
    """How long the law wants a patient's record kept after the last entry; empty: nobody has decided, so 10."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
