"""Somebody who may see protected counts alone, asks for all there is, and works out what was kept back.

A clinic is a cube of counts: gender × band of ages × calendar year × outcome. Whatever may be asked for is one box of
it: for each property one group, all of them, or a range. Boxes that are cut into others give the equations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from melanoma_app.services.small_numbers import LARGEST_STEP, ROUNDED_TO, SMALLEST_SHOWN, protect_count

Numbers = npt.NDArray[np.int64]
Range = tuple[int, int]
"""The first and the last group of it."""
FARTHEST_OFF = LARGEST_STEP + ROUNDED_TO // 2
LARGEST_HIDDEN = max(
    count
    for count in range(SMALLEST_SHOWN + 2 * FARTHEST_OFF)
    if count < SMALLEST_SHOWN
    or ROUNDED_TO * ((count - LARGEST_STEP + ROUNDED_TO // 2) // ROUNDED_TO) < SMALLEST_SHOWN
)
HIDDEN = -1


@dataclass(frozen=True)
class Axis:
    """A property of the cube, and the ranges of its groups that may be asked for."""

    groups: int
    ranges: Sequence[Range]

    def cuts(self) -> Iterator[tuple[int, list[int]]]:
        """Each way to cut a range into two others, or into its groups: the places of the whole and of the parts."""
        places = {one: place for place, one in enumerate(self.ranges)}
        for (first, last), whole in places.items():
            ways = [[(first, cut), (cut + 1, last)] for cut in range(first, last)]
            ways.append([(group, group) for group in range(first, last + 1)])
            for parts in ways:
                if len(parts) > 1 and all(part in places for part in parts):
                    yield whole, [places[part] for part in parts]


def add_up(cube: Numbers, axes: Sequence[Axis]) -> Numbers:
    """The true count of every box that may be asked for."""
    for number, axis in enumerate(axes):
        rows = np.moveaxis(cube, number, 0)
        sums = np.stack([rows[first : last + 1].sum(0) for first, last in axis.ranges])
        cube = np.moveaxis(sums, 0, number)
    return cube


def show(counts: Numbers, secret: str) -> Numbers:
    """What is shown for them; HIDDEN for what is not."""
    values, places = np.unique(counts, return_inverse=True)
    shown = [protect_count(int(value), secret=secret) for value in values]
    numbers: Numbers = np.array([HIDDEN if one is None else one for one in shown])[places]
    return numbers.reshape(counts.shape)


def narrow(shown: Numbers, axes: Sequence[Axis]) -> tuple[Numbers, Numbers]:
    """The smallest and the largest that each count can be, by interval arithmetic until nothing changes."""
    low = np.where(shown == HIDDEN, 0, np.maximum(shown - FARTHEST_OFF, SMALLEST_SHOWN))
    high = np.where(shown == HIDDEN, LARGEST_HIDDEN, shown + FARTHEST_OFF)
    cuts = [(number, *cut) for number, axis in enumerate(axes) for cut in axis.cuts()]
    before = None
    while before != (before := (int(low.sum()), int(high.sum()))):
        for number, whole, parts in cuts:
            lows, highs = np.moveaxis(low, number, 0), np.moveaxis(high, number, 0)
            least, most = lows[parts].sum(0), highs[parts].sum(0)
            np.maximum(lows[whole], least, out=lows[whole])
            np.minimum(highs[whole], most, out=highs[whole])
            lows[parts] = np.maximum(lows[parts], lows[whole] - (most - highs[parts]))
            highs[parts] = np.minimum(highs[parts], highs[whole] - (least - lows[parts]))
    return low, high


def subtract(shown: Numbers, axes: Sequence[Axis]) -> npt.NDArray[np.float64]:
    """The mean of all that "the whole less its other parts" says of each hidden count; NaN where nothing does."""
    sums, ways = np.zeros(shown.shape), np.zeros(shown.shape)
    for number, axis in enumerate(axes):
        rows, own_sums, own_ways = (np.moveaxis(one, number, 0) for one in (shown, sums, ways))
        for whole, parts in axis.cuts():
            for part in parts:
                others = [one for one in parts if one != part]
                is_told = (rows[[whole, *others]] != HIDDEN).all(0) & (rows[part] == HIDDEN)
                own_sums[part] += np.where(is_told, rows[whole] - rows[others].sum(0), 0)
                own_ways[part] += is_told
    return np.divide(sums, ways, out=np.full(shown.shape, np.nan), where=ways > 0)


def draw_clinic(rng: np.random.Generator, axes: Sequence[Axis], tests: int) -> Numbers:
    """A clinic with some groups that many belong to, and some that hardly anybody does."""
    cube: Any = np.zeros([axis.groups for axis in axes], dtype=np.int64)
    places = [rng.choice(axis.groups, tests, p=rng.dirichlet(np.full(axis.groups, 0.6))) for axis in axes]
    np.add.at(cube, tuple(places), 1)
    return cube
