"""The folder of the backups: room in it, archives that appear only when they are whole, and old ones that go."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Final

from melanoma_app.errors import UnavailableError
from melanoma_app.services.backup_archive import read_label

_NAME: Final = re.compile(r"clinic-\d{8}T\d{12}Z\.tar(\.age)?")
_UNFINISHED: Final = ".unfinished-backup-"
_LEFT_BEHIND: Final = timedelta(days=2)
"""No backup takes longer; what is older was left by a process that was shot."""


class MeasuredFile:
    """Passes on what is written, and knows its size and SHA-256.

    Args:
        file: Where it goes.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._digest, self.size_bytes = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        """Take some bytes."""
        self._file.write(data)
        self._digest.update(data)
        self.size_bytes += len(data)
        return len(data)

    @property
    def sha256(self) -> str:
        """Of everything written so far, hexadecimal."""
        return self._digest.hexdigest()


def name_archive(*, made_at: datetime, is_encrypted: bool) -> str:
    """What an archive is called; in the order of the names the newest is the last."""
    return f"clinic-{made_at:%Y%m%dT%H%M%S%fZ}.tar{'.age' if is_encrypted else ''}"


@contextmanager
def writing(*, folder: Path, name: str, needed_bytes: int) -> Iterator[tuple[MeasuredFile, Path]]:
    """A file that gets its name when it is whole and on the medium, and is gone after any failure.

    Args:
        folder: Where; made where there is none.
        name: Of the file.
        needed_bytes: About how much room it takes.

    Returns:
        The file, and a folder for what is needed meanwhile. Both are readable by their owner alone.

    Raises:
        UnavailableError: There is no room, or the folder cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _clear_unfinished(folder)
        _check_room(folder, needed_bytes)
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=folder) as work:
            partial = Path(work) / name
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                yield MeasuredFile(file), Path(work)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(folder / name)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnavailableError(
            f"The backup could not be written ({error.strerror}), and nothing is left of it. "
            f"Make room in {folder}, or name another folder."
        ) from error


def remove_old_archives(*, folder: Path, keep: int, installation: str, key: bytes | None) -> list[str]:
    """Remove the oldest archives that an installation made.

    A file counts when its name and what stands at its beginning say so. An encrypted one whose beginning the key does
    not open is left alone.

    Returns:
        The names of those that went.
    """
    named = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and not path.is_symlink())
    own = []
    for path in named:
        label = read_label(path, key=key if path.suffix == ".age" else None)
        if label is not None and label.installation == installation:
            own.append(path)
    old = own[:-keep]
    for path in old:
        path.unlink()
    return [path.name for path in old]


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UnavailableError(
            f"A backup needs about {needed / 1e6:,.0f} MB, and {folder} has {free / 1e6:,.0f} MB free. "
            "Make room there, or name another folder."
        )


def _clear_unfinished(folder: Path) -> None:
    for path in folder.glob(f"{_UNFINISHED}*"):
        if path.stat().st_mtime < time.time() - _LEFT_BEHIND.total_seconds():
            shutil.rmtree(path, ignore_errors=True)
