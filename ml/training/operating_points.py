"""Thresholds, chosen on validation images: the served one, its neighbours, and where the network is unsure."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

SERVED_POINT: Final = "sensitivity_95"
"""Above the 0.90 of clinicians with dermoscopy (Vestergaard et al. 2008, Br J Dermatol 159:669): a missed
melanoma costs far more than a benign lesion looked at again."""
_THRESHOLD_DIGITS: Final = 4


@dataclass(frozen=True)
class ChosenThreshold:
    """An operating point on validation images.

    Attributes:
        threshold: 0 to 1; at or above it an image is called malignant.
        sensitivity: share of the malignant images at or above it.
        specificity: share of the benign images below it.
    """

    threshold: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class OperatingPoints:
    """What is served, and what it could have been.

    Attributes:
        sensitivity_90: highest threshold with a sensitivity of 0.90 or more on validation.
        sensitivity_95: the same with 0.95; the served one.
        specificity_95: lowest threshold with a specificity of 0.95 or more on validation.
    """

    sensitivity_90: ChosenThreshold
    sensitivity_95: ChosenThreshold
    specificity_95: ChosenThreshold

    @property
    def served(self) -> ChosenThreshold:
        """The point of the threshold that the released model applies."""
        return self.sensitivity_95

    @property
    def uncertain_band(self) -> tuple[float, float]:
        """From the lower to the upper of the 95% thresholds; the lower belongs to it, the upper does not."""
        low, high = sorted((self.sensitivity_95.threshold, self.specificity_95.threshold))
        return low, high

    def to_json(self) -> dict[str, Any]:
        """For metrics.json: `operating_point`, `operating_points` and `uncertain_band`."""
        low, high = self.uncertain_band
        crossed = self.specificity_95.threshold < self.sensitivity_95.threshold
        points = {
            name: {key: round(value, 4) for key, value in point.items()}
            for name, point in asdict(self).items()
        }
        return {
            "operating_point": {"name": "sensitivity 0.95 on validation"} | points[SERVED_POINT],
            "operating_points": points,
            "uncertain_band": {
                "low": low,
                "high": high,
                "crossed": crossed,
                "meaning": (
                    "the thresholds of 95% sensitivity and of 95% specificity on validation cross, for both are "
                    "reached at once; low and high are these two, sorted"
                    if crossed
                    else "from the threshold of 95% sensitivity to that of 95% specificity on validation: too "
                    "suspicious to be called benign, not suspicious enough to be sure"
                ),
            },
        }


def choose_points(positive: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> OperatingPoints:
    """Choose all thresholds.

    Args:
        positive: bool (images,), of validation images only; both classes.
        probabilities: float64 (images,), 0 to 1, calibrated.
    """
    return OperatingPoints(
        sensitivity_90=choose_by_sensitivity(positive, probabilities, 0.90),
        sensitivity_95=choose_by_sensitivity(positive, probabilities, 0.95),
        specificity_95=choose_by_specificity(positive, probabilities, 0.95),
    )


def choose_by_sensitivity(
    positive: NDArray[np.bool_], probabilities: NDArray[np.float64], sensitivity: float
) -> ChosenThreshold:
    """Find the highest threshold that still reaches a sensitivity, cut down to four digits.

    Args:
        positive: bool (images,), of validation images only.
        probabilities: float64 (images,), 0 to 1.
        sensitivity: wanted, above 0 and up to 1.
    """
    _, sensitivities, thresholds = roc_curve(positive, probabilities, drop_intermediate=False)
    highest = float(thresholds[np.argmax(sensitivities >= sensitivity)])
    scale = 10**_THRESHOLD_DIGITS
    step = math.floor(highest * scale)
    step -= step / scale > highest  # where the product was rounded up
    return _point(positive, probabilities, step / scale)


def choose_by_specificity(
    positive: NDArray[np.bool_], probabilities: NDArray[np.float64], specificity: float
) -> ChosenThreshold:
    """Find the lowest threshold of four digits that reaches a specificity; 1 where none does.

    Args:
        positive: bool (images,), of validation images only.
        probabilities: float64 (images,), 0 to 1.
        specificity: wanted, above 0 and up to 1.
    """
    benign = np.sort(probabilities[~positive])
    below = math.ceil(specificity * len(benign) - 1e-9)  # so many benign images must lie below
    scale = 10**_THRESHOLD_DIGITS
    step = math.floor(float(benign[below - 1]) * scale) + 1
    while step > 0 and np.sum(benign < (step - 1) / scale) >= below:
        step -= 1
    return _point(positive, probabilities, min(1.0, step / scale))


def choose_by_accuracy(positive: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> ChosenThreshold:
    """Find the lowest threshold of four digits at which most images are called what they are.

    Args:
        positive: bool (images,), of validation images only.
        probabilities: float64 (images,), 0 to 1.
    """
    scale = 10**_THRESHOLD_DIGITS
    steps = np.floor(probabilities * scale)
    steps += (steps + 1) / scale <= probabilities  # where the product was rounded down
    thresholds = np.unique(np.append(steps, scale)) / scale
    correct = [np.sum((probabilities >= threshold) == positive) for threshold in thresholds]
    return _point(positive, probabilities, float(thresholds[np.argmax(correct)]))


def _point(
    positive: NDArray[np.bool_], probabilities: NDArray[np.float64], threshold: float
) -> ChosenThreshold:
    called = probabilities >= threshold
    return ChosenThreshold(
        threshold=threshold,
        sensitivity=float(np.mean(called[positive])),
        specificity=float(np.mean(~called[~positive])),
    )
