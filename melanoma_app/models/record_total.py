"""How much a clinic has on record: derived from the record, rebuildable at any time."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from melanoma_app.models.base import Base


class RecordTotal(Base):
    """The sums that the overview shows.

    `patients` are those that stand in lists: who was merged into another record is that other one. `lesions` are
    theirs. `awaiting_review` and `high_risk_unsigned` count the clinic's unsigned photographs among the open tasks,
    and those of them that the newest prediction calls malignant.
    """

    __tablename__ = "record_total"

    clinic_id: Mapped[int] = mapped_column(ForeignKey("clinic.id"), primary_key=True, autoincrement=False)
    patients: Mapped[int] = mapped_column(default=0)
    lesions: Mapped[int] = mapped_column(default=0)
    awaiting_review: Mapped[int] = mapped_column(default=0)
    high_risk_unsigned: Mapped[int] = mapped_column(default=0)
