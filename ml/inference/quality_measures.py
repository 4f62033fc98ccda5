"""What can be measured of a photograph before a network sees it: sharpness, light, colour and size."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.preprocessing import MAX_CHANNEL_VALUE, to_network_pixels

MEASURED_PX: Final = 224
"""Side of the square all measures are taken on: the largest network's input, and the smallest training image."""

_LUMA: Final = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's mode L
_ROUND_FIELD: Final = (
    0.9  # of the inscribed circle's radius: leaves out a dermatoscope's black rim and its edge
)
_CLIPPED_DARK: Final = 0.04  # luminance 10 of 255: shadows without detail, the level of JPEG's noise
_CLIPPED_BRIGHT: Final = 0.98  # luminance 250 of 255: highlights without detail
_ONE_LEVEL: Final = 1.0 / MAX_CHANNEL_VALUE  # of an 8-bit channel; keeps a plain picture's sharpness at 0


@dataclass(frozen=True)
class QualityMeasures:
    """What was measured of one photograph.

    Attributes:
        sharpness: strength of the finest detail against light and contrast, 0 (plain) to about 1; skin in focus
            has about 0.12. A brighter or darker exposure of the same picture has the same.
        luminance: mean, 0 (black) to 1 (white).
        dark_share: share of pixels so dark that detail is lost, 0 to 1.
        bright_share: share of pixels so bright that detail is lost, 0 to 1.
        reddish_share: share of pixels whose red is stronger than their green and their blue, 0 to 1, among those
            that are neither so dark nor so bright in one of them that their colour is lost; 1 where none is left.
        short_side_px: of the whole picture.
        feature_distance: how far the network's features lie from those of skin, 0 to about 1.4; None where the
            gate knows no features.
    """

    sharpness: float
    luminance: float
    dark_share: float
    bright_share: float
    reddish_share: float
    short_side_px: int
    feature_distance: float | None = None


def measure_photograph(image: Image.Image) -> QualityMeasures:
    """Measure a photograph on its centre square, shrunk to what the networks see.

    Only pixels inside the inscribed circle count, so that the black corners of a round field of view are neither
    darkness nor an edge.

    Sharpness is the spread of the Laplacian (Pech-Pacheco et al. 2000, doi 10.1109/ICPR.2000.903548), which grows
    with exposure and contrast alike, divided by the geometric mean of luminance and contrast. Dividing by their
    product's root makes it blind to exposure; dividing by contrast alone (Crete et al. 2007,
    doi 10.1117/12.702790) found a third less of blurred skin, for noise then passes for texture on pale skin.

    Args:
        image: mode RGB, as `decode_image` gives it.

    Raises:
        ValueError: the image is not RGB.
    """
    pixels = to_network_pixels(image, size_px=MEASURED_PX)
    luminance = _luminance(pixels)
    seen = luminance[_FIELD]
    dark, bright = seen <= _CLIPPED_DARK, seen >= _CLIPPED_BRIGHT
    colours = pixels[_FIELD]
    lost = dark | (colours.max(axis=1) >= _CLIPPED_BRIGHT * MAX_CHANNEL_VALUE)
    red, green, blue = colours[~lost].T
    mean, contrast = float(seen.mean()), float(seen.std())
    detail = float(_laplacian(luminance)[_FIELD[1:-1, 1:-1]].std())
    return QualityMeasures(
        sharpness=detail / float(np.sqrt(mean * contrast + _ONE_LEVEL**2)),
        luminance=mean,
        dark_share=float(dark.mean()),
        bright_share=float(bright.mean()),
        reddish_share=float(((red > green) & (red > blue)).mean()) if red.size else 1.0,
        short_side_px=min(image.size),
    )


def _round_field() -> NDArray[np.bool_]:
    """Pixels inside the round field: bool (MEASURED_PX, MEASURED_PX)."""
    offset = np.arange(MEASURED_PX) - (MEASURED_PX - 1) / 2
    distance = np.hypot(offset[:, np.newaxis], offset[np.newaxis])
    inside: NDArray[np.bool_] = distance < _ROUND_FIELD * MEASURED_PX / 2
    return inside


_FIELD: Final = _round_field()


def _luminance(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Float32 (height, width), 0 to 1; summed by hand, for a matrix product would wake a pool of threads."""
    picture = np.zeros(pixels.shape[:2], dtype=np.float32)
    for channel, weight in enumerate(_LUMA):
        picture += np.float32(weight / MAX_CHANNEL_VALUE) * pixels[..., channel]
    return picture


def _laplacian(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Second differences with four neighbours; two pixels smaller on each axis."""
    beside = picture[:-2, 1:-1] + picture[2:, 1:-1] + picture[1:-1, :-2] + picture[1:-1, 2:]
    difference: NDArray[np.float32] = beside - np.float32(4) * picture[1:-1, 1:-1]
    return difference
