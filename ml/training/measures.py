"""Figures of merit of probabilities against labels, with bootstrap intervals; scikit-learn does the sums."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    auc,
    brier_score_loss,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_curve,
)

REFERENCE_SENSITIVITY: Final = 0.95
BOOTSTRAP_ROUNDS: Final = 1000
INTERVAL_PERCENT: Final = (2.5, 97.5)
MIN_IMAGES_A_CLASS: Final = 30
"""With fewer, a rate among them is not reported: its 95% interval could span a third of the scale."""

_NEEDS_MALIGNANT: Final = ("auc", "specificity_at_95_sensitivity", "precision", "recall", "f1")
_THRESHOLD_DIGITS: Final = 4


@dataclass(frozen=True)
class ChosenThreshold:
    """An operating point on validation images.

    Attributes:
        value: the threshold, 0 to 1; at or above it an image is called malignant.
        sensitivity: share of the malignant images at or above it.
        specificity: share of the benign images below it.
    """

    value: float
    sensitivity: float
    specificity: float


def choose_threshold(
    positive: NDArray[np.bool_], probabilities: NDArray[np.float64], *, sensitivity: float
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
    value = math.floor(highest * scale) / scale
    called = probabilities >= value
    return ChosenThreshold(
        value=value,
        sensitivity=float(np.mean(called[positive])),
        specificity=float(np.mean(~called[~positive])),
    )


def measure(
    positive: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    groups: Sequence[str],
    *,
    thresholds: Mapping[str, float],
    seed: int,
) -> dict[str, Any]:
    """Measure one set of images.

    Intervals are percentiles over 1,000 bootstrap rounds that draw whole groups with replacement within each
    class (Efron & Tibshirani 1993, ch. 13; by group, for pictures of one lesion are not independent).

    Args:
        positive: bool (images,).
        probabilities: float64 (images,), 0 to 1.
        groups: one an image.
        thresholds: name to value, 0 to 1.
        seed: of the bootstrap.

    Returns:
        Counts, and {"value", "low", "high"} a figure: those without a threshold at the top, the others under
        the name of their threshold, with the confusion matrix. A figure is None where a class has too few
        images.
    """
    malignant, benign = int(np.sum(positive)), int(np.sum(~positive))
    result: dict[str, Any] = {"images": len(positive), "malignant": malignant, "benign": benign}
    figures = _figures(positive, probabilities, thresholds, None)
    rounds = [
        _figures(positive, probabilities, thresholds, weights)
        for weights in _bootstrap_weights(positive, groups, seed)
    ]
    for name, value in figures.items():
        place, _, figure = name.rpartition("/")
        known = (
            malignant >= MIN_IMAGES_A_CLASS or figure not in _NEEDS_MALIGNANT
        ) and benign >= MIN_IMAGES_A_CLASS
        low, high = np.percentile([one[name] for one in rounds], INTERVAL_PERCENT)
        entry = {"value": _rounded(value), "low": _rounded(low), "high": _rounded(high)} if known else None
        (result.setdefault(place, {}) if place else result)[figure] = entry
    for name, threshold in thresholds.items():
        (tn, fp), (fn, tp) = confusion_matrix(
            positive, probabilities >= threshold, labels=[False, True]
        ).tolist()
        result[name] |= {
            "threshold": threshold,
            "confusion": {
                "true_negative": tn,
                "false_positive": fp,
                "false_negative": fn,
                "true_positive": tp,
            },
        }
    return result


def _figures(
    positive: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    thresholds: Mapping[str, float],
    weights: NDArray[np.float64] | None,
) -> dict[str, float]:
    """All figures, those at a threshold as "its name/figure"; weights count an image several times."""
    figures = {"brier": float(brier_score_loss(positive, probabilities, sample_weight=weights))}
    if positive.any() and not positive.all():
        false_positives, true_positives, _ = roc_curve(positive, probabilities, sample_weight=weights)
        figures["auc"] = float(auc(false_positives, true_positives))
        reached = true_positives >= REFERENCE_SENSITIVITY - 1e-9
        figures["specificity_at_95_sensitivity"] = float(1 - false_positives[reached].min())
    else:
        figures |= {"auc": math.nan, "specificity_at_95_sensitivity": math.nan}
    for name, threshold in thresholds.items():
        called = probabilities >= threshold
        precision, recall, f1, _ = precision_recall_fscore_support(
            positive, called, labels=[False, True], sample_weight=weights, zero_division=0.0
        )
        figures |= {
            f"{name}/accuracy": float(accuracy_score(positive, called, sample_weight=weights)),
            f"{name}/precision": float(precision[1]),
            f"{name}/recall": float(recall[1]),
            f"{name}/f1": float(f1[1]),
            f"{name}/specificity": float(recall[0]),
        }
    return figures


def _bootstrap_weights(
    positive: NDArray[np.bool_], groups: Sequence[str], seed: int
) -> "list[NDArray[np.float64]]":
    """How often each image is drawn, a round; every class keeps its number of groups."""
    generator = np.random.default_rng(seed)
    rounds = [np.zeros(len(positive)) for _ in range(BOOTSTRAP_ROUNDS)]
    for of_class in (positive, ~positive):
        if not of_class.any():
            continue
        names, index = np.unique(np.asarray(groups)[of_class], return_inverse=True)
        for weights in rounds:
            drawn = generator.integers(len(names), size=len(names))
            weights[of_class] = np.bincount(drawn, minlength=len(names))[index]
    return rounds


def _rounded(value: float) -> float:
    return round(float(value), 4)
