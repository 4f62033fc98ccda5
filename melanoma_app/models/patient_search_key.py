"""What lets a misspelt name be found: shortened forms of every word of a patient's name."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from melanoma_app.models.base import Base, PrimaryKey


class PatientSearchKey(Base):
    """A word of the name, or that word with one letter left out (`services/name_search.py`)."""

    __tablename__ = "patient_search_key"
    __table_args__ = (UniqueConstraint("patient_id", "key"), Index(None, "clinic_id", "key"))

    id: Mapped[PrimaryKey]
    clinic_id: Mapped[int] = mapped_column(ForeignKey("clinic.id"))
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    key: Mapped[str] = mapped_column(String(16))
