"""The archive of a backup: a tar file, encrypted or not, with the checksum of everything that is in it.

In this order: `backup.json` (whose it is), `images/…`, the database, `SHA256SUMS`, `manifest.json`. Nothing is held in
memory for longer than one image, and an archive whose last member is missing is known to be cut off. By hand it opens
with `age`, `tar` and `sha256sum`.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, Final

from melanoma_app.errors import InvalidInputError
from melanoma_app.services.backup_database import DUMP_NAMES
from melanoma_app.services.backup_encryption import (
    DamagedArchiveError,
    DecryptingReader,
    EncryptingWriter,
    Writable,
    is_encrypted,
)
from melanoma_app.services.backup_manifest import FORMAT, ArchiveFault, Checksums, Label, Manifest

LABEL, SUMS, MANIFEST, IMAGES = "backup.json", "SHA256SUMS", "manifest.json", "images/"
_IMAGE: Final = re.compile(r"images/[0-9A-Za-z][0-9A-Za-z._-]{0,159}")
_SUM: Final = re.compile(r"([0-9a-f]{64})  ([0-9A-Za-z./_-]{1,200})\n?")
_LARGEST_JSON: Final = 16_000_000
_PIECE: Final = 1 << 20


class HashingReader:
    """Reads from a file, and knows the SHA-256 of what was read.

    Args:
        file: What is read.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._digest = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self._file.read(size)
        self._digest.update(data)
        return data

    @property
    def sha256(self) -> str:
        """Of everything read so far, hexadecimal."""
        return self._digest.hexdigest()


class _Unpositioned:
    """What tarfile asks of a file that it begins; it counts on its own from there."""

    def __init__(self, file: Writable) -> None:
        self.write = file.write

    def tell(self) -> int:
        return 0


class ArchiveWriter:
    """Puts members into an archive, one after the other.

    Args:
        file: Where the archive goes.
        key: Encrypts it; None leaves it readable.
    """

    def __init__(self, file: Writable, *, key: bytes | None) -> None:
        self.checksums = Checksums()
        self._sealed = EncryptingWriter(file, key=key) if key else None
        target: Any = _Unpositioned(self._sealed or file)
        self._tar = tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(self, name: str, content: bytes) -> str:
        """Put in a small member; gives its SHA-256."""
        return self.add_file(name, io.BytesIO(content), size_bytes=len(content))

    def add_file(self, name: str, file: IO[bytes], *, size_bytes: int) -> str:
        """Put in what a file holds; gives its SHA-256."""
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size_bytes, 0o600
        hashing = HashingReader(file)
        self._tar.addfile(entry, hashing)
        self._tar.members.clear()  # type: ignore[attr-defined]  # else it remembers every one of millions
        sha256 = hashing.sha256
        self.checksums.note_found(name, sha256)
        return sha256

    def finish(self) -> None:
        """Write the end; without it an archive is known to be cut off."""
        self._tar.close()
        if self._sealed:
            self._sealed.finish()
        self.checksums.close()


def read_members(
    path: Path, *, key: bytes | None, report: Callable[[int], object] = lambda size: None
) -> Iterator[tuple[str, IO[bytes]]]:
    """The members in their order, each to be read before the next is asked for.

    A member is never extracted by its own name, and what is no plain file with a name of ours is refused.

    Args:
        path: The archive.
        key: From `read_key`, for an encrypted one.
        report: Is told how many bytes of the file each member took.

    Raises:
        InvalidInputError: It is no archive of ours, it holds what does not belong there, or the key is another.
        DamagedArchiveError: It was cut off, or is encrypted and was changed; what came before is right.
    """
    names = {LABEL, SUMS, MANIFEST, *DUMP_NAMES.values()}
    with _open(path, key) as (file, source):
        done = 0
        try:
            # A damaged header is passed over: what it belonged to is missed later, by its name.
            with tarfile.open(fileobj=source, mode="r|", ignore_zeros=True) as tar:
                while (entry := _next_member(tar)) is not None:
                    tar.members.clear()  # type: ignore[attr-defined]
                    is_plain = entry.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not entry.sparse
                    if not is_plain or not (entry.name in names or _IMAGE.fullmatch(entry.name)):
                        raise InvalidInputError(
                            "The archive holds something that no backup of this program has, so it was read no further."
                        )
                    content = tar.extractfile(entry)
                    assert content is not None  # noqa: S101 # it is a plain file
                    yield entry.name, content
                    report(file.tell() - done)
                    done = file.tell()
        except tarfile.ReadError as error:
            raise DamagedArchiveError(f"it is no archive, or it ends too early ({error})") from error
        # The last piece of an encrypted archive says that nothing was cut off.
        while source.read(_PIECE):
            pass


