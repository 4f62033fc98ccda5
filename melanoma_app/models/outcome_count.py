"""The counters that statistics are read from: derived from the counted tests, rebuildable at any time."""

from __future__ import annotations

from datetime import date
from typing import Final

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from melanoma_app.models.base import Base, BigId, stored_enum
from melanoma_app.models.vocabulary import ComparedWith

EVER: Final = date(1970, 1, 1)
"""`period_start` of the cells that count all days together."""
UNDIVIDED: Final = ""
"""Where a slice does not tell genders, sites or skin types apart."""
NO_NUMBER: Final = -1
"""Where a slice does not tell ages or models apart."""
UNKNOWN: Final = "unknown"
"""The skin type that nobody has recorded."""


class OutcomeCount(Base):
    """A cell: how many tests, lesions and patients of one kind were positive (malignant) and negative (benign).

    A slice (`services/count_slices.py`) is the set of properties that its cells tell apart; all cells of a slice add
    up to the whole clinic. `period_start` is the day, the first of the month, or EVER.
    """

    __tablename__ = "outcome_count"

    clinic_id: Mapped[int] = mapped_column(ForeignKey("clinic.id"), primary_key=True, autoincrement=False)
    slice: Mapped[str] = mapped_column(String(40), primary_key=True)
    compared_with: Mapped[ComparedWith] = mapped_column(stored_enum(ComparedWith), primary_key=True)
    period_start: Mapped[date] = mapped_column(primary_key=True)
    gender: Mapped[str] = mapped_column(String(32), primary_key=True)
    age_years: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    anatom_site_general: Mapped[str] = mapped_column(String(32), primary_key=True)
    fitzpatrick_skin_type: Mapped[str] = mapped_column(String(32), primary_key=True)
    model_version_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    positive_tests: Mapped[int] = mapped_column(default=0)
    negative_tests: Mapped[int] = mapped_column(default=0)
    positive_lesions: Mapped[int] = mapped_column(default=0)
    negative_lesions: Mapped[int] = mapped_column(default=0)
    positive_patients: Mapped[int] = mapped_column(default=0)
    negative_patients: Mapped[int] = mapped_column(default=0)
