"""The image store: one protocol, the local folder that is its default, and the choice between it and an S3 bucket."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from melanoma_app.errors import FileMissingError, UnavailableError

S3_SCHEME: Final = "s3://"
_UNFINISHED: Final = ".incoming-"
"""How the name of a file begins that is being written."""


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file of the store: its key, how large it is, and when it was written."""

    key: str
    size_bytes: int
    written_at: datetime


@dataclass(frozen=True, kw_only=True)
class S3Access:
    """How a bucket is reached.

    Args:
        endpoint_url: Of the service; empty: Amazon's own.
        region: Empty: what boto3 finds in its own variables and files.
        access_key_id: With its secret; empty: boto3 looks where it always does, such as the machine's role.
        secret_access_key: See there.
        encryption: What the service is told to encrypt with: `AES256`, `aws:kms`, or empty for the bucket's own rule.
    """

    endpoint_url: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    encryption: str = ""


class ImageStore(Protocol):
    """Keeps image bytes under a key; a key is written once.

    Whatever goes wrong is an UnavailableError with words for the person who waits.
    """

    def save(self, data: bytes, *, key: str) -> None:
        """Keep the bytes; on return they are on the medium, on an error no part of them can be read."""

    def read(self, *, key: str) -> bytes:
        """Give the bytes back; a key that is not there is a FileMissingError."""

    def delete(self, *, key: str) -> None:
        """Forget the bytes; a key that is not there is no error."""

    def list_files(self) -> Iterator[StoredFile]:
        """Everything that is kept, in the order of the keys."""

    def remove_unfinished(self, *, before: datetime) -> int:
        """Remove what a process that died was writing before then; gives how many there were."""

    def check(self) -> None:
        """Do nothing if the store can be used; it is asked often."""


def open_store(place: str, *, access: S3Access | None = None) -> ImageStore:
    """The store at a place; nothing is read or written yet.

    Args:
        place: `s3://bucket/prefix`, or a folder.
        access: How a bucket is reached.
    """
    if not place.startswith(S3_SCHEME):
        return LocalImageStore(Path(place))
    # Here, for boto3 takes 0.6 s and 20 MB, which a clinic with a folder need not spend.
    from melanoma_app.storage_s3 import S3ImageStore

    bucket, _, prefix = place.removeprefix(S3_SCHEME).partition("/")
    return S3ImageStore(bucket=bucket, prefix=prefix.strip("/"), access=access or S3Access())


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
            FileMissingError: The file is gone.
            UnavailableError: It cannot be read, or the whole folder is gone, such as one whose disk is not mounted.
        """
        try:
            return self._path(key).read_bytes()
        except OSError as error:
            is_gone = isinstance(error, FileNotFoundError) and self._folder.is_dir()
            kind = FileMissingError if is_gone else UnavailableError
            raise kind(
                f"The stored image could not be read ({error.strerror}). Tell your engineer."
            ) from error

    def delete(self, *, key: str) -> None:
        """Remove the file if it is there.

        Raises:
            UnavailableError: It cannot be removed.
        """
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise UnavailableError(
                f"The stored image could not be removed ({error.strerror}). Tell your engineer."
            ) from error

    def list_files(self) -> Iterator[StoredFile]:
        """Every finished file below the folder, in the order of the keys."""
        for path, status in self._walk():
            if not path.name.startswith(_UNFINISHED):
                yield StoredFile(key=path.name, size_bytes=status.st_size, written_at=_written_at(status))

    def remove_unfinished(self, *, before: datetime) -> int:
        """Remove half-written files; `before` spares those that somebody is writing."""
        left = [
            path
            for path, status in self._walk()
            if path.name.startswith(_UNFINISHED) and _written_at(status) < before
        ]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def check(self) -> None:
        """Write a file without a name, which is gone at once.

        Raises:
            UnavailableError: The folder cannot be written, or its disk is full.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._folder) as file:
                file.write(b"x")
        except OSError as error:
            raise UnavailableError(
                f"The image folder {self._folder} cannot be written ({error.strerror}). Make it writable and make room."
            ) from error

    def _walk(self) -> Iterator[tuple[Path, os.stat_result]]:
        # Folder by folder: millions of names at once would take gigabytes.
        for folder in sorted(self._folder.glob("??")):
            for path in sorted(folder.glob("*")):
                # One that was deleted meanwhile is not there.
                with suppress(FileNotFoundError):
                    yield path, path.stat()

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key


def _written_at(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)
