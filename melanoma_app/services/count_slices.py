"""The slices of the counters: which properties their cells tell apart, and how many cells a test is counted in.

The cells of a slice are bounded by the values of its properties and its periods, not by the number of tests. What no
slice tells apart is counted from the tests themselves (`count_queries.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from itertools import combinations
from typing import Any, Final

from melanoma_app.models.outcome_count import EVER, NO_NUMBER, UNDIVIDED, UNKNOWN
from melanoma_app.models.vocabulary import ComparedWith

TEN_YEARS: Final = 10
"""The age bands of those slices that do not tell single years apart."""


class Property(StrEnum):
    """What a cell can tell apart, by the name of its column."""

    GENDER = "gender"
    AGE = "age_years"
    SITE = "anatom_site_general"
    SKIN_TYPE = "fitzpatrick_skin_type"
    MODEL = "model_version_id"


class Grain(StrEnum):
    """How long the period of a cell is."""

    EVER = "ever"
    MONTH = "month"
    DAY = "day"


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Properties that are counted apart, in periods of one length; `in_tens`: ages in bands of ten years."""

    grain: Grain
    properties: frozenset[Property]
    in_tens: bool = False

    @cached_property
    def name(self) -> str:
        """As the table stores it: `month:gender+age`."""
        words = _SHORT | ({Property.AGE: "tens"} if self.in_tens else {})
        letters = "+".join(words[one] for one in Property if one in self.properties)
        return f"{self.grain}:{letters}" if letters else self.grain.value

    def period_start(self, day: date) -> date:
        """Where the period of a day begins."""
        if self.grain is Grain.EVER:
            return EVER
        return day.replace(day=1) if self.grain is Grain.MONTH else day

    def value(self, one: Property, value: Any) -> Any:
        """What stands in a cell's column for a test's value: of a band of ages its first."""
        if one not in self.properties:
            return UNDIVIDED_VALUES[one]
        if value is None:
            return UNKNOWN
        return value // TEN_YEARS * TEN_YEARS if one is Property.AGE and self.in_tens else value


_SHORT: Final = {
    Property.GENDER: "gender",
    Property.AGE: "age",
    Property.SITE: "site",
    Property.SKIN_TYPE: "skin",
    Property.MODEL: "model",
}
UNDIVIDED_VALUES: Final[dict[Property, str | int]] = {
    Property.GENDER: UNDIVIDED,
    Property.AGE: NO_NUMBER,
    Property.SITE: UNDIVIDED,
    Property.SKIN_TYPE: UNDIVIDED,
    Property.MODEL: NO_NUMBER,
}
"""What stands in the column of a property that a slice does not tell apart."""
_NOT_AGE: Final = frozenset(Property) - {Property.AGE}


def _slices(grain: Grain, sets: Iterable[Iterable[Property]], *, in_tens: bool = False) -> list[Slice]:
    properties = [frozenset(one) for one in sets]
    return [Slice(grain=grain, properties=one, in_tens=in_tens and Property.AGE in one) for one in properties]


_SINGLES: Final = [(one,) for one in Property]
_PAIRS: Final = list(combinations(Property, 2))
# Ages have a hundred values, so they meet one other property only; in bands of ten years they meet all others.
_FOR_EVER: Final = [
    *_slices(
        Grain.EVER, [_NOT_AGE, *((Property.AGE, other) for other in Property if other is not Property.AGE)]
    ),
    *_slices(Grain.EVER, [Property], in_tens=True),
]
_BY_MONTH: Final = _slices(Grain.MONTH, [(), *_SINGLES])
_ALL_BY_MONTH: Final = _slices(Grain.MONTH, [Property], in_tens=True)
_MORE_BY_MONTH: Final = [
    *_slices(Grain.MONTH, _PAIRS),
    *_slices(Grain.MONTH, [one for one in _PAIRS if Property.AGE in one], in_tens=True),
    *_slices(Grain.MONTH, [_NOT_AGE]),
    *_ALL_BY_MONTH,
]
# Two of a day's properties are counted apart only with ages in bands: single ages would be as many cells as tests.
_BY_DAY: Final = _slices(Grain.DAY, [(), *_SINGLES])
_PAIRS_BY_DAY: Final = _slices(Grain.DAY, _PAIRS, in_tens=True)
_TENS_BY_DAY: Final = _slices(Grain.DAY, [(), *_SINGLES], in_tens=True)

SLICES: Final = (*_FOR_EVER, *_BY_MONTH, *_MORE_BY_MONTH, *_BY_DAY, *_PAIRS_BY_DAY)
COMPARED_SLICES: Final = (*_FOR_EVER, *_BY_MONTH, *_ALL_BY_MONTH, *_TENS_BY_DAY)
"""Where tests are counted that a review or a laboratory report is set against."""


def slices_of(compared_with: ComparedWith) -> tuple[Slice, ...]:
    """The slices that keep count of this comparison, those with the fewest cells first."""
    return SLICES if compared_with is ComparedWith.NOTHING else COMPARED_SLICES


def find_slice(
    *, grain: Grain, needed: frozenset[Property], compared_with: ComparedWith, in_tens: bool = False
) -> Slice | None:
    """The smallest slice of a grain that tells the needed properties apart; None if there is none.

    Args:
        grain: The length of the periods.
        needed: The properties.
        compared_with: The comparison that is counted.
        in_tens: Whether bands of ten years will do for ages.
    """
    fitting = [
        one
        for one in slices_of(compared_with)
        if one.grain is grain
        and needed <= one.properties
        and (in_tens or Property.AGE not in needed or not one.in_tens)
    ]
    return min(fitting, key=_size, default=None)


def _size(one: Slice) -> int:
    """Roughly how many cells a period has."""
    values = {
        Property.GENDER: 4,
        Property.AGE: 10 if one.in_tens else 100,
        Property.SITE: 8,
        Property.SKIN_TYPE: 7,
        Property.MODEL: 3,
    }
    size = 1
    for each in one.properties:
        size *= values[each]
    return size
