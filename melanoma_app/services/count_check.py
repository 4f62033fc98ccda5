"""Checking the statistics, the worklist and the totals against the records, and making them anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, case, delete, extract, func, insert, select

from melanoma_app.extensions import db
from melanoma_app.models import Clinic, CountedTest, OpenTask, OutcomeCount, Patient, Prediction, RecordTotal
from melanoma_app.models.outcome_count import EVER, UNKNOWN
from melanoma_app.models.vocabulary import ComparedWith, OutcomeLabel
from melanoma_app.services.audit import lock_chain
from melanoma_app.services.count_faults import CountFault, compare_rows
from melanoma_app.services.count_slices import TEN_YEARS, UNDIVIDED_VALUES, Grain, Property, Slice, slices_of
from melanoma_app.services.counting import (
    COUNT_COLUMNS,
    KEY_COLUMNS,
    Cell,
    read_tests,
    replace_counted,
)
from melanoma_app.services.derived_rows import by_photograph, read_stored_rows
from melanoma_app.services.open_tasks import read_open_tasks, replace_open_tasks
from melanoma_app.services.record_totals import count_totals, read_totals, write_totals

PATIENTS_A_STEP: Final = 500
CELLS_A_STATEMENT: Final = 2000


def verify_statistics() -> Iterator[CountFault]:
    """Recompute every clinic's statistics and worklist from its records and yield whatever differs; nothing is changed.

    Writers of a clinic wait while a step of its check is made, never for the whole of it.
    """
    for clinic_id in db.session.scalars(select(Clinic.id).order_by(Clinic.id)).all():
        checks = [
            *(partial(_check_cells, clinic_id, *kept) for kept in _kept_counts()),
            partial(_find_strangers, clinic_id),
            partial(_check_totals, clinic_id),
        ]
        for patient_ids in _steps(clinic_id):
            yield from _locked(clinic_id, partial(_check_rows, clinic_id, patient_ids))
        for check in checks:
            yield from _locked(clinic_id, check)


def rebuild_statistics(*, report: Callable[[int], None] = lambda patients: None) -> None:
    """Make every clinic's statistics and worklist anew from its records.

    Patients are gone through in steps that are committed one by one, so that the clinic can go on working; the counters
    and totals are replaced at the end, all at once.

    Args:
        report: Is told how many patients each step went through.
    """
    for clinic_id in db.session.scalars(select(Clinic.id).order_by(Clinic.id)).all():
        for patient_ids in _steps(clinic_id):
            lock_chain(clinic_id)
            replace_counted(patient_ids)
            replace_open_tasks(patient_ids)
            db.session.commit()
            report(len(patient_ids))
        lock_chain(clinic_id)
        write_totals(clinic_id=clinic_id)
        db.session.execute(delete(OutcomeCount).where(OutcomeCount.clinic_id == clinic_id))
        for one, compared_with in _kept_counts():
            rows = [
                dict(zip(KEY_COLUMNS, cell, strict=True)) | dict(zip(COUNT_COLUMNS, counts, strict=True))
                for cell, counts in _count_cells(clinic_id, one, compared_with).items()
            ]
            for start in range(0, len(rows), CELLS_A_STATEMENT):
                db.session.execute(insert(OutcomeCount), rows[start : start + CELLS_A_STATEMENT])
        db.session.commit()


def count_what_is_uncounted() -> None:
    """Make statistics and worklist of a record that is older than they are; where they are kept, nothing is done."""
    if is_something_uncounted():
        rebuild_statistics()


def is_something_uncounted() -> bool:
    """Whether a record is older than the statistics, or has lost them; quick, for it does not compare them."""
    has_predictions = db.session.scalar(select(Prediction.id).limit(1)) is not None
    has_counts = db.session.scalar(select(CountedTest.lesion_image_id).limit(1)) is not None
    with_totals = select(RecordTotal.clinic_id)
    has_patients = select(Patient.id).where(Patient.clinic_id == Clinic.id).correlate(Clinic).exists()
    lacks_totals = select(Clinic.id).where(has_patients, Clinic.id.not_in(with_totals)).limit(1)
    is_incomplete = db.session.scalar(lacks_totals) is not None
    db.session.commit()
    return is_incomplete or (has_predictions and not has_counts)


def count_all_patients() -> int:
    """The patients of all clinics together: how far `rebuild_statistics` has to go."""
    return db.session.scalar(select(func.count()).select_from(Patient)) or 0


def _locked(clinic_id: int, check: Callable[[], Iterator[CountFault]]) -> list[CountFault]:
    lock_chain(clinic_id)
    faults = list(check())
    db.session.rollback()
    return faults


def _steps(clinic_id: int) -> Iterator[list[int]]:
    last_id = 0
    while True:
        ids = list(
            db.session.scalars(
                select(Patient.id)
                .where(Patient.clinic_id == clinic_id, Patient.id > last_id)
                .order_by(Patient.id)
                .limit(PATIENTS_A_STEP)
            )
        )
        if not ids:
            return
        yield ids
        last_id = ids[-1]


def _kept_counts() -> Iterator[tuple[Slice, ComparedWith]]:
    for compared_with in ComparedWith:
        for one in slices_of(compared_with):
            yield one, compared_with


def _check_rows(clinic_id: int, patient_ids: list[int]) -> Iterator[CountFault]:
    tests, tasks = by_photograph(read_tests(patient_ids)), by_photograph(read_open_tasks(patient_ids))
    counted = read_stored_rows(CountedTest, patient_ids=patient_ids, image_ids=tests)
    listed = read_stored_rows(OpenTask, patient_ids=patient_ids, image_ids=tasks)
    yield from compare_rows(clinic_id=clinic_id, recorded=tests, kept=counted, where="counted")
    yield from compare_rows(clinic_id=clinic_id, recorded=tasks, kept=listed, where="on the worklist")


def _check_totals(clinic_id: int) -> Iterator[CountFault]:
    kept, right = read_totals(clinic_id), count_totals(clinic_id)
    for name in right:
        if kept[name] != right[name]:
            yield CountFault(
                clinic_id=clinic_id,
                place=f"total of {name.replace('_', ' ')}",
                explanation=f"it says {kept[name]}, the records say {right[name]}",
            )


def _check_cells(clinic_id: int, one: Slice, compared_with: ComparedWith) -> Iterator[CountFault]:
    expected = _count_cells(clinic_id, one, compared_with)
    columns = OutcomeCount.__table__.c
    rows = db.session.execute(
        select(*(columns[name] for name in (*KEY_COLUMNS, *COUNT_COLUMNS))).where(
            columns.clinic_id == clinic_id,
            columns.slice == one.name,
            columns.compared_with == compared_with,
        )
    )
    stored = {tuple(row[: len(KEY_COLUMNS)]): list(row[len(KEY_COLUMNS) :]) for row in rows}
    nothing = [0] * len(COUNT_COLUMNS)
    for cell in sorted(expected.keys() | stored.keys()):
        kept, right = stored.get(cell, nothing), expected.get(cell, nothing)
        if kept != right:
            yield CountFault(
                clinic_id=clinic_id,
                place=f"cell {' '.join(str(value) for value in cell[1:])}",
                explanation=f"it says {kept}, the counted tests say {right}",
            )


def _find_strangers(clinic_id: int) -> Iterator[CountFault]:
    known = {one.name for one, _ in _kept_counts()}
    names = select(OutcomeCount.slice).where(OutcomeCount.clinic_id == clinic_id).distinct()
    for name in sorted(set(db.session.scalars(names)) - known):
        yield CountFault(
            clinic_id=clinic_id, place=f"slice {name}", explanation="this program does not keep it"
        )


def _count_cells(clinic_id: int, one: Slice, compared_with: ComparedWith) -> dict[Cell, list[int]]:
    """What the counted tests add up to, by cell."""
    columns = CountedTest.__table__.c
    days: list[ColumnElement[Any]] = []
    if one.grain is Grain.MONTH:
        days = [extract("year", columns.captured_on), extract("month", columns.captured_on)]
    elif one.grain is Grain.DAY:
        days = [columns.captured_on]
    values: list[ColumnElement[Any]] = [
        columns.age_years - columns.age_years % TEN_YEARS
        if each is Property.AGE and one.in_tens
        else columns[each.value]
        for each in Property
        if each in one.properties
    ]
    against, _, conclusion = compared_with.partition(": ")
    prefix, condition = "", columns.clinic_id == clinic_id
    if conclusion:
        prefix = f"{against}_"
        said = columns.review_conclusion if against == "review" else columns.histology_outcome
        condition = and_(condition, said == conclusion)
    sums = [
        func.sum(case((and_(columns.outcome == outcome, is_counted), 1), else_=0))
        for is_counted in (
            columns.lesion_image_id > 0,
            columns[f"{prefix}counts_lesion"].is_(True),
            columns[f"{prefix}counts_patient"].is_(True),
        )
        for outcome in (OutcomeLabel.MALIGNANT, OutcomeLabel.BENIGN)
    ]
    found = db.session.execute(select(*days, *values, *sums).where(condition).group_by(*days, *values))
    cells = {}
    for row in found:
        period, own, counts = (
            row[: len(days)],
            iter(row[len(days) : len(days) + len(values)]),
            [int(count) for count in row[len(days) + len(values) :]],
        )
        key = tuple(
            _in_cell(next(own)) if each in one.properties else UNDIVIDED_VALUES[each] for each in Property
        )
        cells[(clinic_id, one.name, compared_with, _period_start(one.grain, period), *key)] = counts
    return cells


def _period_start(grain: Grain, period: Any) -> date:
    match grain:
        case Grain.EVER:
            return EVER
        case Grain.MONTH:
            return date(int(period[0]), int(period[1]), 1)
        case Grain.DAY:
            day: date = period[0]
            return day


def _in_cell(value: Any) -> Any:
    return UNKNOWN if value is None else value
