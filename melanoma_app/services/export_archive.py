"""ZIP files that are written piece by piece: in memory while they are small, else in a file without a name."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Final, Self
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

_IN_MEMORY_BYTES: Final = 4_000_000


@dataclass(frozen=True, kw_only=True)
class ExportedArchive:
    """A finished ZIP file, at its beginning; closing it removes it.

    Args:
        name: What a browser should call it: nothing of a patient but the public id.
        content: The file.
        size_bytes: How long it is.
    """

    name: str
    content: IO[bytes]
    size_bytes: int


class ArchiveWriter:
    """Takes one file after the other, so that an archive of any size needs the memory of one.

    Every entry has the same time: the real one would tell when an image was read.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115 (given away)
            max_size=_IN_MEMORY_BYTES
        )
        self._zip = ZipFile(self._file, "w")
        self._is_finished = False

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """An archive that was not finished is gone."""
        if not self._is_finished:
            self._zip.close()
            self._file.close()

    def add(self, name: str, content: bytes | str) -> None:
        """Put a file in."""
        self._zip.writestr(_describe(name), content)

    @contextmanager
    def adding_text(self, name: str) -> Iterator[IO[str]]:
        """Put a text file in, written bit by bit; nothing else may be put in meanwhile."""
        with self._zip.open(_describe(name), "w", force_zip64=True) as entry:
            text = io.TextIOWrapper(entry, encoding="utf-8", newline="")
            yield text
            text.flush()
            text.detach()

    def finish(self, *, name: str) -> ExportedArchive:
        """Close the archive and give it away, whole: a broken-off one never looks finished."""
        self._zip.close()
        size_bytes = self._file.tell()
        self._file.seek(0)
        if size_bytes <= _IN_MEMORY_BYTES:
            # Needs no closing, so one that is never sent leaves nothing open.
            content: IO[bytes] = io.BytesIO(self._file.read())
            self._file.close()
        else:
            content = self._file
        self._is_finished = True
        return ExportedArchive(name=name, content=content, size_bytes=size_bytes)


def _describe(name: str) -> ZipInfo:
    entry = ZipInfo(name)
    # JPEG is compressed already.
    entry.compress_type = ZIP_STORED if name.endswith(".jpg") else ZIP_DEFLATED
    return entry
