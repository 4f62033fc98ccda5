"""The image store: one protocol, and the local folder that is its default."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Protocol

from melanoma_app.errors import UnavailableError


class ImageStore(Protocol):
    """Keeps image bytes under a key; a key is written once."""

    def save(self, data: bytes, *, key: str) -> None:
        """Keep the bytes; on return they are on the medium, on an error nothing is left."""

    def read(self, *, key: str) -> bytes:
        """Give the bytes back."""

    def delete(self, *, key: str) -> None:
        """Forget the bytes; a key that is not there is no error."""


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
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".incoming-")
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

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key
