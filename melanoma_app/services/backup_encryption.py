"""Encryption of backups, piece by piece: the age format with a passphrase, so that archives open without this program.

https://c2sp.org/age: scrypt makes a key of the passphrase; it wraps a random file key, from which HKDF-SHA-256 derives
the key for 64 KiB pieces under ChaCha20-Poly1305. Each piece has its number, and the last one says that it is the last:
nothing can be changed, left out, put in, reordered or cut off without the key. `age --decrypt` opens the same file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from pathlib import Path
from typing import IO, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from melanoma_app.errors import InvalidInputError

MINIMUM_KEY_LENGTH: Final = 32
"""Characters; 32 random hexadecimal digits are 128 bits."""
VERSION_LINE: Final = b"age-encryption.org/v1\n"
_PIECE: Final = 64 * 1024
_TAG: Final = 16
_FILE_KEY_LENGTH: Final = 16
_WORK_FACTOR: Final = 15
"""Of scrypt, as a power of two: 32 MB and a tenth of a second. The key is long, so that nobody can guess it anyway."""
_LARGEST_WORK_FACTOR: Final = 20
"""A forged header must not take all memory."""
_STANZA: Final = re.compile(rb"-> scrypt ([A-Za-z0-9+/]{22}) ([1-9][0-9]?)\n([A-Za-z0-9+/]{43})\n")
_MAC: Final = re.compile(rb"--- ([A-Za-z0-9+/]{43})\n")


class DamagedArchiveError(Exception):
    """An archive is not what was written, or its end is missing."""


def read_key(path: Path) -> bytes:
    """The key in a file, without the white space around it.

    Raises:
        InvalidInputError: The file cannot be read, or what it holds is too short to be a key.
    """
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise InvalidInputError(f"The key file {path} cannot be read ({error.strerror}).") from error
    if len(key) < MINIMUM_KEY_LENGTH:
        raise InvalidInputError(
            f"The key in {path} is shorter than {MINIMUM_KEY_LENGTH} characters. "
            "Make one with: openssl rand -hex 32"
        )
    return key


def is_encrypted(path: Path) -> bool:
    """Whether a file begins as encrypted ones do."""
    with path.open("rb") as file:
        return file.read(len(VERSION_LINE)) == VERSION_LINE


class Writable(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, /) -> int:
        """Take some."""


class EncryptingWriter:
    """Encrypts what is written into it; holds one piece at a time.

    Args:
        file: Where the encrypted bytes go.
        key: From `read_key`.
    """

    def __init__(self, file: Writable, *, key: bytes) -> None:
        file_key = secrets.token_bytes(_FILE_KEY_LENGTH)
        salt, nonce = secrets.token_bytes(16), secrets.token_bytes(16)
        wrapped = _wrapping(key, salt, _WORK_FACTOR).encrypt(bytes(12), file_key, None)
        header = (
            VERSION_LINE + b"-> scrypt %s %d\n%s\n" % (_encode(salt), _WORK_FACTOR, _encode(wrapped)) + b"---"
        )
        file.write(header + b" " + _encode(_compute_mac(file_key, header)) + b"\n" + nonce)
        self._file, self._cipher = file, _payload_cipher(file_key, nonce)
        self._pending, self._number = bytearray(), 0

    def write(self, data: bytes) -> int:
        """Take some bytes."""
        self._pending += data
        # The last piece must not be empty, so a full one waits until there is more.
        while len(self._pending) > _PIECE:
            self._put(bytes(self._pending[:_PIECE]), is_last=False)
            del self._pending[:_PIECE]
        return len(data)

    def finish(self) -> None:
        """Write the last piece."""
        self._put(bytes(self._pending), is_last=True)

    def _put(self, piece: bytes, *, is_last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, is_last), piece, None))
        self._number += 1


class DecryptingReader:
    """Gives back what was encrypted, each piece only after it was found to be unchanged.

    Args:
        file: The encrypted bytes, at their beginning.
        key: From `read_key`.

    Raises:
        InvalidInputError: The key is another one, or the file is none of this format.
    """

    def __init__(self, file: IO[bytes], *, key: bytes) -> None:
        if file.readline(64) != VERSION_LINE:
            raise InvalidInputError("The archive is not encrypted in a way that this program knows.")
        lines = file.readline(64), file.readline(64), file.readline(64)
        stanza, mac = _STANZA.fullmatch(lines[0] + lines[1]), _MAC.fullmatch(lines[2])
        if not (stanza and mac) or int(stanza[2]) > _LARGEST_WORK_FACTOR:
            raise InvalidInputError(
                "The beginning of the archive is damaged, or it was not encrypted with a key file of this program."
            )
        try:
            wrapping = _wrapping(key, _decode(stanza[1]), int(stanza[2]))
            file_key = wrapping.decrypt(bytes(12), _decode(stanza[3]), None)
        except (InvalidTag, binascii.Error) as error:
            raise InvalidInputError("The key does not open the archive: it is another one's.") from error
        expected = _compute_mac(file_key, VERSION_LINE + lines[0] + lines[1] + b"---")
        if not hmac.compare_digest(_encode(expected), mac[1]):
            raise InvalidInputError("The beginning of the archive was changed.")
        self._file, self._cipher = file, _payload_cipher(file_key, file.read(16))
        self._ahead, self._ready = file.read(_PIECE + _TAG), bytearray()
        self._number, self._is_over = 0, False

    def read(self, size: int = -1) -> bytes:
        """The next bytes; all that are left for a negative size.

        Raises:
            DamagedArchiveError: They are not what was written.
        """
        while not self._is_over and (size < 0 or len(self._ready) < size):
            self._ready += self._next_piece()
        taken = bytes(self._ready if size < 0 else self._ready[:size])
        del self._ready[: len(taken)]
        return taken

    def _next_piece(self) -> bytes:
        sealed, self._ahead = self._ahead, self._file.read(_PIECE + _TAG)
        self._is_over = not self._ahead
        try:
            piece = self._cipher.decrypt(_nonce(self._number, self._is_over), sealed, None)
        except InvalidTag as error:
            raise DamagedArchiveError(
                "the archive ends too early, or its last part was changed"
                if self._is_over
                else f"the bytes after {self._number * _PIECE} were changed"
            ) from error
        self._number += 1
        return piece


def _wrapping(key: bytes, salt: bytes, work_factor: int) -> ChaCha20Poly1305:
    # OpenSSL asks for a little more than the 128 * r * N bytes that scrypt needs.
    memory = (128 * 8 << work_factor) + 2**20
    salted = b"age-encryption.org/v1/scrypt" + salt
    return ChaCha20Poly1305(
        hashlib.scrypt(key, salt=salted, n=1 << work_factor, r=8, p=1, maxmem=memory, dklen=32)
    )


def _payload_cipher(file_key: bytes, nonce: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(HKDF(SHA256(), 32, salt=nonce, info=b"payload").derive(file_key))


def _compute_mac(file_key: bytes, header: bytes) -> bytes:
    mac_key = HKDF(SHA256(), 32, salt=None, info=b"header").derive(file_key)
    return hmac.digest(mac_key, header, "sha256")


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


def _encode(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
