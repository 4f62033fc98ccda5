"""What was seen of a lesion on a photograph: the ABCDE criteria and the seven-point checklist."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from melanoma_app.models.base import Base, PrimaryKey, PublicId, UtcDateTime, append_only, utc_now
from melanoma_app.models.lesion import LesionImage
from melanoma_app.models.user import User

ABCDE: Final = (
    "asymmetry",
    "border_irregularity",
    "colour_variegation",
    "diameter_over_6_mm",
    "evolution",
)
"""Abbasi et al. 2004, doi 10.1001/jama.292.22.2771."""
SEVEN_POINT_WEIGHTS: Final = {
    "atypical_pigment_network": 2,
    "blue_whitish_veil": 2,
    "atypical_vascular_pattern": 2,
    "irregular_streaks": 1,
    "irregular_dots_globules": 1,
    "irregular_blotches": 1,
    "regression_structures": 1,
}
"""Points a criterion: Argenziano et al. 1998, doi 10.1001/archderm.134.12.1563."""
SEVEN_POINT_SUSPICIOUS_FROM: Final = 3
"""From the same source: lesions with a total of 3 or more are taken for melanoma."""


def _all_or_none(names: tuple[str, ...]) -> str:
    return "({}) OR ({})".format(
        " AND ".join(f"{name} IS NULL" for name in names),
        " AND ".join(f"{name} IS NOT NULL" for name in names),
    )


@append_only("a checklist is never changed: record another one")
class Checklist(Base):
    """The criteria one person found at one photograph; a checklist that was not gone through has None throughout."""

    __tablename__ = "checklist"
    __table_args__ = (
        Index(None, "lesion_image_id", "id"),
        CheckConstraint(_all_or_none(ABCDE), name="abcde_complete"),
        CheckConstraint(_all_or_none(tuple(SEVEN_POINT_WEIGHTS)), name="seven_point_complete"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    lesion_image_id: Mapped[int] = mapped_column(ForeignKey("lesion_image.id"))
    asymmetry: Mapped[bool | None]
    border_irregularity: Mapped[bool | None]
    colour_variegation: Mapped[bool | None]
    diameter_over_6_mm: Mapped[bool | None]
    evolution: Mapped[bool | None]
    atypical_pigment_network: Mapped[bool | None]
    blue_whitish_veil: Mapped[bool | None]
    atypical_vascular_pattern: Mapped[bool | None]
    irregular_streaks: Mapped[bool | None]
    irregular_dots_globules: Mapped[bool | None]
    irregular_blotches: Mapped[bool | None]
    regression_structures: Mapped[bool | None]
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    recorded_by_id: Mapped[int] = mapped_column(ForeignKey("user.id"))

    lesion_image: Mapped[LesionImage] = relationship(lazy="raise")
    recorded_by: Mapped[User] = relationship(lazy="raise")

    @property
    def abcde_count(self) -> int | None:
        """How many of the five ABCDE criteria were found; None when they were not gone through."""
        return None if self.asymmetry is None else sum(bool(getattr(self, name)) for name in ABCDE)

    @property
    def seven_point_score(self) -> int | None:
        """The checklist's total, 0–10; None when it was not gone through."""
        if self.atypical_pigment_network is None:
            return None
        return sum(weight for name, weight in SEVEN_POINT_WEIGHTS.items() if getattr(self, name))

    @property
    def is_suspicious(self) -> bool:
        """Whether the seven-point score is high enough to be flagged."""
        score = self.seven_point_score
        return score is not None and score >= SEVEN_POINT_SUSPICIOUS_FROM
