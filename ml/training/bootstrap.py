"""How far figures would move with other images of the same kind: whole groups drawn again, many rounds at once."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_NUMBERS_AT_ONCE: Final = 4_000_000  # 32 MB of weights
_CORNERS_OF_95_PERCENT: Final = (2.5, 97.5)


def draw_weights(
    strata: NDArray[Any], groups: Sequence[str], *, rounds: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """How often each image is drawn, a round; every stratum keeps its number of groups.

    Whole groups are drawn with replacement within each stratum (Efron & Tibshirani 1993, ch. 13; by group, for
    pictures of one lesion are not independent).

    Args:
        strata: (images,), such as the class of each.
        groups: one an image.
        rounds: of the bootstrap.
        seed: of the draws.

    Yields:
        float64 (some rounds, images), whole numbers; all rounds in the end.
    """
    generator = np.random.default_rng(seed)
    named = np.asarray(groups)
    parts = []
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        names, index = np.unique(named[members], return_inverse=True)
        parts.append((members, len(names), index))
    at_once = max(1, _NUMBERS_AT_ONCE // max(1, len(named)))
    for start in range(0, rounds, at_once):
        count = min(at_once, rounds - start)
        weights = np.zeros((count, len(named)))
        for members, size, index in parts:
            drawn = generator.integers(size, size=(count, size)) + size * np.arange(count)[:, np.newaxis]
            times = np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size)
            weights[:, members] = times[:, index]
        yield weights


def interval_of(rounds: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95% of what the rounds gave."""
    low, high = np.percentile(rounds, _CORNERS_OF_95_PERCENT)
    return float(low), float(high)


def entry(value: float, rounds: NDArray[np.float64]) -> dict[str, float]:
    """A figure with its 95% interval, to four digits."""
    low, high = interval_of(rounds)
    return {"value": round(float(value), 4), "low": round(low, 4), "high": round(high, 4)}
