"""An import of photographs as a job: each row of the manifest is an item, done as `import_images` does it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Final

from sqlalchemy import insert

from melanoma_app.errors import InvalidInputError, JobStoppedError, NotPermittedError
from melanoma_app.extensions import db
from melanoma_app.models import Job, JobItem
from melanoma_app.models.vocabulary import JobItemState, JobKind
from melanoma_app.security.permissions import Permission
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain
from melanoma_app.services.image_import_files import photographs_in
from melanoma_app.services.image_import_model import ImportModel
from melanoma_app.services.image_manifest import MANIFEST_COLUMNS
from melanoma_app.services.import_tables import ImportTable, TableRow, batches, open_table
from melanoma_app.services.import_work import close_rows, take_in_rows
from melanoma_app.services.jobs import audit_new_job, enter_job

ITEMS_AN_INSERT: Final = 1000


def start_image_import(*, manifest: Path, folder: Path, actor: Actor, default_day: date | None = None) -> Job:
    """Begin to take in the photographs that a manifest lists, in the background.

    Whoever does the work must see manifest and folder under the same paths. The manifest must stay as it is until the
    job has ended. Job, items and audit entry are kept together or not at all.

    Args:
        manifest: A CSV file with MANIFEST_COLUMNS.
        folder: Where the photographs lie.
        actor: Who imports.
        default_day: When photographs were taken whose row does not say.

    Raises:
        NotPermittedError: The actor may not add lesions and photographs.
        InvalidInputError: The manifest cannot be read, or lacks columns.
    """
    if not {Permission.WRITE_PATIENTS, Permission.ADD_IMAGES} <= actor.permissions:
        raise NotPermittedError("Only somebody who may add lesions and photographs may import them.")
    table = open_table(path=manifest.resolve(), columns=MANIFEST_COLUMNS, takes_others=True)
    details = {
        "manifest": str(table.path),
        "manifest_sha256": _digest(table.path),
        "folder": str(folder.resolve()),
        "default_day": default_day.isoformat() if default_day else None,
    }
    lock_chain(actor.clinic_id)
    job = enter_job(kind=JobKind.IMPORT_IMAGES, actor=actor, details=details)
    for rows in batches(table.rows(), ITEMS_AN_INSERT):
        values = [
            {
                "job_id": job.id,
                "subject_id": row.number,
                "state": JobItemState.WAITING,
                "attempts": 0,
                "note": "",
            }
            for row in rows
        ]
        db.session.execute(insert(JobItem), values)
        job.total += len(values)
    audit_new_job(job, actor)
    return job


class ImportWork:
    """The work of one import in one process: it holds the model, and its place in the manifest.

    Args:
        job: Which.
        actor: Who imports.
    """

    def __init__(self, job: Job, actor: Actor) -> None:
        self._job_id, self._actor, self._details = job.id, actor, job.details
        self._model = ImportModel()
        self._table: ImportTable | None = None
        self._rows: Iterator[TableRow] = iter(())
        self._at = 0

    def do(self, items: Mapping[int, int]) -> None:
        """Take in the photographs of some rows. One that is on record already, after a death say, is left alone.

        Raises:
            JobStoppedError: The manifest is gone or has changed, or who imports may not any more.
            JobPausedError: The model or the image store does not work at present.
        """
        rows = self._pick(items.values())
        table = self._table
        assert table is not None  # noqa: S101 (picking has opened it)
        problems = take_in_rows(
            table=table,
            rows=rows,
            photographs=photographs_in(Path(self._details["folder"])),
            default_day=self._details["default_day"],
            model=self._model,
            actor=self._actor,
        )
        close_rows(job_id=self._job_id, items=items, problems=problems, actor=self._actor)
        db.session.commit()

    def _pick(self, numbers: Collection[int]) -> list[TableRow]:
        """The rows of some numbers; a manifest is walked once, as long as the numbers rise."""
        wanted = set(numbers)
        if self._table is None or min(wanted) <= self._at:
            self._open()
        found: list[TableRow] = []
        while len(found) < len(wanted) and (row := next(self._rows, None)) is not None:
            self._at = row.number
            if row.number in wanted:
                found.append(row)
        if len(found) < len(wanted):
            raise JobStoppedError(_CHANGED)
        return found

    def _open(self) -> None:
        path = Path(self._details["manifest"])
        try:
            if _digest(path) != self._details["manifest_sha256"]:
                raise JobStoppedError(_CHANGED)
            self._table = open_table(path=path, columns=MANIFEST_COLUMNS, takes_others=True)
        except InvalidInputError as error:
            raise JobStoppedError(error.message) from error
        if not Path(self._details["folder"]).is_dir():
            raise JobStoppedError(
                "The folder of the photographs is not there. Make it visible to the worker under the same path, "
                "then try the job again."
            )
        self._rows, self._at = self._table.rows(), 0


_CHANGED: Final = (
    "The manifest has changed since the job was begun, so it was stopped. Begin a new one with the manifest as it is "
    "now: photographs that are on record already are passed over."
)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInputError(f"{path.name} cannot be read: {error.strerror}.") from error
