"""Whether the image store has every file on record, as it was stored: each is read and its SHA-256 compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from melanoma_app.errors import FileMissingError, UnavailableError
from melanoma_app.extensions import db
from melanoma_app.models import LesionImage, StagedPhotograph
from melanoma_app.services.files_in_use import find_keys_in_use
from melanoma_app.services.image_files import digest_in, has_digest
from melanoma_app.storage import ImageStore

FILES_AT_ONCE: Final = 8
"""A bucket answers each after some 20 ms; a disk has use for a few at once, too."""
_ROWS_A_STEP: Final = 500


@dataclass(frozen=True, kw_only=True)
class FileOnRecord:
    """A file that a row refers to.

    Args:
        key: Where the store keeps it.
        sha256: Of its bytes; empty where neither row nor key tells, as with the first versions' thumbnails.
        size_bytes: None where the row does not tell, as with every thumbnail.
    """

    key: str
    sha256: str
    size_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class StorageFault:
    """A file that is not as it was stored."""

    key: str
    explanation: str


def list_files_on_record() -> Iterator[list[FileOnRecord]]:
    """Every file that a row refers to, some at a time; no transaction stays open meanwhile.

    Those of the photographs come first, then those that wait in a bulk upload.
    """
    yield from _list_files_of_photographs()
    yield from _list_staged_files()


def _list_files_of_photographs() -> Iterator[list[FileOnRecord]]:
    last_id = 0
    while True:
        rows = db.session.execute(
            select(
                LesionImage.id,
                LesionImage.storage_key,
                LesionImage.sha256,
                LesionImage.size_bytes,
                LesionImage.thumbnail_key,
            )
            .where(LesionImage.id > last_id)
            .order_by(LesionImage.id)
            .limit(_ROWS_A_STEP)
        ).all()
        db.session.commit()
        if not rows:
            return
        files = [
            FileOnRecord(key=row.storage_key, sha256=row.sha256, size_bytes=row.size_bytes) for row in rows
        ]
        files += [
            FileOnRecord(
                key=row.thumbnail_key,
                sha256=digest_in(row.thumbnail_key) if has_digest(row.thumbnail_key) else "",
                size_bytes=None,
            )
            for row in rows
            if row.thumbnail_key
        ]
        yield files
        last_id = rows[-1].id


def _list_staged_files() -> Iterator[list[FileOnRecord]]:
    last_id = 0
    while True:
        rows = db.session.execute(
            select(
                StagedPhotograph.id,
                StagedPhotograph.storage_key,
                StagedPhotograph.sha256,
                StagedPhotograph.size_bytes,
            )
            .where(StagedPhotograph.id > last_id, StagedPhotograph.storage_key.is_not(None))
            .order_by(StagedPhotograph.id)
            .limit(_ROWS_A_STEP)
        ).all()
        db.session.commit()
        if not rows:
            return
        yield [
            FileOnRecord(key=row.storage_key or "", sha256=row.sha256 or "", size_bytes=row.size_bytes)
            for row in rows
        ]
        last_id = rows[-1].id


def find_storage_faults(
    *, store: ImageStore, report: Callable[[int], object] = lambda files: None
) -> Iterator[StorageFault]:
    """Read every file on record back from the store, while the clinic works.

    One that was erased meanwhile is no fault. Memory does not grow with the number of photographs.

    Args:
        store: Where the files are.
        report: Is told how many files were read.

    Raises:
        UnavailableError: The store itself does not work, so that nothing can be said of its files.
    """
    with ThreadPoolExecutor(FILES_AT_ONCE) as readers:
        for files in list_files_on_record():
            faults = []
            for fault in readers.map(lambda file: _check_file(file, store), files):
                report(1)
                if fault:
                    faults.append(fault)
            if faults:
                on_record = _still_on_record([fault.key for fault in faults])
                yield from (fault for fault in faults if fault.key in on_record)


def _check_file(file: FileOnRecord, store: ImageStore) -> StorageFault | None:
    explanation = ""
    try:
        content = store.read(key=file.key)
    except FileMissingError:
        explanation = "the file is missing"
    except UnavailableError as error:
        store.check()  # the store's fault, or this file's alone?
        explanation = f"the file cannot be read: {error.message}"
    else:
        if file.size_bytes is not None and len(content) != file.size_bytes:
            explanation = f"the file is damaged: {len(content)} bytes, {file.size_bytes} on record"
        elif file.sha256 and hashlib.sha256(content).hexdigest() != file.sha256:
            explanation = "the file is damaged"
    return StorageFault(key=file.key, explanation=explanation) if explanation else None


def _still_on_record(keys: list[str]) -> set[str]:
    used = find_keys_in_use(keys)
    db.session.commit()
    return used
