"""Open tasks: what a patient's record adds to the worklist, kept up in the transaction that changes the record.

A photograph without a review is unsigned. A laboratory report is due on a lesion for the first review that asked for a
biopsy and after which none was recorded. Monitoring is due where the newest review of a lesion asked for it and no
photograph was taken after it was signed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Select, and_, bindparam, func, select

from melanoma_app.extensions import db
from melanoma_app.models import Histopathology, Lesion, LesionImage, OpenTask, Patient, Prediction, Review
from melanoma_app.models.prediction import is_latest_of_image
from melanoma_app.models.vocabulary import OpenTaskKind, OutcomeLabel, ReviewPlan
from melanoma_app.services.derived_rows import Row, replace_rows
from melanoma_app.services.record_totals import add_to_totals

NOBODY_LOOKED: Final = 1.0
"""Risk order of photographs that no model has looked at: behind every other."""


def refresh_open_tasks(*, patient_ids: Collection[int], clinic_id: int) -> None:
    """Bring the worklist, and its totals, up to what the record now says of some patients; the caller commits.

    For `recount_patients`, which holds the lock of the clinic's audit chain: no other service has to call it.

    Args:
        patient_ids: The patients whose record changed; both for a merge.
        clinic_id: Their clinic.
    """
    old, new = replace_open_tasks(patient_ids)
    before, after = count_unsigned(old), count_unsigned(new)
    add_to_totals(clinic_id=clinic_id, **{name: after[name] - before[name] for name in after | before})


def drop_open_tasks(*, patient_ids: Collection[int], clinic_id: int) -> None:
    """Take patients off the worklist and out of its totals; for `uncount_patients`, which holds the lock."""
    old, _ = replace_rows(OpenTask, patient_ids=patient_ids, rows=[])
    before = count_unsigned(old.values())
    add_to_totals(clinic_id=clinic_id, **{name: -count for name, count in before.items()})


def replace_open_tasks(patient_ids: Collection[int]) -> tuple[list[Row], list[Row]]:
    """Write what the record says of some patients into the open tasks; the caller holds the lock.

    Returns:
        The tasks that were open before, and those that are open now.
    """
    db.session.flush()
    old, new = replace_rows(OpenTask, patient_ids=patient_ids, rows=read_open_tasks(patient_ids))
    return list(old.values()), list(new.values())


def read_open_tasks(patient_ids: Collection[int]) -> list[Row]:
    """What is open for some patients as the record says."""
    rows = db.session.execute(_photographs_of_patients(), {"patient_ids": list(patient_ids)}).mappings()
    tasks: list[Row] = []
    for _, images in groupby(rows, key=lambda row: row["lesion_id"]):
        tasks += _tasks_of_lesion([dict(image) for image in images])
    return tasks


@cache
def _photographs_of_patients() -> Select[*tuple[Any, ...]]:
    """Made once: making it takes longer than the database takes to answer it."""
    last_report = (
        select(func.max(Histopathology.recorded_at))
        .where(Histopathology.lesion_id == Lesion.id)
        .correlate(Lesion)
        .scalar_subquery()
    )
    return (
        select(
            LesionImage.id.label("lesion_image_id"),
            Patient.clinic_id,
            Lesion.patient_id,
            LesionImage.lesion_id,
            LesionImage.captured_at,
            Prediction.malignancy_probability,
            Prediction.label,
            Review.id.label("review_id"),
            Review.plan,
            Review.due_on,
            Review.signed_at,
            last_report.label("last_report_at"),
        )
        .select_from(Patient)
        .join(Lesion, Lesion.patient_id == Patient.id)
        .join(LesionImage, LesionImage.lesion_id == Lesion.id)
        .outerjoin(Review, Review.lesion_image_id == LesionImage.id)
        .outerjoin(Prediction, and_(Prediction.lesion_image_id == LesionImage.id, is_latest_of_image()))
        .where(Patient.id.in_(bindparam("patient_ids", expanding=True)))
        .order_by(LesionImage.lesion_id, LesionImage.id)
    )


def count_unsigned(tasks: Iterable[Row]) -> Counter[str]:
    """What open tasks add to the clinic's totals, by the column."""
    totals: Counter[str] = Counter()
    for task in tasks:
        if task["kind"] is OpenTaskKind.UNSIGNED:
            totals["awaiting_review"] += 1
            totals["high_risk_unsigned"] += task["outcome"] is OutcomeLabel.MALIGNANT
    return totals


def _tasks_of_lesion(images: Sequence[Row]) -> Iterator[Row]:
    """What is open on one lesion.

    Args:
        images: Its photographs, each with its newest answer and its review, if it has them.
    """
    for image in images:
        if image["review_id"] is None:
            yield _unsigned(image)
    reviewed = sorted(
        (image for image in images if image["review_id"] is not None), key=lambda image: image["review_id"]
    )
    reported_at = images[0]["last_report_at"]
    waiting = (
        one
        for one in reviewed
        if one["plan"] is ReviewPlan.BIOPSY and not (reported_at and reported_at > one["signed_at"])
    )
    if first := next(waiting, None):
        yield _reviewed(first, OpenTaskKind.HISTOLOGY, due_on=None)
    if reviewed and (newest := reviewed[-1])["plan"] is ReviewPlan.MONITOR:
        last_photograph = max(image["captured_at"] for image in images)
        if last_photograph <= newest["signed_at"]:
            yield _reviewed(newest, OpenTaskKind.MONITORING, due_on=newest["due_on"])


def _unsigned(image: Row) -> Row:
    probability = image["malignancy_probability"]
    return {
        "lesion_image_id": image["lesion_image_id"],
        "clinic_id": image["clinic_id"],
        "kind": OpenTaskKind.UNSIGNED,
        "patient_id": image["patient_id"],
        "review_id": None,
        "risk_order": NOBODY_LOOKED if probability is None else -probability,
        "outcome": image["label"],
        "since": image["captured_at"],
        "due_on": None,
    }


def _reviewed(image: Row, kind: OpenTaskKind, **values: Any) -> Row:
    return {
        "lesion_image_id": image["lesion_image_id"],
        "clinic_id": image["clinic_id"],
        "kind": kind,
        "patient_id": image["patient_id"],
        "review_id": image["review_id"],
        "risk_order": None,
        "outcome": None,
        "since": image["signed_at"],
        **values,
    }
