"""What the jobs that take photographs in share: some rows of a manifest are taken in, and their items closed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from melanoma_app.errors import (
    ClinicError,
    JobPausedError,
    JobStoppedError,
    NotPermittedError,
    UnavailableError,
)
from melanoma_app.models import Job
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain
from melanoma_app.services.image_import import import_images
from melanoma_app.services.image_import_files import PhotographSource
from melanoma_app.services.image_import_model import ImportModel
from melanoma_app.services.import_errors import describe_problem
from melanoma_app.services.import_tables import ImportTable, TableRow
from melanoma_app.services.job_items import close_items, fail_items, find_open_items, lock_job

_QUOTED: Final = re.compile("“[^”]*”")


@dataclass(frozen=True, kw_only=True)
class ClosedRows:
    """Items that were closed, by their keys, in a transaction that is still open."""

    done: Sequence[int]
    set_aside: Sequence[int]


def take_in_rows(
    *,
    table: ImportTable,
    rows: Sequence[TableRow],
    photographs: PhotographSource,
    default_day: str | None,
    model: ImportModel,
    actor: Actor,
) -> Mapping[int, str]:
    """Take in the photographs of some rows. One that is on record already, after a death say, is left alone.

    Args:
        table: Whose rows they are.
        rows: Which.
        photographs: Where their files come from.
        default_day: When photographs were taken whose row does not say, as 2026-03-31.
        model: Where the model stays from one batch to the next.
        actor: Who takes them in.

    Returns:
        Why rows were refused, by number.

    Raises:
        JobStoppedError: Who made the job may not add photographs any more.
        JobPausedError: The model or the image store does not work at present.
    """
    refusals = _Refusals()
    values: dict[str, Any] = vars(table)
    try:
        import_images(
            table=_PickedRows(**values, picked=rows),
            photographs=photographs,
            errors=refusals,
            actor=actor,
            default_day=date.fromisoformat(default_day) if default_day else None,
            model=model,
        )
    except UnavailableError as error:
        raise JobPausedError(error.message) from error
    except NotPermittedError as error:
        raise JobStoppedError(
            "Whoever began this may not add photographs any more, so it was stopped."
        ) from error
    return refusals.problems


def close_rows(
    *, job_id: int, items: Mapping[int, int], problems: Mapping[int, str], actor: Actor
) -> tuple[Job, ClosedRows]:
    """Close the items of rows that were dealt with; the caller commits.

    Args:
        job_id: Theirs.
        items: The row's number by the item's key.
        problems: Why rows were refused, by number. The manifest does not change by itself, so they are set aside.
        actor: Who took them in.
    """
    lock_chain(actor.clinic_id)
    job = lock_job(job_id)
    still_open = find_open_items(job=job, item_ids=items)
    failed = {one: problems[row] for one, row in still_open.items() if row in problems}
    done = [one for one in still_open if one not in failed]
    close_items(job=job, done=dict.fromkeys(done, ""))
    fail_items(job=job, failed=failed, is_final=True)
    return job, ClosedRows(done=done, set_aside=list(failed))


@dataclass(frozen=True, kw_only=True)
class _PickedRows(ImportTable):
    """Some rows of a table."""

    picked: Sequence[TableRow]

    def rows(self) -> Iterator[TableRow]:
        """Those rows."""
        return iter(self.picked)


class _Refusals:
    """Why rows were refused, by number; what a cell held is left out, for a job keeps nothing about a person."""

    def __init__(self) -> None:
        self.problems: dict[int, str] = {}

    @property
    def count(self) -> int:
        """How many."""
        return len(self.problems)

    def add(self, row: TableRow, error: ClinicError) -> None:
        """Remember one."""
        _, message = describe_problem(error)
        self.problems[row.number] = _QUOTED.sub("“…”", message)

    def flush(self) -> None:
        """Nothing is written before the batch is kept."""
