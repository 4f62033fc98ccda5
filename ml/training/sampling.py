"""Which images an epoch shows, and how often: all once, or classes and sources in a fixed mixture."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml.training.config import TrainingConfig
from ml.training.datasets import LabelledImage
from ml.training.errors import BenchError


def images_an_epoch(images: Sequence[LabelledImage], config: TrainingConfig) -> int:
    """Images that one epoch shows."""
    return config.samples_an_epoch or len(images)


def draw_epoch(
    images: Sequence[LabelledImage], config: TrainingConfig, generator: np.random.Generator
) -> NDArray[np.intp]:
    """Draw an epoch's images in random order.

    Without balancing all images are shown once (or `samples_an_epoch` different ones, as far as there are as
    many). With it each stratum gives its share, its images as equally often as can be.

    Args:
        images: of the training part.
        config: balance and samples_an_epoch are used.
        generator: where the draws come from.

    Returns:
        intp (samples,), indices into `images`.

    Raises:
        BenchError: class_and_source is wanted and a source lacks a class.
    """
    count = images_an_epoch(images, config)
    if config.balance == "none":
        return _cycle(np.arange(len(images)), count, generator)
    strata = [_stratum(image, config) for image in images]
    shares = _shares(Counter(strata), config)
    drawn = [
        _cycle(
            np.array([index for index, found in enumerate(strata) if found == stratum]),
            round(share * count),
            generator,
        )
        for stratum, share in shares.items()
    ]
    return generator.permutation(np.concatenate(drawn))


def _stratum(image: LabelledImage, config: TrainingConfig) -> tuple[bool, str]:
    return image.malignant, image.source if config.balance == "class_and_source" else ""


def _shares(sizes: Counter[tuple[bool, str]], config: TrainingConfig) -> dict[tuple[bool, str], float]:
    """Both classes half; within each class the sources as they stand to each other in all images."""
    sources = Counter[str]()
    for (_, source), size in sizes.items():
        sources[source] += size
    for source in sources:
        if not (sizes[True, source] and sizes[False, source]):
            raise BenchError(
                f"balance {config.balance} needs benign and malignant images of {source or 'the training part'}"
            )
    return {stratum: 0.5 * sources[stratum[1]] / sources.total() for stratum in sorted(sizes)}


def _cycle(indices: NDArray[np.intp], count: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Indices in random order, all of them before one comes again."""
    rounds = max(1, -(-count // len(indices)))
    return np.concatenate([generator.permutation(indices) for _ in range(rounds)])[:count]
