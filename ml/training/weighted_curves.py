"""ROC and precision-recall figures of many weightings of the same images at once, from one sorting."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-9  # of counts that are summed as floats


class WeightedCurves:
    """Images in order of probability; a test holds it to what scikit-learn gives a weighting at a time."""

    def __init__(self, positive: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> None:
        """Sort once.

        Args:
            positive: bool (images,), of both classes.
            probabilities: float64 (images,).
        """
        self._order = np.argsort(-probabilities, kind="stable")
        self._positive = positive[self._order]
        ranked = probabilities[self._order]
        self._last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of equal probabilities

    def figures(
        self, weights: NDArray[np.float64], *, sensitivities: Sequence[float]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], list[NDArray[np.float64]]]:
        """Areas and specificities.

        Args:
            weights: float64 (rounds, images), how often each image counts; each class more than not at all.
            sensitivities: above 0 and up to 1.

        Returns:
            Area under the ROC curve, average precision, and the best specificity at each of the sensitivities;
            float64 (rounds,) each.
        """
        ranked = weights[:, self._order]
        true_positives = np.cumsum(ranked * self._positive, axis=1)[:, self._last]
        false_positives = np.cumsum(ranked * ~self._positive, axis=1)[:, self._last]
        positives, negatives = true_positives[:, -1:], false_positives[:, -1:]
        called = true_positives + false_positives
        precision = np.divide(true_positives, called, out=np.zeros_like(called), where=called > 0)
        steps = np.diff(true_positives, axis=1, prepend=0.0)
        runs = np.diff(false_positives, axis=1, prepend=0.0)
        area = (runs * (true_positives - steps / 2)).sum(axis=1) / (positives * negatives)[:, 0]
        average_precision = (steps * precision).sum(axis=1) / positives[:, 0]
        rows = np.arange(len(weights))
        specificities = []
        for sensitivity in sensitivities:
            reached = np.argmax(true_positives >= sensitivity * positives - _ROUNDING, axis=1)
            specificities.append(1 - false_positives[rows, reached] / negatives[:, 0])
        return area, average_precision, specificities
