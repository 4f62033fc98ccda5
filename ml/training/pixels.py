"""Images as one array of network-sized pixels, decoded once and cached, so that no epoch waits for files."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ml.preprocessing import PREPROCESSING_VERSION, UnreadableImageError, decode_image, to_network_pixels
from ml.training.datasets import LabelledImage
from ml.training.errors import BenchError
from ml.training.files import replacing


def load_pixels(
    images: Sequence[LabelledImage], *, data_folder: Path, cache_folder: Path, size_px: int
) -> NDArray[np.uint8]:
    """Decode images through the serving path, or take them from the cache.

    The cache's key holds every path with its size and time of change, the input size and the preprocessing
    version.

    Args:
        images: in the order of the result.
        data_folder: their paths are relative to it.
        cache_folder: may be deleted at any time.
        size_px: side of the network's input.

    Returns:
        uint8 (images, size_px, size_px, 3), RGB; mapped from the cache file, read-only.

    Raises:
        BenchError: a file is missing or unreadable; nothing is cached then.
    """
    cache = cache_folder / f"{_cache_key(images, data_folder, size_px)}.npy"
    if not cache.is_file():
        pixels = np.empty((len(images), size_px, size_px, 3), dtype=np.uint8)
        for index, image in enumerate(tqdm(images, desc="decode", unit="image", mininterval=5.0)):
            pixels[index] = _read(data_folder / image.path, size_px)
        with replacing(cache) as temporary:
            np.save(temporary, pixels)
    return cast(NDArray[np.uint8], np.load(cache, mmap_mode="r"))


def _read(path: Path, size_px: int) -> NDArray[np.uint8]:
    try:
        return to_network_pixels(decode_image(path.read_bytes()), size_px=size_px)
    except (OSError, UnreadableImageError) as error:
        raise BenchError(f"{path}: {error}") from error


def _cache_key(images: Sequence[LabelledImage], data_folder: Path, size_px: int) -> str:
    digest = hashlib.sha256(f"{PREPROCESSING_VERSION} {size_px}".encode())
    for image in images:
        try:
            status = (data_folder / image.path).stat()
        except OSError as error:
            raise BenchError(
                f"{data_folder / image.path} is in the manifest but cannot be read: {error}"
            ) from error
        digest.update(f"\n{image.path} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]
