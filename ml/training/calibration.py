"""Fit a calibration on validation images, and choose between the methods by how they do on images they did not see."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold

from ml.inference.calibration import CERTAINTY_LIMITS, Calibration, CalibrationMethod, logits_of
from ml.training.errors import BenchError
from ml.training.measures import calibration_error

AUTOMATIC: Final = "auto"
CALIBRATION_CHOICES: Final = (AUTOMATIC, *get_args(CalibrationMethod))
FOLDS: Final = 5
_CANDIDATES: Final[tuple[CalibrationMethod, ...]] = ("temperature", "platt", "isotonic")  # simplest first
_FLATTEST_SLOPE: Final = 0.01  # a network whose answers run the wrong way round is flattened, not turned
_TOLERANCE: Final = 1e-10
_MAX_STEPS: Final = 1000


@dataclass(frozen=True)
class ChosenCalibration:
    """A calibration with what speaks for it.

    Attributes:
        calibration: fitted on all validation images.
        chosen_by: a sentence.
        cross_validated: float64 (images,): each validation image calibrated by a fit without its fold.
        scores: method to its cross-validated figures, `none` among them; empty where there are too few groups.
        folds: of the cross-validation.
    """

    calibration: Calibration
    chosen_by: str
    cross_validated: NDArray[np.float64]
    scores: dict[str, dict[str, float]]
    folds: int

    def to_json(self) -> dict[str, Any]:
        """For metrics.json."""
        return self.calibration.to_json() | {
            "chosen_by": self.chosen_by,
            "folds": self.folds,
            "cross_validated": self.scores,
        }


def choose_calibration(
    positive: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    groups: Sequence[str],
    *,
    method: str = AUTOMATIC,
    seed: int,
) -> ChosenCalibration:
    """Fit a calibration, of a given method or of the one with the lowest cross-validated log loss.

    Cross-validated within the validation images in five folds by group, so that a method that follows chance
    gives itself away. Where a class has fewer than two groups nothing can be fitted and judged apart, and the
    probabilities stay as they are.

    Args:
        positive: bool (images,), of validation images only.
        probabilities: float64 (images,), 0 to 1, of the network.
        groups: one an image.
        method: one of `CALIBRATION_CHOICES`.
        seed: of the folds.

    Raises:
        BenchError: the method is unknown, or there are too few images for the one that was asked for.
    """
    if method not in CALIBRATION_CHOICES:
        raise BenchError(
            f"no calibration {method!r}: choose one of {', '.join(CALIBRATION_CHOICES)} for --calibration"
        )
    named = np.asarray(groups)
    folds = min(FOLDS, *(len(np.unique(named[chosen])) for chosen in (positive, ~positive)))
    if folds < 2:
        if method not in (AUTOMATIC, "none"):
            raise BenchError(
                f"--calibration {method} needs two groups of benign and two of malignant validation images"
            )
        reason = "not calibrated: a class has fewer than two groups of validation images"
        return ChosenCalibration(Calibration(), reason, probabilities.copy(), {}, 0)
    held_out = _cross_validate(positive, probabilities, named, folds=folds, seed=seed)
    scores = {
        name: {
            "log_loss": round(float(log_loss(positive, calibrated)), 4),
            "calibration_error": round(calibration_error(positive, calibrated), 4),
        }
        for name, calibrated in held_out.items()
    }
    chosen: CalibrationMethod = (
        min(_CANDIDATES, key=lambda name: log_loss(positive, held_out[name]))
        if method == AUTOMATIC
        else cast(CalibrationMethod, method)
    )
    reason = (
        f"lowest log loss of {', '.join(_CANDIDATES)} in {folds}-fold cross-validation by group on validation"
        if method == AUTOMATIC
        else "asked for"
    )
    fitted = fit_calibration(chosen, positive, probabilities)
    return ChosenCalibration(fitted, reason, held_out[chosen], scores, folds)


def fit_calibration(
    method: CalibrationMethod, positive: NDArray[np.bool_], probabilities: NDArray[np.float64]
) -> Calibration:
    """Fit one method by maximum likelihood.

    Args:
        method: which.
        positive: bool (images,), of validation images only.
        probabilities: float64 (images,), 0 to 1, of the network.
    """
    return _FITTERS[method](positive, probabilities)


def _fit_temperature(positive: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> Calibration:
    slope, _ = _fit_logistic(positive, probabilities, with_offset=False)
    return Calibration(method="temperature", temperature=1 / max(slope, _FLATTEST_SLOPE))


def _fit_platt(positive: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> Calibration:
    slope, offset = _fit_logistic(positive, probabilities, with_offset=True)
    if slope < _FLATTEST_SLOPE:
        share = (np.sum(positive) + 1) / (len(positive) + 2)
        return Calibration(
            method="platt", slope=_FLATTEST_SLOPE, offset=float(np.log(share) - np.log1p(-share))
        )
    return Calibration(method="platt", slope=slope, offset=offset)


def _fit_logistic(
    positive: NDArray[np.bool_], probabilities: NDArray[np.float64], *, with_offset: bool
) -> tuple[float, float]:
    """Slope and offset on the logit scale, towards Platt's targets.

    Platt 1999 (section 2.2) aims at (n + 1) / (n + 2) and 1 / (n + 2) instead of 1 and 0, n being the images of
    the class: so the slope stays finite where a threshold parts the classes without a mistake. Each image
    stands twice, as malignant and as benign, weighted by its target.
    """
    malignant, benign = np.sum(positive), np.sum(~positive)
    target = np.where(positive, (malignant + 1) / (malignant + 2), 1 / (benign + 2))
    logits = np.tile(logits_of(probabilities), 2)[:, np.newaxis]
    labels = np.repeat([True, False], len(positive))
    model = LogisticRegression(C=np.inf, fit_intercept=with_offset, tol=_TOLERANCE, max_iter=_MAX_STEPS)
    model.fit(logits, labels, sample_weight=np.concatenate([target, 1 - target]))
    return float(model.coef_[0, 0]), float(model.intercept_[0]) if with_offset else 0.0


def _fit_isotonic(positive: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> Calibration:
    low, high = CERTAINTY_LIMITS
    model = IsotonicRegression(y_min=low, y_max=high, out_of_bounds="clip").fit(probabilities, positive)
    before, after = model.X_thresholds_.tolist(), model.y_thresholds_.tolist()
    if len(before) == 1:  # one probability for all images
        return Calibration(method="isotonic", knots=((0.0, after[0]), (1.0, after[0])))
    return Calibration(method="isotonic", knots=tuple(zip(before, after, strict=True)))


_FITTERS: Final[dict[CalibrationMethod, Callable[[NDArray[np.bool_], NDArray[np.float64]], Calibration]]] = {
    "none": lambda _positive, _probabilities: Calibration(),
    "temperature": _fit_temperature,
    "platt": _fit_platt,
    "isotonic": _fit_isotonic,
}


def _cross_validate(
    positive: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    groups: NDArray[np.str_],
    *,
    folds: int,
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """Each image calibrated by a fit on the other folds, a method."""
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    methods: tuple[CalibrationMethod, ...] = ("none", *_CANDIDATES)
    held_out: dict[str, NDArray[np.float64]] = {method: np.empty(len(positive)) for method in methods}
    for fit, judge in splitter.split(probabilities, positive, groups):
        for method in methods:
            fitted = fit_calibration(method, positive[fit], probabilities[fit])
            held_out[method][judge] = fitted.apply(probabilities[judge])
    return held_out
