"""Rows that are derived from the record, one a photograph: read, and replaced where the record now says otherwise."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, delete, insert, select, update

from melanoma_app.extensions import db
from melanoma_app.models import CountedTest, OpenTask

Row = dict[str, Any]
"""The columns of a row, by name."""
DerivedModel = type[CountedTest] | type[OpenTask]


def by_photograph(rows: Sequence[Row]) -> dict[int, Row]:
    """The rows by the key of their photograph."""
    return {row["lesion_image_id"]: row for row in rows}


def read_stored_rows(
    model: DerivedModel, *, patient_ids: Collection[int], image_ids: Collection[int]
) -> dict[int, Row]:
    """The rows that are kept for some patients or made of some photographs, by photograph."""
    found: dict[int, Row] = {}
    for column, keys in (("patient_id", patient_ids), ("lesion_image_id", image_ids)):
        rows = db.session.execute(_rows_by(model, column), {"keys": list(keys)}).mappings()
        found |= by_photograph([dict(row) for row in rows])
    return found


@cache
def _rows_by(model: DerivedModel, column: str) -> Select[*tuple[Any, ...]]:
    columns = model.__table__.columns
    return select(*columns).where(columns[column].in_(bindparam("keys", expanding=True)))


def replace_rows(
    model: DerivedModel, *, patient_ids: Collection[int], rows: Sequence[Row]
) -> tuple[dict[int, Row], dict[int, Row]]:
    """Make the rows that are kept for some patients those that the record gives; the caller holds the clinic's lock.

    Args:
        model: Which rows.
        patient_ids: The patients.
        rows: What is right for them.

    Returns:
        The rows that were kept before, and those that are kept now, by photograph.
    """
    new = by_photograph(rows)
    # Found by photograph, too: a merge moved some to a patient that they were not kept for.
    old = read_stored_rows(model, patient_ids=patient_ids, image_ids=new)
    key = model.lesion_image_id
    if gone := [image_id for image_id in old if image_id not in new]:
        db.session.execute(delete(model).where(key.in_(gone)))
    for image_id, row in new.items():
        if image_id in old and old[image_id] != row:
            db.session.execute(update(model).where(key == image_id).values(row))
    if added := [row for image_id, row in new.items() if image_id not in old]:
        db.session.execute(insert(model), added)
    return old, new
