"""Restoring a backup into an empty place, and judging afterwards whether everything is as it was."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import alembic.command
from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import update

from melanoma_app.errors import ConflictError, InvalidInputError, UnavailableError
from melanoma_app.extensions import db, migrate
from melanoma_app.models import PasswordReset, UserSession
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.audit import ChainHead, record_event, verify_chains
from melanoma_app.services.backup_archive import (
    IMAGES,
    HashingReader,
    read_members,
    verify_archive,
)
from melanoma_app.services.backup_database import (
    DUMP_NAMES,
    count_rows,
    describe_records,
    engine_name,
    load_dump,
)
from melanoma_app.services.backup_manifest import Manifest
from melanoma_app.services.count_check import count_what_is_uncounted, verify_statistics
from melanoma_app.services.storage_check import find_storage_faults
from melanoma_app.storage import ImageStore

_PIECE: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class RestoredBackup:
    """What was restored.

    Args:
        manifest: What the archive said.
        upgraded_to: The revision that an older schema was brought to; empty where that was not needed.
        faults: Everything that is not as it was, a sentence each.
    """

    manifest: Manifest
    upgraded_to: str
    faults: Sequence[str]


def find_what_is_there(*, store: ImageStore) -> Sequence[str]:
    """Whose records a restore would replace: names of clinics, one of which has to be typed; none: it is empty."""
    names = describe_records()
    if not names and next(iter(store.list_files()), None) is not None:
        return ["images"]
    return names


def restore_backup(
    *,
    archive: Path,
    store: ImageStore,
    key: bytes | None = None,
    replaced: str | None = None,
    precedes_log: bool = False,
    report: Callable[[int], object] = lambda size: None,
) -> RestoredBackup:
    """Put back the database and the photographs of an archive, and check what came out.

    The whole archive is read and checked before anything is touched. Sign-ins and one-time links that were open at the
    backup are ended: they may have been revoked since. Photographs that are there already stay, if they are what they
    should be, so that a restore that was cut short can be given again.

    Args:
        archive: The file.
        store: Where the photographs go.
        key: From `read_key`, for an encrypted archive.
        replaced: The name of a clinic whose records may be replaced, typed by hand; None: nothing may be.
        precedes_log: Leave the database as it was dumped, so that the server's binary log can be played in: no sign-in
            is ended, nothing is audited.
        report: Is told how many bytes of the archive were read; it is read twice.

    Raises:
        InvalidInputError: The archive is damaged, or not for this place; nothing was changed.
        ConflictError: There are records already, and nobody said that they may go; nothing was changed.
        UnavailableError: A part could not be written; the message says what is left.
    """
    manifest, faults = verify_archive(archive, key=key, report=report)
    if manifest is None or faults:
        raise InvalidInputError(
            f"The archive is damaged, so nothing was changed. `flask backup verify {archive.name}` names what is; "
            "use an older archive."
        )
    revision = _check_schema(manifest)
    if precedes_log and revision:
        raise InvalidInputError(
            "The archive is of an older schema, so nothing was changed. Restore it with the version that made it, play "
            "the binary log in, then upgrade."
        )
    _check_place(store, replaced)
    with tempfile.TemporaryDirectory(prefix="restore-", dir=current_app.instance_path) as work:
        dump = _take_out(archive, manifest, Path(work), store=store, key=key, report=report)
        load_dump(dump)
    found = list(_compare_records(manifest))
    if revision:
        alembic.command.upgrade(migrate.get_config(), "head")
        count_what_is_uncounted()
    found += _check_restored(manifest, store)
    if not precedes_log:
        _end_access()
        record_event(
            action=AuditAction.BACKUP_RESTORED,
            actor=None,
            details={"archive": archive.name, "made_at": manifest.made_at, "faults": len(found)},
        )
        db.session.commit()
    return RestoredBackup(manifest=manifest, upgraded_to=revision, faults=found)


def _check_schema(manifest: Manifest) -> str:
    """The revision to upgrade to; empty where the archive has it already."""
    if manifest.engine != engine_name():
        raise InvalidInputError(
            f"The archive is of a {manifest.engine} database, and DATABASE_URL names a {engine_name()} one. "
            "Nothing was changed: name a database of the archive's kind."
        )
    script = ScriptDirectory.from_config(migrate.get_config())
    head = script.get_current_head() or ""
    if manifest.schema_revision not in {one.revision for one in script.walk_revisions()}:
        raise InvalidInputError(
            f"The archive was made by a newer version of this program (its schema is {manifest.schema_revision}, "
            f"this one's {head}). Nothing was changed: install that version, then restore."
        )
    return "" if manifest.schema_revision == head else head


def _check_place(store: ImageStore, replaced: str | None) -> None:
    there = find_what_is_there(store=store)
    if there and replaced is None:
        raise ConflictError(
            f"There are records already ({', '.join(there)}), so nothing was changed. Restore into an empty database "
            "and an empty image folder, or give --replace to lose what is there."
        )
    if there and replaced not in there:
        raise ConflictError("That is not the name, so nothing was changed.")


def _take_out(
    archive: Path,
    manifest: Manifest,
    work: Path,
    *,
    store: ImageStore,
    key: bytes | None,
    report: Callable[[int], object],
) -> Path:
    """Put the photographs into the store; gives where the dump of the database is."""
    dump = work / DUMP_NAMES[manifest.engine]
    for name, content in read_members(archive, key=key, report=report):
        if name == dump.name:
            hashing = HashingReader(content)
            try:
                with dump.open("wb") as file:
                    shutil.copyfileobj(hashing, file, _PIECE)
            except OSError as error:
                raise UnavailableError(
                    f"The database of the archive could not be unpacked ({error.strerror}). Make room in {work.parent}."
                ) from error
            if hashing.sha256 != manifest.database_sha256:
                raise InvalidInputError(
                    "The archive was changed while it was read. The database was not touched."
                )
        elif name.startswith(IMAGES):
            _keep(name.removeprefix(IMAGES), content.read(), store)
    return dump


def _keep(key: str, content: bytes, store: ImageStore) -> None:
    try:
        if store.read(key=key) == content:
            return
        store.delete(key=key)  # damaged; a bucket would not replace it
    except UnavailableError:
        pass  # not there, which is what one expects
    store.save(content, key=key)


def _compare_records(manifest: Manifest) -> Iterator[str]:
    now = count_rows()
    for table in sorted(now.keys() | manifest.records.keys()):
        was, is_now = manifest.records.get(table), now.get(table)
        # A table that the archive's program did not have yet is there, and empty.
        if (was or 0) != (is_now or 0) and not (was is None and table not in db.metadata.tables):
            yield f"table {table}: {is_now or 0} rows, {was or 0} in the archive"


def _check_restored(manifest: Manifest, store: ImageStore) -> Iterator[str]:
    heads = [ChainHead.read(head) for head in manifest.audit_heads]
    for fault in verify_chains(heads=heads):
        yield f"audit chain {fault.chain_id}, entry {fault.sequence}: {fault.explanation}"
    for wrong in verify_statistics():
        yield f"statistics of clinic {wrong.clinic_id}, {wrong.place}: {wrong.explanation}"
    for damaged in find_storage_faults(store=store):
        yield f"photograph {damaged.key}: {damaged.explanation}"


def _end_access() -> None:
    """End what opened the record at the time of the backup, in the caller's transaction."""
    now = utc_now()
    db.session.execute(update(UserSession).where(UserSession.revoked_at.is_(None)).values(revoked_at=now))
    db.session.execute(update(PasswordReset).where(PasswordReset.used_at.is_(None)).values(used_at=now))
