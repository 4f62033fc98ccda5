"""The image store: one protocol, and the local folder that is its default."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from melanoma_app.errors import UnavailableError

_UNFINISHED: Final = ".incoming-"
"""How the name of a file begins that is being written."""


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file of the store: its key, and when it was written."""

    key: str
    written_at: datetime


class ImageStore(Protocol):
    """Keeps image bytes under a key; a key is written once."""

    def save(self, data: bytes, *, key: str) -> None:
        """Keep the bytes; on return they are on the medium, on an error nothing is left."""

    def read(self, *, key: str) -> bytes:
        """Give the bytes back."""

    def delete(self, *, key: str) -> None:
        """Forget the bytes; a key that is not there is no error."""

    def list_files(self) -> Iterator[StoredFile]:
        """Everything that is kept, in the order of the keys."""

    def remove_unfinished(self, *, before: datetime) -> int:
        """Remove what a process that died was writing before then; gives how many there were."""


class LocalImageStore:
    """A folder: `ab/<key>`, spread over 256 subfolders by the key's first two characters.

    Args:
        folder: Where the images live; made when first needed, readable by its owner alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, data: bytes, *, key: str) -> None:
        """Write beside, flush to the medium, then rename: a reader sees all or nothing.

        Raises:
            UnavailableError: The folder cannot be written or the disk is full.
        """
        path = self._path(key)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).rename(path)
            except OSError:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise UnavailableError(
                f"The image could not be stored ({error.strerror}), so nothing was saved. Tell your engineer."
            ) from error

    def read(self, *, key: str) -> bytes:
        """The stored bytes.

        Raises:
            UnavailableError: The file is gone or cannot be read.
        """
        try:
            return self._path(key).read_bytes()
        except OSError as error:
            raise UnavailableError(
                f"The stored image could not be read ({error.strerror}). Tell your engineer."
            ) from error

    def delete(self, *, key: str) -> None:
        """Remove the file if it is there."""
        self._path(key).unlink(missing_ok=True)

    def list_files(self) -> Iterator[StoredFile]:
        """Every finished file below the folder, in the order of the keys."""
        for path, written_at in self._walk():
            if not path.name.startswith(_UNFINISHED):
                yield StoredFile(key=path.name, written_at=written_at)

    def remove_unfinished(self, *, before: datetime) -> int:
        """Remove half-written files; `before` spares those that somebody is writing."""
        left = [
            path
            for path, written_at in self._walk()
            if path.name.startswith(_UNFINISHED) and written_at < before
        ]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def _walk(self) -> Iterator[tuple[Path, datetime]]:
        # Folder by folder: millions of names at once would take gigabytes.
        for folder in sorted(self._folder.glob("??")):
            for path in sorted(folder.glob("*")):
                # One that was deleted meanwhile is not there.
                with suppress(FileNotFoundError):
                    yield path, datetime.fromtimestamp(path.stat().st_mtime, UTC)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key
