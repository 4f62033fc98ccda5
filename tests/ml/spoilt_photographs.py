"""Drawn photographs as the quality gate sees them, features made for them, and ways to spoil them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from ml.inference.quality import QualityIssue, QualityVerdict
from tests.ml.drawn_lesions import draw_lesion

SIDE_PX = 240
CHANNELS = 24


def photograph(seed: int = 901) -> Image.Image:
    """A drawn lesion as large as the training images, with an edge as soft as a lens gives."""
    lesion = draw_lesion(malignant=seed % 2 == 0, seed=seed, side_px=SIDE_PX)
    return lesion.filter(ImageFilter.GaussianBlur(0.6))


def skin_features(count: int, seed: int) -> NDArray[np.float32]:
    """Features that vary along four directions of many, as those of skin do."""
    generator = np.random.default_rng(seed)
    directions = np.random.default_rng(1).uniform(0, 1, (4, CHANNELS))
    features = generator.uniform(0.5, 1.5, (count, 4)) @ directions
    return (features + generator.uniform(0, 0.02, features.shape)).astype(np.float32)


def in_round_field(image: Image.Image) -> Image.Image:
    """The same photograph through a round field of view: all outside is black."""
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).ellipse((0, 0, image.width - 1, image.height - 1), fill=255)
    return Image.composite(image, Image.new("RGB", image.size), mask)


def brightened(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.point(lambda value: min(255, round(value * factor)))


def blurred(radius_px: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.filter(ImageFilter.GaussianBlur(radius_px))


def issues_of(verdict: QualityVerdict) -> set[QualityIssue]:
    return {finding.issue for finding in verdict.findings}
