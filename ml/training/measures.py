"""Figures of merit of probabilities against labels, with bootstrap intervals; scikit-learn does the sums."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from ml.training.bootstrap import draw_weights, entry
from ml.training.weighted_curves import WeightedCurves

REFERENCE_SENSITIVITIES: Final = {
    "specificity_at_90_sensitivity": 0.90,
    "specificity_at_95_sensitivity": 0.95,
}
BOOTSTRAP_ROUNDS: Final = 1000
MIN_IMAGES_A_CLASS: Final = 30
"""With fewer, a rate among them is not reported: its 95% interval could span a third of the scale."""
MIN_IMAGES_A_BIN: Final = 30
MAX_BINS: Final = 15  # Guo et al. 2017

_NEEDS_BOTH: Final = ("auc", "average_precision", *REFERENCE_SENSITIVITIES, "precision", "f1")
_ROUNDING: Final = 1e-9


def measure(
    positive: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    groups: Sequence[str],
    *,
    thresholds: Mapping[str, float],
    seed: int,
    uncertain_band: tuple[float, float] | None = None,
    held_out: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """Measure one set of images.

    Intervals are percentiles over 1,000 rounds of `ml.training.bootstrap.draw_weights` within each class.

    Args:
        positive: bool (images,).
        probabilities: float64 (images,), 0 to 1.
        groups: one an image.
        thresholds: name to value, 0 to 1.
        seed: of the bootstrap.
        uncertain_band: from the first to below the second probability the network counts as unsure.
        held_out: float64 (images,): probabilities to take Brier score and calibration error from, where
            `probabilities` were calibrated on these very images.

    Returns:
        Counts, and {"value", "low", "high"} a figure: those without a threshold at the top, the others under
        the name of their threshold, with the confusion matrix. A figure is None where a class has too few
        images. "reliability" has the bins of the calibration error, "uncertain" the band.
    """
    malignant, benign = int(np.sum(positive)), int(np.sum(~positive))
    stated = probabilities if held_out is None else held_out
    result: dict[str, Any] = {"images": len(positive), "malignant": malignant, "benign": benign}
    figures = _figures(positive, probabilities, stated, thresholds)
    rates = _Rates(positive, probabilities, stated, thresholds, uncertain_band)
    figures |= {name: float(value[0]) for name, value in rates.of_band(np.ones((1, len(positive)))).items()}
    curves = WeightedCurves(positive, probabilities) if malignant and benign else None
    rounds = _collect(
        rates.of_round(weights) | _curve_figures(curves, weights)
        for weights in draw_weights(positive, groups, rounds=BOOTSTRAP_ROUNDS, seed=seed)
    )
    for name, value in figures.items():
        place, _, figure = name.rpartition("/")
        known = _is_known(figure, malignant, benign) and math.isfinite(value)
        found = _entry(figure, value, rounds[name]) if known else None
        (result.setdefault(place, {}) if place else result)[figure] = found
    for name, threshold in thresholds.items():
        (tn, fp), (fn, tp) = confusion_matrix(
            positive, probabilities >= threshold, labels=[False, True]
        ).tolist()
        cells = {"true_negative": tn, "false_positive": fp, "false_negative": fn, "true_positive": tp}
        result[name] |= {"threshold": threshold, "confusion": cells}
    if uncertain_band is not None:
        low, high = uncertain_band
        result["uncertain"] |= {"low": low, "high": high}
        if not enough(int(np.sum((probabilities < low) | (probabilities >= high)))):
            result["uncertain"]["accuracy_outside"] = None
    result["reliability"] = reliability(positive, stated)
    return result


def enough(images: int) -> bool:
    """Whether a rate among so many images is reported."""
    return images >= MIN_IMAGES_A_CLASS


def calibration_bins(probabilities: NDArray[np.float64]) -> NDArray[np.intp]:
    """The bin of each image for the calibration error: at most 15, about equally full, 30 images or more each.

    Bins of equal width (Naeini et al. 2015) would put most of a clinic's images into the lowest one and leave
    a handful to others, whose error is then chance; equally full ones (Nixon et al. 2019, arXiv:1904.01685)
    all weigh the same. Equal probabilities share a bin.

    Returns:
        intp (images,), 0 for the lowest probabilities; one bin only where there are fewer than 60 images.
    """
    _, index, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    wanted = max(MIN_IMAGES_A_BIN, math.ceil(len(probabilities) / MAX_BINS))
    bins = np.zeros(len(counts), dtype=np.intp)
    number = filled = 0
    for place, count in enumerate(counts.tolist()):
        bins[place] = number
        filled += count
        if filled >= wanted:
            number, filled = number + 1, 0
    if 0 < filled < MIN_IMAGES_A_BIN:
        bins[bins == number] = max(0, number - 1)
    return bins[index]


def calibration_error(positive: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> float:
    """Mean distance, over `calibration_bins`, of the mean probability from the share that is malignant.

    The expected calibration error of Naeini et al. 2015 (AAAI), 0 to 1, each bin weighing as many as it has.
    """
    bins = calibration_bins(probabilities)
    gaps = np.bincount(bins, weights=probabilities - positive)
    return float(np.abs(gaps).sum() / len(positive))


def reliability(positive: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> list[dict[str, Any]]:
    """The numbers behind a calibration curve: images, mean probability and share malignant, a bin."""
    bins = calibration_bins(probabilities)
    images = np.bincount(bins)
    predicted = np.bincount(bins, weights=probabilities) / images
    malignant = np.bincount(bins, weights=positive) / images
    return [
        {"images": count, "predicted": round(mean, 4), "malignant": round(share, 4)}
        for count, mean, share in zip(images.tolist(), predicted.tolist(), malignant.tolist(), strict=True)
    ]


def mean_with_interval(
    values: NDArray[np.float64], strata: NDArray[Any], groups: Sequence[str], *, seed: int
) -> dict[str, float]:
    """A mean over images, with the interval of a bootstrap by group within strata."""
    rounds = [
        weights @ values / weights.sum(axis=1)
        for weights in draw_weights(strata, groups, rounds=BOOTSTRAP_ROUNDS, seed=seed)
    ]
    return entry(float(values.mean()), np.concatenate(rounds))


def _figures(
    positive: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    stated: NDArray[np.float64],
    thresholds: Mapping[str, float],
) -> dict[str, float]:
    """All figures of the images as they are, those at a threshold as "its name/figure"."""
    figures = {
        "brier": float(brier_score_loss(positive, stated)),
        "calibration_error": calibration_error(positive, stated),
        "auc": math.nan,
        "average_precision": math.nan,
    } | dict.fromkeys(REFERENCE_SENSITIVITIES, math.nan)
    if positive.any() and not positive.all():
        figures["auc"] = float(roc_auc_score(positive, probabilities))
        figures["average_precision"] = float(average_precision_score(positive, probabilities))
        false_positives, true_positives, _ = roc_curve(positive, probabilities, drop_intermediate=False)
        for name, sensitivity in REFERENCE_SENSITIVITIES.items():
            reached = true_positives >= sensitivity - _ROUNDING
            figures[name] = float(1 - false_positives[reached].min())
    for name, threshold in thresholds.items():
        called = probabilities >= threshold
        precision, recall, f1, _ = precision_recall_fscore_support(
            positive, called, labels=[False, True], zero_division=0.0
        )
        figures |= {
            f"{name}/accuracy": float(accuracy_score(positive, called)),
            f"{name}/precision": float(precision[1]),
            f"{name}/recall": float(recall[1]),
            f"{name}/f1": float(f1[1]),
            f"{name}/specificity": float(recall[0]),
        }
    return figures


class _Rates:
    """Counts of images as one matrix, so that many weightings are one product."""

    def __init__(
        self,
        positive: NDArray[np.bool_],
        probabilities: NDArray[np.float64],
        stated: NDArray[np.float64],
        thresholds: Mapping[str, float],
        band: tuple[float, float] | None,
    ) -> None:
        self._thresholds, self._band = tuple(thresholds), band
        called = np.stack([probabilities >= value for value in thresholds.values()], axis=1)
        self._right = np.column_stack([positive, called & positive[:, np.newaxis]]).astype(np.float64)
        self._wrong = np.column_stack([~positive, called & ~positive[:, np.newaxis]]).astype(np.float64)
        self._square = np.square(stated - positive)
        bins = calibration_bins(stated)
        self._gaps = np.zeros((len(stated), bins.max() + 1))
        self._gaps[np.arange(len(stated)), bins] = stated - positive
        low, high = band or (0.0, 0.0)
        surely = (probabilities < low) | (probabilities >= high)
        self._sure = np.column_stack([surely, surely & ((probabilities >= high) == positive)]).astype(float)

    def of_round(self, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """All figures that are counts, float64 (rounds,) each."""
        images = weights.sum(axis=1)
        right, wrong = (weights @ self._right).T, (weights @ self._wrong).T
        figures = {
            "brier": weights @ self._square / images,
            "calibration_error": np.abs(weights @ self._gaps).sum(axis=1) / images,
        }
        for name, tp, fp in zip(self._thresholds, right[1:], wrong[1:], strict=True):
            tn = wrong[0] - fp
            figures |= {
                f"{name}/accuracy": (tp + tn) / images,
                f"{name}/precision": _ratio(tp, tp + fp),
                f"{name}/recall": _ratio(tp, right[0]),
                f"{name}/f1": _ratio(2 * tp, tp + fp + right[0]),
                f"{name}/specificity": _ratio(tn, wrong[0]),
            }
        return figures | self.of_band(weights)

    def of_band(self, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Share within the uncertain band, and accuracy outside of it."""
        if self._band is None:
            return {}
        sure, right = (weights @ self._sure).T
        return {
            "uncertain/share": 1 - sure / weights.sum(axis=1),
            "uncertain/accuracy_outside": np.divide(
                right, sure, out=np.full_like(sure, math.nan), where=sure > 0
            ),
        }


