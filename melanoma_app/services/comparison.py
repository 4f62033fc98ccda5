"""Two photographs of one lesion beside each other: what lies between them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from melanoma_app.errors import InvalidInputError, NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import Lesion
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.body_map import LesionSite, describe_site
from melanoma_app.services.lesion_images import ImageRecord, list_image_records
from melanoma_app.services.lesions import find_lesion


@dataclass(frozen=True, kw_only=True)
class ComparedPhotograph:
    """One of the two, and the next older and newer photographs that could take its place."""

    record: ImageRecord
    older: ImageRecord | None
    newer: ImageRecord | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two photographs of a lesion; every change is counted from the left one to the right one.

    `photographs` are all that could be chosen, oldest first. `days_between` is negative when the left one is the
    newer. `probability_change` (a difference of shares) is None unless one model version answered for both: answers
    of different versions cannot be compared. `size_change_mm` is None unless both were measured.
    """

    lesion: Lesion
    site: LesionSite
    photographs: Sequence[ImageRecord]
    left: ComparedPhotograph
    right: ComparedPhotograph
    days_between: int
    probability_change: float | None
    size_change_mm: float | None
    has_different_models: bool
    has_different_image_types: bool


def read_comparison(
    *, lesion_public_id: uuid.UUID, left_id: uuid.UUID | None, right_id: uuid.UUID | None, actor: Actor
) -> Comparison:
    """Two photographs of a lesion to be shown together; the reading is audited.

    Args:
        lesion_public_id: The lesion.
        left_id: The photograph on the left; None takes the oldest that is not on the right.
        right_id: The photograph on the right; None takes the newest that is not on the left.
        actor: Who looks.

    Raises:
        NotFoundError: The clinic has no such lesion, or a photograph is not of this lesion.
        InvalidInputError: The lesion has fewer than two photographs, or both are the same one.
    """
    lesion = find_lesion(public_id=lesion_public_id, actor=actor)
    photographs = list_image_records(lesion_ids=[lesion.id])[lesion.id][::-1]
    left, right = _choose(photographs, left_id, right_id)
    record_event(
        action=AuditAction.PATIENT_READ,
        actor=actor,
        subject_public_id=lesion.public_id,
        patient=lesion.patient,
    )
    db.session.commit()
    return Comparison(
        lesion=lesion,
        site=describe_site(lesion),
        photographs=photographs,
        left=_with_neighbours(left, beside=right, photographs=photographs),
        right=_with_neighbours(right, beside=left, photographs=photographs),
        days_between=(right.image.captured_on - left.image.captured_on).days,
        probability_change=_probability_change(left, right),
        size_change_mm=_size_change_mm(left, right),
        has_different_models=_has_different_models(left, right),
        has_different_image_types=left.image.image_type is not right.image.image_type,
    )


def _choose(
    photographs: Sequence[ImageRecord], left_id: uuid.UUID | None, right_id: uuid.UUID | None
) -> tuple[ImageRecord, ImageRecord]:
    """The photographs asked for, or the oldest and the newest that are free."""
    by_id = {one.image.public_id: one for one in photographs}
    if {left_id, right_id} - {None} - by_id.keys():
        raise NotFoundError(
            "This lesion has no such photograph, and photographs of two lesions are never compared. "
            "Choose two from the lesion's page."
        )
    if len(photographs) < 2:
        raise InvalidInputError(
            "A comparison takes two photographs of the lesion. Photograph it again first."
        )
    if left_id is not None and left_id == right_id:
        raise InvalidInputError(
            "Both are the same photograph. Choose two different ones from the lesion's page."
        )
    left_id = left_id or next(one for one in by_id if one != right_id)
    right_id = right_id or next(one for one in reversed(by_id) if one != left_id)
    return by_id[left_id], by_id[right_id]


def _with_neighbours(
    record: ImageRecord, *, beside: ImageRecord, photographs: Sequence[ImageRecord]
) -> ComparedPhotograph:
    """The photograph with the ones that a step leads to; steps pass over the one on the other side."""
    free = [one for one in photographs if one is not beside]
    place = free.index(record)
    return ComparedPhotograph(
        record=record,
        older=free[place - 1] if place > 0 else None,
        newer=free[place + 1] if place + 1 < len(free) else None,
    )


def _has_different_models(left: ImageRecord, right: ImageRecord) -> bool:
    return (
        left.prediction is not None
        and right.prediction is not None
        and left.prediction.model_version_id != right.prediction.model_version_id
    )


def _probability_change(left: ImageRecord, right: ImageRecord) -> float | None:
    if left.prediction is None or right.prediction is None or _has_different_models(left, right):
        return None
    return right.prediction.malignancy_probability - left.prediction.malignancy_probability


def _size_change_mm(left: ImageRecord, right: ImageRecord) -> float | None:
    before, after = left.image.clin_size_long_diam_mm, right.image.clin_size_long_diam_mm
    return None if before is None or after is None else after - before
