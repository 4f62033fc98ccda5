"""What the checks need of every image, from one decoding: its size, a digest of its pixels and a thumbnail."""

import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from ml.preprocessing import UnreadableImageError, decode_image
from ml.training.datasets import LabelledImage
from ml.training.errors import BenchError

THUMBNAIL_PX: Final = 32
_DECODED_LONG_SIDE_PX: Final = 256  # enough for a thumbnail; a camera's JPEG is decoded several times faster
_LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as Pillow's mode L
_BLACK_LEVEL: Final = 40.0  # luminance of 0-255; the rim of a dermatoscope lies under it, shaded skin above
_CORNER_PX: Final = 2  # side of the thumbnail's corner squares
_BLACK_CORNERS: Final = (
    3  # of four: one dark corner is hair or a ruler, a round field of view darkens them all
)


@dataclass(frozen=True)
class Unreadable:
    """A file that is missing or damaged.

    Attributes:
        path: as in its record.
        reason: a sentence for a person.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class Fingerprints:
    """What is known of the readable images.

    Attributes:
        images: the readable ones.
        digests: SHA-256 of the decoded pixels in hexadecimal, one an image: metadata does not count.
        sizes_px: int64 (images, 2), width and height as stored.
        thumbnails: uint8 (images, 32, 32, 3), RGB, the whole picture squashed to a square.
        unreadable: the others.
    """

    images: tuple[LabelledImage, ...]
    digests: tuple[str, ...]
    sizes_px: NDArray[np.int64]
    thumbnails: NDArray[np.uint8]
    unreadable: tuple[Unreadable, ...]

    @property
    def luminance(self) -> NDArray[np.float32]:
        """Float32 (images, 32, 32), 0-255."""
        return (self.thumbnails @ _LUMA).astype(np.float32)


def fingerprint_images(images: Sequence[LabelledImage]) -> Fingerprints:
    """Decode every image once, on all cores.

    Args:
        images: their paths are absolute or relative to the working folder.

    Raises:
        BenchError: not one can be read.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow and hashlib let other threads run
        found = list(
            tqdm(
                pool.map(lambda image: _fingerprint(image.path), images),
                total=len(images),
                desc="decode",
                unit="image",
                mininterval=5.0,
                disable=None,  # only where a person watches
            )
        )
    readable = [
        (image, one) for image, one in zip(images, found, strict=True) if not isinstance(one, Unreadable)
    ]
    if not readable:
        raise BenchError(f"none of the {len(images)} images can be read: {images[0].path}, for one")
    return Fingerprints(
        images=tuple(image for image, _ in readable),
        digests=tuple(digest for _, (digest, _, _) in readable),
        sizes_px=np.array([size for _, (_, size, _) in readable], dtype=np.int64),
        thumbnails=np.stack([thumbnail for _, (_, _, thumbnail) in readable]),
        unreadable=tuple(one for one in found if isinstance(one, Unreadable)),
    )


def has_black_corners(luminance: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which pictures show the black rim of a round field of view in three or four corners.

    Args:
        luminance: float32 (images, 32, 32), 0-255.

    Returns:
        bool (images,).
    """
    near, far = slice(None, _CORNER_PX), slice(-_CORNER_PX, None)
    corners = [
        luminance[:, rows, columns].mean(axis=(1, 2)) for rows in (near, far) for columns in (near, far)
    ]
    dark: NDArray[np.bool_] = np.sum(np.stack(corners) < _BLACK_LEVEL, axis=0) >= _BLACK_CORNERS
    return dark


def _fingerprint(path: str) -> tuple[str, tuple[int, int], NDArray[np.uint8]] | Unreadable:
    try:
        content = Path(path).read_bytes()
        decoded = decode_image(content, long_side_px=_DECODED_LONG_SIDE_PX)
        with Image.open(io.BytesIO(content)) as stored:  # the header alone
            size = stored.size
    except OSError as error:
        return Unreadable(path, f"cannot be read ({error.strerror or error})")
    except UnreadableImageError as error:
        return Unreadable(path, str(error))
    digest = hashlib.sha256(f"{decoded.size} ".encode() + decoded.tobytes()).hexdigest()
    small = decoded.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
    return digest, size, np.asarray(small, dtype=np.uint8)
