"""Moving the files of the photographs to another image store: copied, checked, and only then removed, if at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from melanoma_app.errors import FileMissingError, UnavailableError
from melanoma_app.services.image_files import digest_in, has_digest
from melanoma_app.services.import_tables import batches
from melanoma_app.services.storage_check import FILES_AT_ONCE, StorageFault
from melanoma_app.storage import ImageStore, StoredFile

_FILES_A_STEP: Final = 8 * FILES_AT_ONCE


@dataclass(kw_only=True)
class MoveSummary:
    """How many files came to what.

    Args:
        copied: Were not there, or not whole.
        already_there: Nothing had to be done.
        removed: From where they were before.
        refused: Named to the caller: they stay where they are.
    """

    copied: int = 0
    already_there: int = 0
    removed: int = 0
    refused: int = 0


@dataclass(frozen=True, kw_only=True)
class _Moved:
    is_copied: bool = False
    is_removed: bool = False
    fault: StorageFault | None = None


def move_files(
    *,
    source: ImageStore,
    target: ImageStore,
    is_removing: bool = False,
    on_fault: Callable[[StorageFault], object] = lambda fault: None,
    report: Callable[[int], object] = lambda files: None,
) -> MoveSummary:
    """Copy every file that another store does not have yet, while the clinic works.

    Whoever is cut short gives the same once more: what is there, with the same size, is passed over. A copy is read
    back and its SHA-256 compared. A file that is damaged where it is, is named and stays there alone. One that is
    erased meanwhile is not copied, or is left at the target for `sweep_storage`, which finds that no record refers to
    it.

    Args:
        source: Where the files are.
        target: Where they go; what it has besides is left alone.
        is_removing: Remove each from the source once it was read from the target as it should be.
        on_fault: Is told of each file that stays where it is.
        report: Is told how many files were dealt with.

    Raises:
        UnavailableError: One of the stores does not work; what was copied before stays.
    """
    summary = MoveSummary()
    with ThreadPoolExecutor(FILES_AT_ONCE) as movers:
        move = partial(_move_one, source=source, target=target, is_removing=is_removing)
        for some in batches(_compare(source, target), _FILES_A_STEP):
            for moved in movers.map(move, some):
                report(1)
                summary.copied += moved.is_copied
                summary.removed += moved.is_removed
                if moved.fault:
                    summary.refused += 1
                    on_fault(moved.fault)
                elif not moved.is_copied:
                    summary.already_there += 1
    return summary


def _compare(source: ImageStore, target: ImageStore) -> Iterator[tuple[StoredFile, StoredFile | None]]:
    """Each file, and the one of its key at the target; both lists come in the order of the keys."""
    there = target.list_files()
    next_there = next(there, None)
    for file in source.list_files():
        while next_there is not None and next_there.key < file.key:
            next_there = next(there, None)
        yield file, next_there if next_there is not None and next_there.key == file.key else None


def _move_one(
    pair: tuple[StoredFile, StoredFile | None], *, source: ImageStore, target: ImageStore, is_removing: bool
) -> _Moved:
    file, there = pair
    if there is not None and there.size_bytes == file.size_bytes and not is_removing:
        return _Moved()
    try:
        content = source.read(key=file.key)
    except FileMissingError:
        return _Moved()  # erased meanwhile
    except UnavailableError as error:
        source.check()  # the store's fault, or this file's alone?
        return _Moved(fault=StorageFault(key=file.key, explanation=f"cannot be read: {error.message}"))
    if has_digest(file.key) and hashlib.sha256(content).hexdigest() != digest_in(file.key):
        return _Moved(fault=StorageFault(key=file.key, explanation="is damaged, so it was not copied"))
    is_copied = there is None or not _is_same(content, key=file.key, store=target)
    if is_copied:
        if there is not None:
            target.delete(key=file.key)
        target.save(content, key=file.key)
        if not _is_same(content, key=file.key, store=target):
            explanation = "did not arrive as it was sent; give the command again"
            return _Moved(fault=StorageFault(key=file.key, explanation=explanation))
    if is_removing:
        source.delete(key=file.key)
    return _Moved(is_copied=is_copied, is_removed=is_removing)


def _is_same(content: bytes, *, key: str, store: ImageStore) -> bool:
    try:
        return store.read(key=key) == content
    except FileMissingError:
        return False
