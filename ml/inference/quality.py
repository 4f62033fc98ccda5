"""The quality gate: is this photograph sharp, light and large enough, and is it skin at all?"""

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.inference.manifest import ModelIntegrityError
from ml.inference.quality_measures import QualityMeasures, measure_photograph
from ml.inference.skin_features import SkinFeatures

QUALITY_FILE: Final = "quality.npz"
QUALITY_FORMAT: Final = 1
"""Raised whenever a measure changes: limits fitted to other measures must not be applied."""

# What numpy and zipfile raise on files that are not whole.
_DAMAGED: Final = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,  # numpy gives a bare array, without `with`, for a lone .npy
    EOFError,
    MemoryError,
    OverflowError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


class QualityIssue(StrEnum):
    """Why a photograph is stopped."""

    BLURRED = "blurred"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    TOO_SMALL = "too_small"
    NOT_SKIN = "not_skin"


@dataclass(frozen=True)
class QualityFinding:
    """One thing that is wrong with a photograph.

    Attributes:
        issue: which one.
        reason: a sentence for the person who took it.
        hint: what to do about it.
    """

    issue: QualityIssue
    reason: str
    hint: str


@dataclass(frozen=True)
class QualityVerdict:
    """What the gate says about one photograph; no findings mean that it may pass.

    Attributes:
        measures: what was measured.
        findings: what is wrong, in the order of `QualityIssue`.
    """

    measures: QualityMeasures
    findings: tuple[QualityFinding, ...]

    @property
    def acceptable(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.findings


@dataclass(frozen=True)
class QualityLimits:
    """A photograph beyond any of these is stopped; see `QualityMeasures` for the units.

    Attributes:
        min_sharpness: less is blurred.
        min_luminance: less is too dark.
        max_dark_share: more is too dark.
        max_luminance: more is too bright.
        max_bright_share: more is too bright.
        min_reddish_share: less is no skin. Melanin and blood absorb green and blue more than red (Jacques 2013,
            doi 10.1088/0031-9155/58/11/R37), so skin of every tone is reddish, and paper, screens and plants are
            not.
        min_short_side_px: less is too small.
        max_feature_distance: more is no skin, where features are known.
    """

    min_sharpness: float
    min_luminance: float
    max_dark_share: float
    max_luminance: float
    max_bright_share: float
    min_reddish_share: float
    min_short_side_px: int
    max_feature_distance: float

    def findings(self, measures: QualityMeasures) -> tuple[QualityFinding, ...]:
        """Name what is beyond the limits.

        A photograph that is too small, dark or bright is not called blurred as well: enlarging or the light has
        taken its detail, and one hint helps more than two.
        """
        too_small = measures.short_side_px < self.min_short_side_px
        too_dark = measures.luminance < self.min_luminance or measures.dark_share > self.max_dark_share
        too_bright = measures.luminance > self.max_luminance or measures.bright_share > self.max_bright_share
        soft = measures.sharpness < self.min_sharpness
        distance = measures.feature_distance
        far = distance is not None and distance > self.max_feature_distance
        found = {
            QualityIssue.BLURRED: soft and not (too_small or too_dark or too_bright),
            QualityIssue.TOO_DARK: too_dark,
            QualityIssue.TOO_BRIGHT: too_bright,
            QualityIssue.TOO_SMALL: too_small,
            QualityIssue.NOT_SKIN: far or measures.reddish_share < self.min_reddish_share,
        }
        return tuple(
            QualityFinding(
                issue,
                _REASONS[issue].format(has_px=measures.short_side_px, needs_px=self.min_short_side_px),
                _HINTS[issue],
            )
            for issue, is_found in found.items()
            if is_found
        )


_REASONS: Final[Mapping[QualityIssue, str]] = {
    QualityIssue.BLURRED: "The photograph is blurred: fine detail of the skin cannot be seen.",
    QualityIssue.TOO_DARK: "The photograph is too dark: detail is lost in the shadows.",
    QualityIssue.TOO_BRIGHT: "The photograph is too bright: detail is lost where the skin has turned white.",
    QualityIssue.TOO_SMALL: (
        "The photograph is too small: its short side has {has_px} pixels and at least {needs_px} are needed."
    ),
    QualityIssue.NOT_SKIN: "The photograph does not look like a close-up of skin.",
}
_HINTS: Final[Mapping[QualityIssue, str]] = {
    QualityIssue.BLURRED: "Hold the camera still, focus on the lesion and take the photograph again.",
    QualityIssue.TOO_DARK: "Switch on the dermatoscope's light or turn up the exposure, and take it again.",
    QualityIssue.TOO_BRIGHT: "Turn down the light or the exposure, avoid reflections, and take it again.",
    QualityIssue.TOO_SMALL: "Choose the camera's original file instead of a preview or a cut-out, or go nearer.",
    QualityIssue.NOT_SKIN: (
        "Check that you chose the right file. If it does show the lesion, rely on your own examination: "
        "the model was trained on no photographs like this one."
    ),
}


@dataclass(frozen=True)
class QualityGate:
    """Limits fitted to a network's training images, and where their features lie. Safe to share between threads.

    Attributes:
        limits: of every measure.
        skin: None for a network whose features do not tell skin from other things.
        images: how many the limits were fitted to.
        stopped_shares: share of these that each issue stops, 0 to 1.
    """

    limits: QualityLimits
    skin: SkinFeatures | None
    images: int
    stopped_shares: Mapping[QualityIssue, float]

    @classmethod
    def load(cls, path: Path) -> "QualityGate":
        """Read a gate that `ml.training.quality_limits` has written.

        Raises:
            ModelIntegrityError: the file is missing, damaged, or of another program.
        """
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                arrays = dict(stored)
        except FileNotFoundError as error:
            raise ModelIntegrityError(f"{path} is missing: restore it from the repository.") from error
        except _DAMAGED as error:
            raise ModelIntegrityError(f"{path} is damaged: restore it from the repository.") from error
        try:
            return _gate_from(arrays)
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise ModelIntegrityError(
                f"{path} holds no limits this program understands ({error}): restore it from the repository."
            ) from error

    def assess(self, image: Image.Image, features: NDArray[np.float32] | None = None) -> QualityVerdict:
        """Judge one photograph.

        Args:
            image: mode RGB, as `decode_image` gives it.
            features: float32 (channels,), spatial mean of the network's last feature maps for this image; None
                where there are none. A gate that knows no features makes no use of them.

        Raises:
            ModelIntegrityError: the features are not of the network this gate was fitted to.
            ValueError: the image is not RGB.
        """
        measures = measure_photograph(image)
        if features is not None and self.skin is not None:
            distance = float(self.skin.distances(features[np.newaxis])[0])
            measures = replace(measures, feature_distance=distance)
        return QualityVerdict(measures=measures, findings=self.limits.findings(measures))


def arrays_of(gate: QualityGate) -> dict[str, NDArray[Any]]:
    """The arrays of a gate's file, by name; directions in half precision, for they are most of it."""
    arrays: dict[str, NDArray[Any]] = {
        "format": np.array(QUALITY_FORMAT),
        "images": np.array(gate.images),
        **{field.name: np.array(getattr(gate.limits, field.name)) for field in fields(QualityLimits)},
        **{f"stopped_{issue}": np.array(gate.stopped_shares[issue]) for issue in QualityIssue},
    }
    if gate.skin is not None:
        arrays |= {"skin_mean": gate.skin.mean, "skin_directions": gate.skin.directions.astype(np.float16)}
    return arrays


def _gate_from(arrays: Mapping[str, NDArray[Any]]) -> QualityGate:
    if int(arrays["format"]) != QUALITY_FORMAT:
        raise ValueError(f"format {int(arrays['format'])} instead of {QUALITY_FORMAT}")
    limits: dict[str, Any] = {field.name: float(arrays[field.name]) for field in fields(QualityLimits)}
    stopped = {issue: float(arrays[f"stopped_{issue}"]) for issue in QualityIssue}
    if not np.isfinite([*limits.values(), *stopped.values()]).all():
        raise ValueError("a limit is no finite number")
    skin = _skin_from(arrays) if "skin_mean" in arrays else None
    limits["min_short_side_px"] = int(limits["min_short_side_px"])
    return QualityGate(QualityLimits(**limits), skin, int(arrays["images"]), stopped)


def _skin_from(arrays: Mapping[str, NDArray[Any]]) -> SkinFeatures:
    mean = arrays["skin_mean"].astype(np.float32)
    directions = arrays["skin_directions"].astype(np.float32)
    if mean.ndim != 1 or directions.ndim != 2 or directions.shape[1] != len(mean):
        raise ValueError("mean and directions of the features do not fit")
    if not (np.isfinite(mean).all() and np.isfinite(directions).all()):
        raise ValueError("a feature is no finite number")
    return SkinFeatures(mean, directions)
