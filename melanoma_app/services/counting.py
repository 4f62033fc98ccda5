"""Counting: what a patient's record adds to the statistics, kept up in the transaction that changes the record.

A test is a photograph with its newest prediction. A lesion counts once, as its latest test. A patient counts once, at
the first positive test, or at the latest test while none is positive.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Select, bindparam, delete, select
from sqlalchemy.dialects import mysql, sqlite

from melanoma_app.extensions import db
from melanoma_app.models import (
    CountedTest,
    Histopathology,
    Lesion,
    LesionImage,
    OutcomeCount,
    Patient,
    Prediction,
    Review,
)
from melanoma_app.models.histopathology import is_newest_of_lesion
from melanoma_app.models.prediction import is_latest_of_image
from melanoma_app.models.vocabulary import ComparedWith, OutcomeLabel
from melanoma_app.services.audit import lock_chain
from melanoma_app.services.birth_dates import age_in_years
from melanoma_app.services.count_slices import Property, slices_of
from melanoma_app.services.derived_rows import Row, replace_rows
from melanoma_app.services.open_tasks import drop_open_tasks, refresh_open_tasks

Cell = tuple[Any, ...]
"""The key of a cell: KEY_COLUMNS in order."""
KEY_COLUMNS: Final = tuple(column.name for column in OutcomeCount.__table__.primary_key)
COUNT_COLUMNS: Final = tuple(
    f"{outcome}_{unit}s" for unit in ("test", "lesion", "patient") for outcome in ("positive", "negative")
)


def recount_patients(*, patient_ids: Collection[int], clinic_id: int) -> None:
    """Bring statistics and worklist up to what the record now says of some patients; the caller commits.

    It takes the lock of the clinic's audit chain, so that writers take turns and no count is lost. Call it after
    `record_event`, just before the commit.

    Args:
        patient_ids: The patients whose record changed; both for a merge.
        clinic_id: Their clinic.
    """
    lock_chain(clinic_id)
    _change_cells(*replace_counted(patient_ids))
    refresh_open_tasks(patient_ids=patient_ids, clinic_id=clinic_id)


def uncount_patients(*, patient_ids: Collection[int], clinic_id: int) -> None:
    """Take patients out of statistics and worklist, before their record is erased; the caller commits.

    A counter that comes to nothing goes: zeros on a day, for an age, still tell that somebody was counted there.

    Args:
        patient_ids: The patients.
        clinic_id: Their clinic.
    """
    lock_chain(clinic_id)
    db.session.flush()
    _change_cells(*replace_rows(CountedTest, patient_ids=patient_ids, rows=[]))
    drop_open_tasks(patient_ids=patient_ids, clinic_id=clinic_id)
    counts_nothing = [getattr(OutcomeCount, name) == 0 for name in COUNT_COLUMNS]
    empty = delete(OutcomeCount).where(OutcomeCount.clinic_id == clinic_id, *counts_nothing)
    db.session.execute(empty.execution_options(synchronize_session=False))


def replace_counted(patient_ids: Collection[int]) -> tuple[dict[int, Row], dict[int, Row]]:
    """Write what the record says of some patients into the counted tests; the caller holds the lock.

    Returns:
        The tests that were counted before, and those that are counted now, by photograph.
    """
    db.session.flush()
    return replace_rows(CountedTest, patient_ids=patient_ids, rows=read_tests(patient_ids))


def read_tests(patient_ids: Collection[int]) -> list[Row]:
    """The tests of some patients as the record says, each with everything it is counted by."""
    rows = db.session.execute(_tests_of_patients(), {"patient_ids": list(patient_ids)}).mappings()
    tests = [_describe(dict(row)) for row in rows]
    for _, own in groupby(tests, key=lambda test: test["patient_id"]):
        _mark_representatives(list(own))
    return tests


@cache
def _tests_of_patients() -> Select[*tuple[Any, ...]]:
    """Made once: making it takes longer than the database takes to answer it."""
    return (
        select(
            LesionImage.id.label("lesion_image_id"),
            Patient.clinic_id,
            Lesion.patient_id,
            Lesion.id.label("lesion_id"),
            Prediction.id.label("prediction_id"),
            Prediction.model_version_id,
            LesionImage.captured_at,
            LesionImage.captured_on,
            Patient.gender,
            Patient.birth_date,
            Lesion.anatom_site_general,
            Patient.fitzpatrick_skin_type,
            Prediction.label.label("outcome"),
            Review.conclusion.label("review_conclusion"),
            Histopathology.outcome.label("histology_outcome"),
            Histopathology.reported_on,
        )
        .select_from(Patient)
        .join(Lesion, Lesion.patient_id == Patient.id)
        .join(LesionImage, LesionImage.lesion_id == Lesion.id)
        .join(Prediction, Prediction.lesion_image_id == LesionImage.id)
        .outerjoin(Review, Review.lesion_image_id == LesionImage.id)
        .outerjoin(Histopathology, is_newest_of_lesion())
        .where(Patient.id.in_(bindparam("patient_ids", expanding=True)), is_latest_of_image())
        .order_by(Lesion.patient_id, LesionImage.captured_at, LesionImage.id)
    )


def add_to_cells(changes: dict[Cell, list[int]], row: Row, sign: int) -> None:
    """Count a test in every cell that it belongs to, or take it out again (sign −1)."""
    is_negative = row["outcome"] is OutcomeLabel.BENIGN
    for compared_with, prefix in _comparisons(row):
        units = (True, row[f"{prefix}counts_lesion"], row[f"{prefix}counts_patient"])
        for one in slices_of(compared_with):
            values = [one.value(each, row[each.value]) for each in Property]
            counts = changes[
                (row["clinic_id"], one.name, compared_with, one.period_start(row["captured_on"]), *values)
            ]
            for number, is_counted in enumerate(units):
                counts[2 * number + is_negative] += sign * is_counted


def _comparisons(row: Row) -> Iterable[tuple[ComparedWith, str]]:
    """What a test is counted under, and how the columns of its marks begin there."""
    yield ComparedWith.NOTHING, ""
    if (conclusion := row["review_conclusion"]) is not None:
        yield ComparedWith(f"review: {conclusion}"), "review_"
    if (found := row["histology_outcome"]) is not None:
        yield ComparedWith(f"histology: {found}"), "histology_"


def _describe(row: Row) -> Row:
    row["age_years"] = max(age_in_years(row.pop("birth_date"), on=row["captured_on"]), 0)
    reported_on = row.pop("reported_on")
    # What is photographed after the report is the scar, or another spot.
    if reported_on is not None and row["captured_on"] > reported_on:
        row["histology_outcome"] = None
    return row


def _mark_representatives(tests: Sequence[Row]) -> None:
    """Mark which of a patient's tests, oldest first, stand for their lesion and for the patient."""
    _mark("", tests, lambda test: True)
    _mark("review_", tests, lambda test: test["review_conclusion"] is not None)
    _mark("histology_", tests, lambda test: test["histology_outcome"] is not None)


