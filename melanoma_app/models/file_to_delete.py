"""Files of an erased record that the image store may still hold."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from melanoma_app.models.base import Base, PrimaryKey, UtcDateTime, utc_now


class FileToDelete(Base):
    """Written in the transaction that erases the record; goes once the file is gone (`services/file_removal.py`)."""

    __tablename__ = "file_to_delete"

    id: Mapped[PrimaryKey]
    storage_key: Mapped[str] = mapped_column(String(160), unique=True)
    noted_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