def _curve_figures(
    curves: WeightedCurves | None, weights: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    if curves is None:
        return {}
    area, average_precision, specificities = curves.figures(
        weights, sensitivities=tuple(REFERENCE_SENSITIVITIES.values())
    )
    return {"auc": area, "average_precision": average_precision} | dict(
        zip(REFERENCE_SENSITIVITIES, specificities, strict=True)
    )


def _collect(chunks: Any) -> dict[str, NDArray[np.float64]]:
    found = list(chunks)
    return {name: np.concatenate([chunk[name] for chunk in found]) for name in found[0]}


def _is_known(figure: str, malignant: int, benign: int) -> bool:
    if figure in _NEEDS_BOTH:
        return enough(malignant) and enough(benign)
    return enough({"recall": malignant, "specificity": benign}.get(figure, malignant + benign))


def _entry(figure: str, value: float, rounds: NDArray[np.float64]) -> dict[str, float]:
    rounds = rounds[np.isfinite(rounds)]
    if figure == "calibration_error":
        # Drawing again adds its own scatter to an error that is never negative: that shift is no uncertainty.
        rounds = np.maximum(0.0, rounds - (rounds.mean() - value))
    return entry(value, rounds)


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Part of the whole, 0 where there is none, as scikit-learn's zero_division=0."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
