"""Random changes to training images that leave the diagnosis as it is; on plain arrays, for every backend."""

import io
import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ml.training.config import AugmentationConfig

_CORNER_RADIUS_RANGE: Final = (0.95, 1.3)  # of half the side; from 1.41 on a circle touches no corner
_CORNER_EDGE_PX: Final = 2.0
_JPEG_QUALITY_RANGE: Final = (40, 95)  # a messenger's to a camera's
_LARGEST_BLUR: Final = 0.015  # standard deviation, of the side
_LUMA: Final = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
# RGB to luma and two colour-difference axes (YIQ, NTSC 1953); hue is the angle between these two.
_TO_YIQ: Final = np.array([_LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_FROM_YIQ: Final = np.linalg.inv(_TO_YIQ)


def augment(
    pixels: NDArray[np.uint8], *, config: AugmentationConfig, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Change one image at random: geometry, light and colour, black corners, blur, compression.

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
    if config.blur_share and generator.random() < config.blur_share:
        changed = _blur(changed, generator)
    if config.compression_share and generator.random() < config.compression_share:
        changed = _compress(changed, generator)
    return changed


def _move(
    pixels: NDArray[np.uint8], config: AugmentationConfig, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Rotate, zoom, stretch, shift and mirror in one bilinear resampling; the border is filled by reflection."""
    size = len(pixels)
    angle = math.radians(generator.uniform(-1, 1) * config.rotation_degrees)
    zoom = 1 + generator.uniform(-1, 1) * config.zoom_fraction
    shift_x, shift_y = generator.uniform(-1, 1, size=2) * config.shift_fraction * size
    mirror_x, mirror_y = generator.choice((-1, 1), size=2) if config.flips else (1, 1)
    stretch = 1.0
    if config.stretch_fraction:
        stretch = math.sqrt(1 + generator.random() * config.stretch_fraction) ** generator.choice((-1, 1))
    margin = size // 2
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    # Pillow asks where each output pixel comes from: mirror, zoom and turn about the centre, then shift.
    scale_x, scale_y = mirror_x / zoom * stretch, mirror_y / zoom / stretch
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
    if config.saturation_fraction or config.hue_degrees:
        lit = np.clip(lit @ _recolour(config, generator), 0, 255)
    return lit


def _recolour(config: AugmentationConfig, generator: np.random.Generator) -> NDArray[np.float32]:
    """Matrix (3, 3) for RGB rows that changes saturation and hue and keeps the luma."""
    saturation = 1 + generator.uniform(-1, 1) * config.saturation_fraction
    angle = math.radians(generator.uniform(-1, 1) * config.hue_degrees)
    along, across = saturation * math.cos(angle), saturation * math.sin(angle)
    turned = np.array([[1, 0, 0], [0, along, -across], [0, across, along]])
    matrix: NDArray[np.float32] = (_FROM_YIQ @ turned @ _TO_YIQ).T.astype(np.float32)
    return matrix


def _blur(pixels: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    radius = generator.random() * _LARGEST_BLUR * len(pixels)
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)), dtype=np.uint8)


def _compress(pixels: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Through a JPEG file and back, so that no collection is known by its compression."""
    file = io.BytesIO()
    quality = int(generator.integers(*_JPEG_QUALITY_RANGE, endpoint=True))
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), dtype=np.uint8)


def _round_field(size: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Mask of a dermatoscope's round field of view: 1 inside, 0 outside; float32 (size, size)."""
    half = size / 2
    radius = generator.uniform(*_CORNER_RADIUS_RANGE) * half
    centre_x, centre_y = half + generator.uniform(-0.05, 0.05, size=2) * size
    y, x = np.ogrid[0.5:size, 0.5:size]
    distance = np.hypot(x - centre_x, y - centre_y)
    mask: NDArray[np.float32] = np.clip((radius - distance) / _CORNER_EDGE_PX + 0.5, 0, 1).astype(np.float32)
    return mask
