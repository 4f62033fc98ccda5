"""Lesions drawn for the tests, and what a small run of drawn lesions leaves behind."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


@dataclass(frozen=True)
class TinyRelease:
    """A run of the drawn collection with all that came of it."""

    run_folder: Path
    folder: Path


def draw_lesion(*, malignant: bool, seed: int, side_px: int = 40) -> Image.Image:
    """Skin with a spot: small and brown when benign, large, dark and ragged when malignant."""
    generator = np.random.default_rng(seed)
    skin = np.full((side_px, side_px, 3), (225, 180, 160)) + generator.normal(0, 6, (side_px, side_px, 3))
    image = Image.fromarray(skin.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    middle = side_px / 2 + generator.uniform(-2, 2)
    radius = side_px * (generator.uniform(0.3, 0.4) if malignant else generator.uniform(0.1, 0.2))
    colour = (60, 40, 45) if malignant else (150, 100, 70)
    for _ in range(5 if malignant else 1):
        x, y = generator.uniform(-3, 3, size=2) if malignant else (0, 0)
        box = (middle + x - radius, middle + y - radius, middle + x + radius, middle + y + radius)
        draw.ellipse(box, fill=colour)
    return image


def encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()
