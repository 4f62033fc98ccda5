"""A row of a bulk upload's manifest, and the file that has come for it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from melanoma_app.models.base import Base, PrimaryKey, UtcDateTime, utc_now


class StagedPhotograph(Base):
    """What an upload keeps of a photograph until it is on record (`services/upload_staging.py`), and no longer.

    The row's number is its item's `subject_id`. `cells` holds what the row says of the photograph, without MRN and file
    name: the one is the patient's, and of the other, which may name somebody, a digest finds the row of a file. The
    file columns are empty until a file has come; `changed_at` tells when it came, or since when it is waited for.
    """

    __tablename__ = "staged_photograph"
    __table_args__ = (Index(None, "job_id", "name_digest"),)

    id: Mapped[PrimaryKey]
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"))
    job_item_id: Mapped[int] = mapped_column(ForeignKey("job_item.id"), unique=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), index=True)
    name_digest: Mapped[str] = mapped_column(String(64))
    cells: Mapped[dict[str, str]] = mapped_column(JSON)
    storage_key: Mapped[str | None] = mapped_column(String(160), unique=True)
    sha256: Mapped[str | None] = mapped_column(String(64))
    size_bytes: Mapped[int | None]
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