def read_label(path: Path, *, key: bytes | None) -> Label | None:
    """The label of an archive; None for a file that is none of ours, or that the key does not open."""
    try:
        with closing(read_members(path, key=key)) as members:  # type: ignore[type-var]  # a generator
            name, content = next(members)
            values = json.loads(content.read(_LARGEST_JSON)) if name == LABEL else {}
        label = Label(**values)
    except (
        OSError,
        StopIteration,
        ValueError,
        TypeError,
        InvalidInputError,
        DamagedArchiveError,
        tarfile.TarError,
    ):
        return None
    return label if label.format == FORMAT else None


def verify_archive(
    path: Path, *, key: bytes | None, report: Callable[[int], object] = lambda size: None
) -> tuple[Manifest | None, Sequence[ArchiveFault]]:
    """Read all of an archive and check every member against its checksum.

    Args:
        path: The archive.
        key: From `read_key`, for an encrypted one.
        report: Is told how many bytes each member took.

    Returns:
        The manifest, where it is there and belongs to the rest, and everything that is not as it should be.

    Raises:
        InvalidInputError: It is no archive of ours, or the key is not the right one.
    """
    checksums, faults = Checksums(), []
    manifest, sums_sha256 = None, ""
    try:
        for name, content in read_members(path, key=key, report=report):
            if name == MANIFEST:
                manifest = Manifest.read(content.read(_LARGEST_JSON))
                continue
            if name in checksums:
                faults.append(ArchiveFault(member=name, explanation="it is there twice"))
                continue
            hashing = HashingReader(content)
            if name == SUMS:
                digest = hashlib.sha256()
                for line in content:
                    digest.update(line)
                    if found := _SUM.fullmatch(line.decode("ascii", errors="replace")):
                        checksums.note_listed(found[2], found[1])
                sums_sha256 = digest.hexdigest()
                continue
            while hashing.read(_PIECE):
                pass
            checksums.note_found(name, hashing.sha256)
    except (DamagedArchiveError, tarfile.ReadError) as error:
        faults.append(ArchiveFault(member="", explanation=f"it cannot be read to its end: {error}"))
    if manifest is None or manifest.sums_sha256 != sums_sha256:
        explanation = "the end is missing" if manifest is None else "the list of checksums was changed"
        faults.append(ArchiveFault(member="", explanation=explanation))
        manifest = None
    # Without the list, what was read cannot be judged member by member.
    faults += checksums.compare() if sums_sha256 else ()
    checksums.close()
    return manifest, faults


def _next_member(tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    """The next member; where the second header of a long name is damaged, the one after it."""
    while True:
        try:
            return tar.next()
        except tarfile.ReadError:
            stream: Any = tar.fileobj
            tar.offset = stream.tell()


@contextmanager
def _open(path: Path, key: bytes | None) -> Iterator[tuple[IO[bytes], Any]]:
    """The file, and what its plain bytes are read from."""
    if is_encrypted(path) and key is None:
        raise InvalidInputError("The archive is encrypted. Name the file with its key: --key FILE")
    if key is not None and not is_encrypted(path):
        raise InvalidInputError(
            "The archive is not encrypted, so the key cannot tell who made it. Leave --key out if you know that."
        )
    with path.open("rb") as file:
        yield file, DecryptingReader(file, key=key) if key else file


def write_sums(checksums: Checksums, target: IO[bytes]) -> None:
    """The list of checksums, as `sha256sum --check` reads it."""
    for name, sha256 in checksums.list_found():
        target.write(f"{sha256}  {name}\n".encode("ascii"))
