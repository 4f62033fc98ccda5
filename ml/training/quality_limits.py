"""Fit the quality gate: limits that stop a stated, small share of the images a network was trained on."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.inference.quality import QualityGate, QualityIssue, QualityLimits, arrays_of
from ml.inference.quality_measures import QualityMeasures, measure_photograph
from ml.inference.skin_features import SkinFeatures, rooted
from ml.preprocessing import decode_image
from ml.training.datasets import LabelledImage
from ml.training.errors import BenchError
from ml.training.files import replacing

SAMPLE_IMAGES: Final = 4000  # 0.2% of these are 8 images, the fewest a limit should rest on
MIN_IMAGES: Final = 100
FEATURE_DIMENSIONS: Final = 32
"""Of the flat that skin's features lie near: on MobileNetV2, 16 to 128 told other things apart equally well."""

# Photographs of one clinic may be more alike than all that is fit for use, and nearly all skin in the collections
# is light. So no limit is tighter than these.
_STRICTEST_MIN_LUMINANCE: Final = 0.15
"""Of light skin given the reflectance of Fitzpatrick type VI, 6% lies below; the collections alone ask for 0.23 and
would stop half of it."""
_STRICTEST_MAX_LUMINANCE: Final = 0.85
_STRICTEST_CLIPPED_SHARE: Final = 0.05  # hair, a ruler's marks, a reflection
_STRICTEST_REDDISH_SHARE: Final = 0.5
_NO_LIMIT: Final = 2.0  # no feature distance is larger: rooted features have length 1


@dataclass(frozen=True)
class StoppedShares:
    """Share of the fitted images that each limit may stop, 0 to 1; together 1.6%.

    Attributes:
        blurred: by their sharpness.
        exposure: by each of the four limits of light.
        colour: by having too few reddish pixels.
        features: by the distance of their features.
        size: by their short side.
    """

    blurred: float = 0.003
    exposure: float = 0.002
    colour: float = 0.001
    features: float = 0.003
    size: float = 0.001


def draw_sample(
    images: Sequence[LabelledImage], *, count: int = SAMPLE_IMAGES, seed: int
) -> tuple[LabelledImage, ...]:
    """Draw images to fit to, equally many of each collection as far as it has them.

    A limit fitted to the largest collection alone would stop the others more often.

    Args:
        images: of the training split.
        count: at most so many.
        seed: of the draw.

    Returns:
        Images in random order.
    """
    generator = np.random.default_rng(seed)
    by_source: defaultdict[str, list[LabelledImage]] = defaultdict(list)
    for image in sorted(images, key=lambda image: image.path):
        by_source[image.source].append(image)
    drawn: list[LabelledImage] = []
    smallest_first = sorted(by_source.values(), key=len)
    for position, members in enumerate(smallest_first):
        wanted = min(len(members), (count - len(drawn)) // (len(smallest_first) - position))
        drawn += [members[index] for index in generator.choice(len(members), wanted, replace=False)]
    return tuple(drawn[index] for index in generator.permutation(len(drawn)))


def measure_photographs(photographs: Iterable[Image.Image | Path]) -> list[QualityMeasures]:
    """Measure many photographs, holding one at a time.

    Args:
        photographs: decoded images (mode RGB) or image files.

    Raises:
        UnreadableImageError: a file is no image.
    """
    return [
        measure_photograph(one if isinstance(one, Image.Image) else decode_image(one.read_bytes()))
        for one in photographs
    ]


def fit_quality_gate(
    measures: Sequence[QualityMeasures],
    features: NDArray[np.float32] | None,
    *,
    shares: StoppedShares | None = None,
    dimensions: int = FEATURE_DIMENSIONS,
) -> QualityGate:
    """Set every limit so that it stops at most its share of these images.

    The flat that skin's features lie near is fitted to every other image and its limit set on the rest: images
    that the flat was fitted to lie nearer to it than new ones do.

    Args:
        measures: of the training images, in random order.
        features: float32 (images, channels), spatial means of the network's last feature maps for the same
            images in the same order, or None for a network whose features do not tell skin from other things.
        shares: allowed to each limit.
        dimensions: of the flat.

    Raises:
        BenchError: too few images, or features that are not theirs.
    """
    shares = shares or StoppedShares()
    if len(measures) < MIN_IMAGES:
        raise BenchError(
            f"{len(measures)} images are too few to fit the quality gate to: give at least {MIN_IMAGES}"
        )
    skin, distances = (None, None) if features is None else _fit_skin(features, len(measures), dimensions)
    limits = QualityLimits(
        min_sharpness=_low([one.sharpness for one in measures], shares.blurred),
        min_luminance=min(
            _low([one.luminance for one in measures], shares.exposure), _STRICTEST_MIN_LUMINANCE
        ),
        max_dark_share=max(
            _high([one.dark_share for one in measures], shares.exposure), _STRICTEST_CLIPPED_SHARE
        ),
        max_luminance=max(
            _high([one.luminance for one in measures], shares.exposure), _STRICTEST_MAX_LUMINANCE
        ),
        max_bright_share=max(
            _high([one.bright_share for one in measures], shares.exposure), _STRICTEST_CLIPPED_SHARE
        ),
        min_reddish_share=min(
            _low([one.reddish_share for one in measures], shares.colour), _STRICTEST_REDDISH_SHARE
        ),
        min_short_side_px=int(_low([one.short_side_px for one in measures], shares.size)),
        max_feature_distance=_NO_LIMIT
        if distances is None
        else _high(distances[1::2].tolist(), shares.features),
    )
    if distances is not None:
        measures = [
            replace(one, feature_distance=float(distance))
            for one, distance in zip(measures, distances, strict=True)
        ]
    return QualityGate(limits, skin, len(measures), _stopped_shares(limits, measures))


def write_quality_gate(gate: QualityGate, path: Path) -> None:
    """Write a gate to the file that `QualityGate.load` reads; the same gate gives the same bytes."""
    with replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays_of(gate))


def _fit_skin(
    features: NDArray[np.float32], images: int, dimensions: int
) -> tuple[SkinFeatures, NDArray[np.float32]]:
    """The flat through every other image's features, and all images' distances from it."""
    if features.ndim != 2 or len(features) != images:
        raise BenchError(
            f"features of shape {features.shape} are not those of {images} images: give one row an image"
        )
    if not np.isfinite(features).all():
        raise BenchError("features are not all finite numbers: check the network they come from")
    roots = rooted(features[::2]).astype(np.float64)
    mean = roots.mean(axis=0)
    away = roots - mean
    _, vectors = np.linalg.eigh(away.T @ away)  # by rising eigenvalue
    directions = vectors[:, ::-1][:, : min(dimensions, len(roots) - 1)].T
    stored = directions.astype(np.float16).astype(np.float32)  # as the file keeps them
    skin = SkinFeatures(mean.astype(np.float32), stored)
    return skin, skin.distances(features.astype(np.float32))


def _low(values: Sequence[float], share: float) -> float:
    """The largest limit that at most `share` of the values lie below."""
    return float(np.quantile(values, share, method="lower"))


def _high(values: Sequence[float], share: float) -> float:
    """The smallest limit that at most `share` of the values lie above."""
    return float(np.quantile(values, 1 - share, method="higher"))


def _stopped_shares(limits: QualityLimits, measures: Sequence[QualityMeasures]) -> dict[QualityIssue, float]:
    found = [finding.issue for one in measures for finding in limits.findings(one)]
    return {issue: found.count(issue) / len(measures) for issue in QualityIssue}
