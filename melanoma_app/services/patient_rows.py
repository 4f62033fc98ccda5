"""Which rows of which tables are a patient's record: what an erasure takes, and an export of everything gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select

from melanoma_app.models import (
    Addendum,
    Base,
    Checklist,
    ConsentDecision,
    FirstRead,
    Histopathology,
    Lesion,
    LesionImage,
    MergedLesion,
    Patient,
    PatientMerge,
    PatientSearchKey,
    Prediction,
    Review,
)

Condition = ColumnElement[bool]


class PatientRows:
    """A patient's rows as conditions, table by table.

    Rows that are counted from the record (`counted_test`, `open_task`) are no part of it: the services that count them
    take them away.

    Args:
        patient_id: The patient's key.
    """

    def __init__(self, patient_id: int) -> None:
        self.lesions: Condition = Lesion.patient_id == patient_id
        of_lesion = _ids(Lesion, self.lesions)
        self.images: Condition = LesionImage.lesion_id.in_(of_lesion)
        of_image = _ids(LesionImage, self.images)
        reviews: Condition = Review.lesion_image_id.in_(of_image)
        merges: Condition = or_(PatientMerge.kept_id == patient_id, PatientMerge.merged_id == patient_id)
        self.in_order: Sequence[tuple[Any, Condition]] = (
            (Addendum, Addendum.review_id.in_(_ids(Review, reviews))),
            (Review, reviews),
            (FirstRead, FirstRead.lesion_image_id.in_(of_image)),
            (Checklist, Checklist.lesion_image_id.in_(of_image)),
            (Prediction, Prediction.lesion_image_id.in_(of_image)),
            (LesionImage, self.images),
            (Histopathology, Histopathology.lesion_id.in_(of_lesion)),
            (
                MergedLesion,
                or_(
                    MergedLesion.merge_id.in_(_ids(PatientMerge, merges)),
                    MergedLesion.lesion_id.in_(of_lesion),
                ),
            ),
            (PatientMerge, merges),
            (Lesion, self.lesions),
            (ConsentDecision, ConsentDecision.patient_id == patient_id),
            (PatientSearchKey, PatientSearchKey.patient_id == patient_id),
            (Patient, Patient.id == patient_id),
        )
        """Every table, none before those whose rows refer to it."""

    def of(self, model: type[Base]) -> Condition:
        """The condition for one table."""
        condition: Condition = dict(self.in_order)[model]
        return condition


def _ids(model: Any, condition: Condition) -> Select[tuple[int]]:
    return select(model.id).where(condition)
