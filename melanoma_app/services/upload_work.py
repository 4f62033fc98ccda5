"""The work of a bulk upload: each row is an item, done as `import_images` does it, with files from the image store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import select

from melanoma_app.errors import FileMissingError, InvalidInputError, UnavailableError
from melanoma_app.extensions import db, image_storage
from melanoma_app.models import Job, JobItem, Patient, StagedPhotograph
from melanoma_app.services.actor import Actor
from melanoma_app.services.file_removal import remove_noted_files
from melanoma_app.services.image_files import DAMAGED, read_image_file
from melanoma_app.services.image_import_model import ImportModel
from melanoma_app.services.image_manifest import MANIFEST_COLUMNS
from melanoma_app.services.import_tables import ImportTable, TableRow
from melanoma_app.services.import_work import close_rows, take_in_rows
from melanoma_app.services.upload_staging import drop_photographs, let_files_go
from melanoma_app.services.uploads import NEVER_CAME
from melanoma_app.storage import ImageStore

GONE: Final = "The image store has lost this photograph, or it is damaged there. Send it once more."
_TABLE: Final = ImportTable(path=Path("The manifest"), header=(), positions={}, ignored=(), row_count=0)


@dataclass(frozen=True, kw_only=True)
class StagedFiles:
    """The files that have come for an upload, as the source of an import: by the numbers of their rows.

    Args:
        files: Key and SHA-256 of each.
        store: Where they are.
    """

    files: Mapping[str, tuple[str, str]]
    store: ImageStore

    def digest(self, name: str) -> str:
        """The SHA-256 of a file, as it was when it came."""
        return self.files[name][1]

    def read(self, name: str) -> bytes:
        """The bytes of a file, and never any others."""
        key, sha256 = self.files[name]
        try:
            return read_image_file(key=key, sha256=sha256, store=self.store)
        except UnavailableError as error:
            if isinstance(error, FileMissingError) or error.message == DAMAGED:
                raise InvalidInputError(GONE) from error
            raise


class UploadWork:
    """The work of one upload in one process: it holds the model.

    Args:
        job: Which.
        actor: Who uploads.
    """

    def __init__(self, job: Job, actor: Actor) -> None:
        self._job_id, self._details, self._actor = job.id, job.details, actor
        self._model = ImportModel()

    def do(self, items: Mapping[int, int]) -> None:
        """Take in the photographs of some rows; their files go as soon as the photographs are on record.

        Raises:
            JobStoppedError: Who uploads may not any more.
            JobPausedError: The model or the image store does not work at present.
        """
        rows, photographs = self._read(items)
        problems = take_in_rows(
            table=_TABLE,
            rows=rows,
            photographs=photographs,
            default_day=self._details["default_day"],
            model=self._model,
            actor=self._actor,
        )
        # Each row that was not dealt with says so: none is taken for done by mistake.
        absent = set(items.values()) - {row.number for row in rows}
        problems = {**dict.fromkeys(absent, NEVER_CAME), **problems}
        _, closed = close_rows(job_id=self._job_id, items=items, problems=problems, actor=self._actor)
        drop_photographs(of=StagedPhotograph.job_item_id.in_(closed.done))
        let_files_go(of=StagedPhotograph.job_item_id.in_(closed.set_aside))
        db.session.commit()
        remove_noted_files(store=image_storage.store)

    def _read(self, items: Mapping[int, int]) -> tuple[Sequence[TableRow], StagedFiles]:
        """The rows as a manifest would have them, and their files; those of somebody who was erased are gone."""
        found = db.session.execute(
            select(StagedPhotograph, JobItem.subject_id, Patient.mrn)
            .join(JobItem, JobItem.id == StagedPhotograph.job_item_id)
            .join(Patient, Patient.id == StagedPhotograph.patient_id)
            .where(StagedPhotograph.job_item_id.in_(items), StagedPhotograph.storage_key.is_not(None))
            .order_by(JobItem.subject_id)
        ).all()
        rows, files = [], {}
        for staged, number, mrn in found:
            name = str(number)
            values = dict.fromkeys((column.name for column in MANIFEST_COLUMNS), "")
            rows.append(
                TableRow(number=number, cells=(), values=values | staged.cells | {"image": name, "mrn": mrn})
            )
            files[name] = str(staged.storage_key), str(staged.sha256)
        db.session.commit()
        return rows, StagedFiles(files=files, store=image_storage.store)
