"""Random changes to training images that leave the diagnosis as it is; on plain arrays, for every backend."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.training.config import AugmentationConfig

_CORNER_RADIUS_RANGE: Final = (0.95, 1.3)  # of half the side; from 1.41 on a circle touches no corner
_CORNER_EDGE_PX: Final = 2.0


def augment(
    pixels: NDArray[np.uint8], *, config: AugmentationConfig, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Change one image at random: geometry, then light, then the black corners of a round field of view.

    Args:
        pixels: uint8 (size, size, 3), RGB.
        config: how far.
        generator: where the draws come from.

    Returns:
        uint8 (size, size, 3), RGB.
    """
    moved = _move(pixels, config, generator)
    lit = _relight(moved, config, generator)
    if generator.random() < config.black_corner_share:
        lit *= _round_field(len(pixels), generator)[:, :, np.newaxis]
    changed: NDArray[np.uint8] = np.clip(lit + 0.5, 0, 255).astype(np.uint8)
    return changed


def _move(
    pixels: NDArray[np.uint8], config: AugmentationConfig, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Rotate, zoom, shift and mirror in one bilinear resampling; the border is filled by reflection."""
    size = len(pixels)
    angle = math.radians(generator.uniform(-1, 1) * config.rotation_degrees)
    zoom = 1 + generator.uniform(-1, 1) * config.zoom_fraction
    shift_x, shift_y = generator.uniform(-1, 1, size=2) * config.shift_fraction * size
    mirror_x, mirror_y = generator.choice((-1, 1), size=2) if config.flips else (1, 1)
    margin = size // 2
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    # Pillow asks where each output pixel comes from: mirror, zoom and turn about the centre, then shift.
    scale_x, scale_y = mirror_x / zoom, mirror_y / zoom
    xx, xy = scale_x * math.cos(angle), scale_y * math.sin(angle)
    yx, yy = -scale_x * math.sin(angle), scale_y * math.cos(angle)
    centre = size / 2
    x0 = centre + margin + shift_x - xx * centre - xy * centre
    y0 = centre + margin + shift_y - yx * centre - yy * centre
    moved = Image.fromarray(padded).transform(
        (size, size), Image.Transform.AFFINE, (xx, xy, x0, yx, yy, y0), Image.Resampling.BILINEAR
    )
    return np.asarray(moved, dtype=np.uint8)


def _relight(
    pixels: NDArray[np.uint8], config: AugmentationConfig, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Change contrast, brightness and white balance; float32 (size, size, 3), about 0 to 255."""
    contrast = 1 + generator.uniform(-1, 1) * config.contrast_fraction
    brightness = 1 + generator.uniform(-1, 1) * config.brightness_fraction
    gains = brightness * (1 + generator.uniform(-1, 1, size=3) * config.channel_gain_fraction)
    values = pixels.astype(np.float32)
    mean = values.mean(dtype=np.float64)
    scale = (contrast * gains).astype(np.float32)
    offset = (mean * (1 - contrast) * gains).astype(np.float32)
    lit: NDArray[np.float32] = np.clip(values * scale + offset, 0, 255)
    return lit


def _round_field(size: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Mask of a dermatoscope's round field of view: 1 inside, 0 outside; float32 (size, size)."""
    half = size / 2
    radius = generator.uniform(*_CORNER_RADIUS_RANGE) * half
    centre_x, centre_y = half + generator.uniform(-0.05, 0.05, size=2) * size
    y, x = np.ogrid[0.5:size, 0.5:size]
    distance = np.hypot(x - centre_x, y - centre_y)
    mask: NDArray[np.float32] = np.clip((radius - distance) / _CORNER_EDGE_PX + 0.5, 0, 1).astype(np.float32)
    return mask
