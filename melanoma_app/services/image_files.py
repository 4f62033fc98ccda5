"""The files behind a photograph: encoded from pixels alone, kept in the image store, checked when they are read."""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
import uuid
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from PIL import Image

from melanoma_app.errors import UnavailableError
from melanoma_app.storage import ImageStore
from ml.inference import UnreadableImageError, decode_image

STORED_LONG_SIDE_PX: Final = 2000
"""A JPEG is decoded at the smallest DCT scale that keeps this many pixels along its long side."""
STORED_JPEG_QUALITY: Final = 90
"""With the colour at half resolution, as cameras keep it; a 12-megapixel photograph becomes about 0.5 MB."""
THUMBNAIL_LONG_SIDE_PX: Final = 320
"""Twice what lists show, for dense screens."""
THUMBNAIL_REDUCING_GAP: Final = 3.0
"""A large picture is first shrunk by a whole number, to three times the thumbnail."""
THUMBNAIL_JPEG_QUALITY: Final = 80
"""A thumbnail becomes about 10 kB, so that a page of 200 stays small."""
DAMAGED: Final = "The stored image is damaged. Tell your engineer to restore it from the backup."
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """What a row keeps of a photograph's two files, by the row's own names."""

    storage_key: str
    sha256: str
    size_bytes: int
    thumbnail_key: str


def store_image_files(*, image: Image.Image, store: ImageStore) -> ImageFiles:
    """Store a photograph and its thumbnail: both or neither.

    Raises:
        UnavailableError: The store cannot be written or is full; nothing is left in it.
    """
    content = encode_jpeg(image, quality=STORED_JPEG_QUALITY)
    key = _new_key(content)
    store.save(content, key=key)
    try:
        thumbnail_key = store_thumbnail(image=image, store=store)
    except BaseException:
        discard_files(keys=[key], store=store)
        raise
    return ImageFiles(
        storage_key=key, sha256=digest_in(key), size_bytes=len(content), thumbnail_key=thumbnail_key
    )


def store_thumbnail(*, image: Image.Image, store: ImageStore) -> str:
    """Store the small copy that lists show.

    Returns:
        Its key.

    Raises:
        UnavailableError: The store cannot be written or is full; nothing is left in it.
    """
    scale = min(1.0, THUMBNAIL_LONG_SIDE_PX / max(image.size))
    size_px = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    # Not Image.thumbnail, which would work on a copy of all pixels.
    # Hamming shrinks as well as bicubic, at 40 % of Lanczos's time (Pillow, "Filters comparison table").
    small = image.resize(size_px, Image.Resampling.HAMMING, reducing_gap=THUMBNAIL_REDUCING_GAP)
    content = encode_jpeg(small, quality=THUMBNAIL_JPEG_QUALITY)
    key = _new_key(content)
    store.save(content, key=key)
    return key


def store_upload(*, content: bytes, store: ImageStore) -> str:
    """Store an upload as it came, for as long as it waits to be taken in; it is never served.

    Returns:
        Its key.

    Raises:
        UnavailableError: The store cannot be written or is full; nothing is left in it.
    """
    key = _new_key(content, ending="upload")
    store.save(content, key=key)
    return key


def discard_image_files(*, storing: Future[ImageFiles], store: ImageStore) -> None:
    """Remove the files of a photograph that was not kept; one that could not be stored left nothing."""
    if storing.exception() is None:
        files = storing.result()
        discard_files(keys=[files.storage_key, files.thumbnail_key], store=store)


def discard_files(*, keys: Iterable[str], store: ImageStore) -> None:
    """Remove files that no record refers to.

    A store that fails just then does not hide why they have to go: `flask storage sweep` finds what is left.
    """
    for key in keys:
        try:
            store.delete(key=key)
        except UnavailableError as error:
            logger.error(
                "%s is on no record and could not be removed: sweep the storage", key, exc_info=error
            )


def read_image_file(*, key: str, sha256: str, store: ImageStore) -> bytes:
    """The bytes of a stored file, and never any others: what is damaged is neither shown nor scored.

    The log names the key, which tells nothing of the patient.

    Raises:
        UnavailableError: The file is gone, cannot be read, or is no longer what was stored.
    """
    try:
        content = store.read(key=key)
    except UnavailableError:
        logger.error("image file %s could not be read", key)
        raise
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        logger.error("image file %s is damaged: its SHA-256 is %s", key, found)
        raise UnavailableError(DAMAGED)
    return content


def digest_in(key: str) -> str:
    """The SHA-256 of the bytes that were stored under a key; keys of the first versions hold none."""
    return key.partition("-")[0]


def has_digest(key: str) -> bool:
    """Whether a key tells the SHA-256 of its bytes."""
    return _DIGEST.fullmatch(digest_in(key)) is not None


def decode_stored_image(content: bytes) -> Image.Image:
    """The pixels of a file that the store keeps.

    Raises:
        UnavailableError: It is no picture, which only damage explains.
    """
    try:
        return decode_image(content, long_side_px=STORED_LONG_SIDE_PX)
    except UnreadableImageError as error:
        raise UnavailableError(DAMAGED) from error


def encode_jpeg(image: Image.Image, *, quality: int) -> bytes:
    """A JPEG of the pixels alone: no metadata, no comment."""
    # Pillow lets go of Python's lock only when it encodes into a real file.
    with tempfile.TemporaryFile() as file:
        image.save(file, "JPEG", quality=quality, subsampling="4:2:0")
        file.seek(0)
        return file.read()


def _new_key(content: bytes, *, ending: str = "jpg") -> str:
    # The digest lets the file be checked without the database; the random part makes it this row's own.
    return f"{hashlib.sha256(content).hexdigest()}-{uuid.uuid4().hex}.{ending}"
