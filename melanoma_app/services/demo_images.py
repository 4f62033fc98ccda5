"""Drawn pictures of skin with a spot: for the demo, never to be taken for a photograph.

Tones and contrast were adjusted until the released model called some of them benign and some malignant: what it says of
them is no evidence of anything.
"""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.float64]
IMAGE_SIZE_PX: Final = 600
_SKIN_TONES: Final = ((244, 214, 205), (238, 205, 196), (232, 196, 180), (247, 222, 210))
_LIGHT_ABSORBED: Final = (0.65, 0.85, 0.95)
"""Share of red, green and blue that full pigment takes from the skin's colour, so that it looks brown."""
_CAPTION: Final = "SYNTHETIC: drawn for the demo"


def draw_lesion(*, seed: int, irregularity: float, size: float = 1.0) -> bytes:
    """Draw a spot on skin.

    Args:
        seed: The same number draws the same spot.
        irregularity: 0 for a round, even spot, to 1 for a ragged, many-coloured one.
        size: Scales the spot, so that one seed can be drawn growing.

    Returns:
        A JPEG file of 600×600 pixels that says in the picture that it is drawn.
    """
    rng = np.random.default_rng(seed)
    skin = np.array(rng.choice(_SKIN_TONES), dtype=float)
    pigment = skin * (1 - np.array(_LIGHT_ABSORBED) * (0.22 + 0.7 * irregularity) * rng.uniform(0.85, 1.15))
    pixels = skin + _blotches(rng, scale_px=60) * 4 + _blotches(rng, scale_px=6) * 1.5
    depth = _outline(rng, irregularity, size)
    shade = np.clip(1 - 0.3 * _blotches(rng, scale_px=28) * irregularity, 0.5, 1.4)
    pixels = pixels * (1 - depth) + pigment * shade * depth
    # The skin's fine relief: without it the quality gate calls the picture blurred.
    pixels = pixels + _blotches(rng, scale_px=3) * 2.5
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    ImageDraw.Draw(image).text(
        (10, IMAGE_SIZE_PX - 28), _CAPTION, fill=(70, 40, 30), font=ImageFont.load_default(size=18)
    )
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _outline(rng: np.random.Generator, irregularity: float, size: float) -> Pixels:
    """How much pigment each pixel has, 0–1, shape (height, width, 1), with a soft rim."""
    y, x = np.mgrid[-1 : 1 : IMAGE_SIZE_PX * 1j, -1 : 1 : IMAGE_SIZE_PX * 1j]
    angle = np.arctan2(y, x)
    radius = 0.4 * size * rng.uniform(0.85, 1.1)
    for wave in range(2, 9):
        radius = radius + 0.08 * irregularity / wave * 2 * np.sin(wave * angle + rng.uniform(0, 2 * np.pi))
    stretched = np.hypot(x * (1 + 0.35 * irregularity), y)
    depth: Pixels = np.clip((radius - stretched) / (0.04 + 0.1 * (1 - irregularity)), 0, 1)
    return depth[..., np.newaxis]


def _blotches(rng: np.random.Generator, scale_px: int) -> Pixels:
    """Smooth noise of unit spread, shape (height, width, 1)."""
    coarse = rng.normal(size=(IMAGE_SIZE_PX // scale_px + 2,) * 2).astype(np.float32)
    smooth = Image.fromarray(coarse).resize((IMAGE_SIZE_PX, IMAGE_SIZE_PX), Image.Resampling.BICUBIC)
    return np.asarray(smooth)[..., np.newaxis]
