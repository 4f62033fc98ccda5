"""What the statistics' units, properties, groups and filters are called on a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from melanoma_app.models.vocabulary import Dimension, Period, StatisticsUnit
from melanoma_app.services.small_numbers import Count
from melanoma_app.services.statistics_filter import StatisticsFilter
from melanoma_app.templating import format_day

UNKNOWN: Final = "unknown"
TOO_SMALL: Final = "too few to show"
"""What stands for a count that is not shown."""


@dataclass(frozen=True, kw_only=True)
class UnitWords:
    """A unit, and which of its examinations stands for it."""

    one: str
    many: str
    rule: str

    def of(self, count: Count) -> str:
        """The unit after a number."""
        return self.one if count == 1 else self.many


UNIT_WORDS: Final[Mapping[StatisticsUnit, UnitWords]] = {
    StatisticsUnit.TEST: UnitWords(
        one="examination", many="examinations", rule="each with the newest answer of a model"
    ),
    StatisticsUnit.LESION: UnitWords(
        one="lesion", many="lesions", rule="each counted once, as its latest examination"
    ),
    StatisticsUnit.PATIENT: UnitWords(
        one="patient",
        many="patients",
        rule="each counted once, at the first malignant examination, or at the latest if none is",
    ),
}
DIMENSION_WORDS: Final[Mapping[Dimension, str]] = {
    Dimension.OUTCOME: "Result",
    Dimension.GENDER: "Gender",
    Dimension.AGE: "Age in years",
    Dimension.SITE: "Body site",
    Dimension.SKIN_TYPE: "Skin type",
    Dimension.MODEL: "Model",
    Dimension.PERIOD: "Period",
}


def name_group(dimension: Dimension, key: str, period: Period = Period.MONTH) -> str:
    """A group as a page calls it: `Female`, `30–39`, `Mar 2026`."""
    match dimension:
        case Dimension.AGE:
            return key.replace("-", "–")
        case Dimension.MODEL:
            return key
        case Dimension.SKIN_TYPE:
            return "Unknown" if key == UNKNOWN else key
        case Dimension.PERIOD:
            return _name_period(period, key)
        case _:
            return key.capitalize()


def _name_period(period: Period, key: str) -> str:
    match period:
        case Period.DAY:
            return format_day(date.fromisoformat(key))
        case Period.WEEK:
            return key.replace("-W", ", week ")
        case Period.MONTH:
            return f"{date.fromisoformat(f'{key}-01'):%b %Y}"
        case Period.YEAR:
            return key


def show_count(count: Count) -> str:
    """A count as a page shows it: `1,234`, `too few to show`."""
    return TOO_SMALL if count is None else f"{count:,}"


def describe_filters(chosen: StatisticsFilter) -> str:
    """The filters in force, for a chart that is looked at without its page."""
    said = [
        _range("photographed", *(day and format_day(day) for day in (chosen.date_from, chosen.date_to))),
        _range("age", chosen.age_min, chosen.age_max),
        chosen.gender and f"gender {chosen.gender}",
        chosen.site and f"body site {chosen.site}",
        chosen.skin_type and f"skin type {chosen.skin_type}",
        chosen.outcome and f"result {chosen.outcome}",
        chosen.model and f"model {chosen.model}",
        chosen.review and f"signed review {chosen.review}",
        chosen.histology and f"histology {chosen.histology}",
    ]
    return "; ".join(one for one in said if one) or "none"


def _range(name: str, first: object, last: object) -> str:
    if first is None and last is None:
        return ""
    if last is None:
        return f"{name} from {first} on"
    return f"{name} up to {last}" if first is None else f"{name} {first} to {last}"
