"""Making a backup: one archive of the database and all photographs. See `docs/backup.md`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import func, select

from melanoma_app.errors import FileMissingError, UnavailableError
from melanoma_app.extensions import db
from melanoma_app.models import Clinic, LesionImage, PatientErasure
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.audit import read_heads, record_event
from melanoma_app.services.backup_archive import (
    IMAGES,
    LABEL,
    MANIFEST,
    SUMS,
    ArchiveWriter,
    write_sums,
)
from melanoma_app.services.backup_database import (
    DUMP_NAMES,
    LogPosition,
    count_dumped_rows,
    dump_database,
    engine_name,
    estimate_size,
    find_log_position,
    read_revision,
)
from melanoma_app.services.backup_folder import name_archive, remove_old_archives, writing
from melanoma_app.services.backup_manifest import Label, Manifest, to_json
from melanoma_app.services.files_in_use import find_keys_in_use
from melanoma_app.services.image_files import digest_in, has_digest
from melanoma_app.services.storage_check import list_files_on_record
from melanoma_app.storage import ImageStore

_ATTEMPTS: Final = 5
_THUMBNAIL_BYTES: Final = 12_000
_OVERHEAD_BYTES: Final = 2_500
"""What tar adds to a photograph and its thumbnail."""
_SPARE: Final = 1.05


@dataclass(frozen=True, kw_only=True)
class MadeBackup:
    """A finished archive.

    Args:
        path: Where it is.
        sha256: Of the whole file, hexadecimal, to check a copy against.
        size_bytes: Of the whole file.
        manifest: What is in it.
        removed: The names of older archives that had to go.
    """

    path: Path
    sha256: str
    size_bytes: int
    manifest: Manifest
    removed: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class _Dump:
    """A dump of the database, and what was known just before it."""

    path: Path
    heads: list[str]
    records: dict[str, int]
    log_position: LogPosition | None


def count_files() -> int:
    """About how many files a backup has to read, for a progress bar."""
    photographs = db.session.scalar(select(func.count()).select_from(LesionImage)) or 0
    db.session.commit()
    return 2 * photographs


def create_backup(
    *,
    folder: Path,
    store: ImageStore,
    key: bytes | None = None,
    keep: int | None = None,
    notes_log_position: bool = False,
    report: Callable[[int], object] = lambda files: None,
) -> MadeBackup:
    """Write an archive of the database and all photographs, while the clinic works.

    The file has its name only once it is whole and on the medium. Photographs that are missing or damaged in the store
    do not stop it: they stand in the manifest, and older archives, which may still have them, are then not removed.

    Args:
        folder: Where the archive goes; made where there is none.
        store: Where the photographs are.
        key: From `read_key`: encrypts the archive.
        keep: How many archives of this installation stay in the folder, this one counted; None: all.
        notes_log_position: Have a MySQL dump say where the binary log stands.
        report: Is told how many files were read.

    Raises:
        UnavailableError: There is no room, or something cannot be read or written; no part of an archive is left.
    """
    now = utc_now()
    label = Label(made_at=now.isoformat(), installation=_installation())
    name = name_archive(made_at=now, is_encrypted=key is not None)
    with writing(folder=folder, name=name, needed_bytes=_estimate_size()) as (file, work):
        writer = ArchiveWriter(file, key=key)
        writer.add(LABEL, to_json(label))
        manifest = _fill(writer, work, label, store, notes_log_position, report)
        writer.add(MANIFEST, to_json(manifest))
        writer.finish()
    record_event(
        action=AuditAction.BACKUP_MADE,
        actor=None,
        details={"archive": name, "sha256": file.sha256, "encrypted": key is not None},
    )
    db.session.commit()
    removed = []
    if keep and not (manifest.lost or manifest.damaged):
        removed = remove_old_archives(folder=folder, keep=keep, installation=label.installation, key=key)
    return MadeBackup(
        path=folder / name,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        manifest=manifest,
        removed=removed,
    )


def _fill(
    writer: ArchiveWriter,
    work: Path,
    label: Label,
    store: ImageStore,
    notes_log_position: bool,
    report: Callable[[int], object],
) -> Manifest:
    """Put in the photographs, the database and the list of both.

    The database is dumped first, the photographs are read after it: a file is written before its row, so each row of
    the dump has its file by then. A file is removed only after its row, but that may happen between the two: when a
    patient was erased meanwhile, the dump is made again, and holds neither row. Files that came meanwhile are put in,
    too: they do no harm. The dump itself goes into the archive after them, since it may not be the last one.
    """
    images = _Images(writer, store, report)
    for _ in range(_ATTEMPTS):
        erasure = _last_erasure()
        dump = _dump(work, notes_log_position=notes_log_position)
        images.add_all()
        lost = images.add_those_on_record()
        if _last_erasure() == erasure:
            break
    else:
        raise UnavailableError(
            "Patients are being erased, so no backup was made. Try again when that is done."
        )
    size_bytes = dump.path.stat().st_size
    with dump.path.open("rb") as file:
        database_sha256 = writer.add_file(DUMP_NAMES[engine_name()], file, size_bytes=size_bytes)
    with tempfile.TemporaryFile(dir=work) as file:
        write_sums(writer.checksums, file)
        sums_size_bytes = file.tell()
        file.seek(0)
        sums_sha256 = writer.add_file(SUMS, file, size_bytes=sums_size_bytes)
    return Manifest(
        made_at=label.made_at,
        engine=engine_name(),
        schema_revision=read_revision(),
        database_sha256=database_sha256,
        database_size_bytes=size_bytes,
        records=dump.records,
        audit_heads=dump.heads,
        log_position=dump.log_position,
        images=images.count,
        images_size_bytes=images.size_bytes,
        sums_sha256=sums_sha256,
        lost=lost,
        damaged=images.damaged,
    )


def _dump(work: Path, *, notes_log_position: bool) -> _Dump:
    path = work / DUMP_NAMES[engine_name()]
    path.unlink(missing_ok=True)  # of an earlier attempt
    # Read before the dump, these entries are in it; what follows them is covered by the checksum.
    heads = [str(head) for head in read_heads()]
    dump_database(target=path, notes_log_position=notes_log_position)
    position = find_log_position(path)
    if notes_log_position and position is None:
        raise UnavailableError(
            "The server did not say where its binary log stands, so no backup was made. Switch the log on (log_bin), "
            "and give the account the right to see it: BINLOG MONITOR on MariaDB, REPLICATION CLIENT on MySQL."
        )
    return _Dump(path=path, heads=heads, records=count_dumped_rows(path), log_position=position)


class _Images:
    """Puts photographs in, each once.

    Args:
        writer: Into what.
        store: From where.
        report: Is told of each file.
    """

    def __init__(self, writer: ArchiveWriter, store: ImageStore, report: Callable[[int], object]) -> None:
        self._writer, self._store, self._report = writer, store, report
        self.count = self.size_bytes = 0
        self.damaged: list[str] = []

    def add_all(self) -> None:
        """Put in every file of the store that is not in yet; one that was removed meanwhile is passed over."""
        for stored in self._store.list_files():
            self._add(stored.key)

    def add_those_on_record(self) -> list[str]:
        """Put in what rows refer to and is not in yet; gives the keys that cannot be read.

        What a bulk upload has brought goes when its photographs are on record: then it is not lost.
        """
        lost = [file.key for files in list_files_on_record() for file in files if not self._add(file.key)]
        used = find_keys_in_use(lost)
        db.session.commit()
        return [key for key in lost if key in used]

    def _add(self, key: str) -> bool:
        if IMAGES + key in self._writer.checksums:
            return True
        try:
            content = self._store.read(key=key)
        except FileMissingError:
            return False
        except UnavailableError:
            self._store.check()  # a backup during an outage would name every photograph as lost
            return False
        sha256 = self._writer.add(IMAGES + key, content)
        if has_digest(key) and sha256 != digest_in(key):
            self.damaged.append(key)
        self.count += 1
        self.size_bytes += len(content)
        self._report(1)
        return True


def _last_erasure() -> int:
    last = db.session.scalar(select(func.max(PatientErasure.id))) or 0
    db.session.commit()
    return last


def _installation() -> str:
    public_id = db.session.scalar(select(Clinic.public_id).order_by(Clinic.id).limit(1))
    db.session.commit()
    return str(public_id or "")


def _estimate_size() -> int:
    """The database is there twice for a while: as a dump, and in the archive."""
    row = db.session.execute(select(func.sum(LesionImage.size_bytes), func.count(LesionImage.id))).one()
    db.session.commit()
    images = int(row[0] or 0) + row[1] * (_THUMBNAIL_BYTES + _OVERHEAD_BYTES)
    return int(_SPARE * (2 * estimate_size() + images))


def describe_backup(made: MadeBackup) -> str:
    """One line for programs: JSON."""
    manifest = made.manifest
    return json.dumps(
        {
            "archive": str(made.path),
            "sha256": made.sha256,
            "size_bytes": made.size_bytes,
            "schema_revision": manifest.schema_revision,
            "records": sum(manifest.records.values()),
            "images": manifest.images,
            "lost": len(manifest.lost),
            "damaged": len(manifest.damaged),
            "removed": list(made.removed),
        }
    )
