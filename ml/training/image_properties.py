"""What of a picture might lead a network astray: light, contrast, sharpness, black corners, size, shape."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.training.datasets import LabelledImage
from ml.training.errors import BenchError
from ml.training.fingerprints import THUMBNAIL_PX, has_black_corners

QUARTERS: Final = ("lowest quarter", "second quarter", "third quarter", "highest quarter")
_LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as Pillow's mode L
_LARGE_PX: Final = (256, 512)  # sides between the sizes that collections are published in
_IMAGES_AT_ONCE: Final = 256


def image_properties(
    images: Sequence[LabelledImage], pixels: NDArray[np.uint8], rows: NDArray[np.intp], *, data_folder: Path
) -> dict[str, NDArray[np.str_]]:
    """Sort every image by each property.

    Light, contrast and sharpness are measured on the network's input, what the network sees, and cut into
    quarters of these images. Sharpness is the mean step between neighbouring pixels over the contrast: a blurred
    picture has small ones.

    Args:
        images: their paths are relative to the data folder.
        pixels: uint8 (any, size, size, 3), RGB, the network's inputs.
        rows: intp (images,), where each image stands in `pixels`.
        data_folder: of the files; their headers tell the size they are stored in.

    Returns:
        Property to str (images,), each with a few different values.

    Raises:
        BenchError: a file cannot be read.
    """
    brightness, contrast, sharpness, dark = _measure(pixels, rows)
    sizes = np.array([_stored_size(data_folder / image.path) for image in images])
    return {
        "brightness": _quarters(brightness),
        "contrast": _quarters(contrast),
        "sharpness": _quarters(sharpness),
        "black corners": np.where(dark, "present", "none"),
        "stored size": _size_names(sizes.max(axis=1)),
        "stored shape": np.where(sizes[:, 0] == sizes[:, 1], "square", "oblong"),
    }


def _measure(
    pixels: NDArray[np.uint8], rows: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Brightness and contrast of 0-255, sharpness, and whether the corners are black; (images,) each."""
    found = []
    for start in range(0, len(rows), _IMAGES_AT_ONCE):
        luminance = pixels[rows[start : start + _IMAGES_AT_ONCE]] @ _LUMA
        contrast = luminance.std(axis=(1, 2), dtype=np.float64)
        steps = sum(np.abs(np.diff(luminance, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2))
        thumbnails = np.stack([_shrink(one) for one in luminance])
        found.append(
            (
                luminance.mean(axis=(1, 2), dtype=np.float64),
                contrast,
                steps / np.maximum(contrast, 1.0),
                has_black_corners(thumbnails),
            )
        )
    brightness, contrast, sharpness, dark = (np.concatenate(part) for part in zip(*found, strict=True))
    return brightness, contrast, sharpness, dark.astype(np.bool_)


def _shrink(luminance: NDArray[np.float32]) -> NDArray[np.float32]:
    small = Image.fromarray(luminance).resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)


def _quarters(values: NDArray[np.float64]) -> NDArray[np.str_]:
    edges = np.quantile(values, (0.25, 0.5, 0.75))
    return np.array(QUARTERS)[np.searchsorted(edges, values, side="left")]


def _size_names(long_sides: NDArray[np.int64]) -> NDArray[np.str_]:
    small, large = _LARGE_PX
    names = (f"up to {small} px", f"{small + 1} to {large} px", f"above {large} px")
    return np.array(names)[np.searchsorted(_LARGE_PX, long_sides, side="left")]


def _stored_size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:  # the header alone
            return image.size
    except OSError as error:
        raise BenchError(f"{path}: {error}") from error
