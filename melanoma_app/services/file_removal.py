"""Files that have to go: noted with the rows that go, removed after them, looked for again when that was cut short."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Final

from sqlalchemy import delete, select

from melanoma_app.errors import UnavailableError
from melanoma_app.extensions import db
from melanoma_app.models import FileToDelete
from melanoma_app.models.base import utc_now
from melanoma_app.services.files_in_use import KEYS_A_QUERY, find_keys_beginning, find_keys_in_use
from melanoma_app.storage import ImageStore, StoredFile

ORPHAN_AGE: Final = timedelta(days=1)
"""A younger file may belong to a photograph whose rows are still being written."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SweptStorage:
    """What a sweep found.

    Args:
        removed: Files of erased records and ended uploads that were still there.
        left: Such files that could not be removed.
        unfinished: Half-written files that were removed.
        orphans: Keys of files that no record refers to, the young ones left out.
    """

    removed: int
    left: int
    unfinished: int
    orphans: Sequence[str]


def note_files(*, keys: Iterable[str]) -> None:
    """Note files that have to go once the caller's transaction is committed."""
    keys = set(keys)
    known = set(
        db.session.scalars(select(FileToDelete.storage_key).where(FileToDelete.storage_key.in_(keys)))
    )
    db.session.add_all(FileToDelete(storage_key=key) for key in sorted(keys - known))
    db.session.flush()


def remove_noted_files(*, store: ImageStore) -> tuple[int, int]:
    """Remove every noted file, and then its note: whoever is cut short leaves the note, and the next one goes on.

    A file that a record still refers to stays; its note goes. What cannot be removed keeps its note, and is logged; a
    store that does not answer at all is not asked for the next one.

    Returns:
        How many files were removed, and how many could not be.
    """
    keys = db.session.scalars(select(FileToDelete.storage_key).order_by(FileToDelete.id)).all()
    used = find_keys_in_use(keys)
    # No transaction stays open while files are removed.
    db.session.commit()
    going = [key for key in keys if key not in used]
    removed = []
    for key in going:
        try:
            store.delete(key=key)
        except UnavailableError as error:
            logger.error(
                "a file that has to go could not be removed: `flask storage sweep` tries again",
                exc_info=error,
            )
            if not _works(store):
                break
        else:
            removed.append(key)
    for some in _in_steps([*removed, *used]):
        db.session.execute(delete(FileToDelete).where(FileToDelete.storage_key.in_(some)))
    db.session.commit()
    return len(removed), len(going) - len(removed)


def sweep_storage(*, store: ImageStore, is_deleting: bool = False) -> SweptStorage:
    """Remove what erasures and uploads have left, and find files that no record refers to.

    Args:
        store: Where the files are.
        is_deleting: Remove the orphans, too. Those younger than a day are spared: their photograph may be on its way.
    """
    removed, left = remove_noted_files(store=store)
    before = utc_now() - ORPHAN_AGE
    orphans = [one.key for one in _find_orphans(store) if one.written_at < before]
    if is_deleting:
        for key in orphans:
            store.delete(key=key)
    return SweptStorage(
        removed=removed,
        left=left,
        unfinished=store.remove_unfinished(before=before),
        orphans=orphans,
    )


def _works(store: ImageStore) -> bool:
    try:
        store.check()
    except UnavailableError:
        return False
    return True


def _find_orphans(store: ImageStore) -> Iterator[StoredFile]:
    """Folder by folder, which is by the first two signs of the key: one query each, and none holds all keys."""
    for prefix, files in groupby(store.list_files(), key=lambda one: one.key[:2]):
        used = find_keys_beginning(prefix)
        db.session.commit()
        yield from (one for one in files if one.key not in used)


def _in_steps(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[start : start + KEYS_A_QUERY] for start in range(0, len(keys), KEYS_A_QUERY))