def _mark(prefix: str, tests: Sequence[Row], is_eligible: Callable[[Row], bool]) -> None:
    eligible = [test for test in tests if is_eligible(test)]
    latest_of_lesion = {test["lesion_id"]: test for test in eligible}
    positive = [test for test in eligible if test["outcome"] is OutcomeLabel.MALIGNANT]
    of_patient = next(iter(positive or eligible[-1:]), None)
    for test in tests:
        test[f"{prefix}counts_lesion"] = latest_of_lesion.get(test["lesion_id"]) is test
        test[f"{prefix}counts_patient"] = of_patient is test


def _change_cells(old: dict[int, Row], new: dict[int, Row]) -> None:
    """Bring the counters from the tests that were counted to those that are."""
    changes: defaultdict[Cell, list[int]] = defaultdict(lambda: [0] * len(COUNT_COLUMNS))
    for rows, sign in ((old, -1), (new, 1)):
        for image_id, row in rows.items():
            if old.get(image_id) != new.get(image_id):
                add_to_cells(changes, row, sign)
    _write_changes(changes)


def _write_changes(changes: dict[Cell, list[int]]) -> None:
    rows = [
        dict(zip(KEY_COLUMNS, cell, strict=True)) | dict(zip(COUNT_COLUMNS, counts, strict=True))
        for cell, counts in sorted(changes.items())
        if any(counts)
    ]
    if rows:
        db.session.execute(_adding(db.engine.dialect.name), rows)


@cache
def _adding(dialect: str) -> Any:
    """The statement that adds counts to a cell, or makes it where it is not there yet."""
    if dialect == "sqlite":
        new = sqlite.insert(OutcomeCount)
        return new.on_conflict_do_update(
            index_elements=KEY_COLUMNS,
            set_={name: getattr(OutcomeCount, name) + new.excluded[name] for name in COUNT_COLUMNS},
        )
    added = mysql.insert(OutcomeCount)
    return added.on_duplicate_key_update(
        {name: getattr(OutcomeCount, name) + added.inserted[name] for name in COUNT_COLUMNS}
    )
