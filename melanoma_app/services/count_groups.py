"""The groups of a statistic: their names in the API, the filters that select them, and which counts are theirs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from melanoma_app.errors import InvalidInputError
from melanoma_app.models.outcome_count import UNKNOWN
from melanoma_app.models.vocabulary import (
    AnatomSiteGeneral,
    Dimension,
    FitzpatrickSkinType,
    Gender,
    OutcomeLabel,
    Period,
)
from melanoma_app.services.count_queries import CountRow
from melanoma_app.services.count_slices import Property
from melanoma_app.services.statistics_filter import OLDEST_BAND_FROM_YEARS, StatisticsFilter

BAND_YEARS: Final = 10
WIDEST_BAND_YEARS: Final = 130


@dataclass(frozen=True, kw_only=True)
class Group:
    """A bar of a chart.

    Args:
        key: Its name in the API.
        filters: What selects its tests, in place of the filters of the same name that are in force.
    """

    key: str
    filters: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """How counts are divided into groups.

    Args:
        properties: What the counts have to tell apart for it.
        groups_of: The groups, given the counts: only some axes need them to know how far they reach.
        key_of: The key of the group that counts belong to.
    """

    properties: frozenset[Property]
    groups_of: Callable[[Sequence[CountRow]], list[Group]]
    key_of: Callable[[CountRow], str]

    def divide(self, rows: Sequence[CountRow]) -> dict[str, list[CountRow]]:
        """The counts of each group that has any, by the group's key."""
        divided: defaultdict[str, list[CountRow]] = defaultdict(list)
        for row in rows:
            divided[self.key_of(row)].append(row)
        return divided


@dataclass(frozen=True, kw_only=True)
class OutcomeAxis(Axis):
    """Positive and negative as groups: every count belongs to both, each with its own half."""

    def divide(self, rows: Sequence[CountRow]) -> dict[str, list[CountRow]]:
        """The positive and the negative halves."""
        return {
            OutcomeLabel.MALIGNANT.value: [row._replace(negative=0) for row in rows],
            OutcomeLabel.BENIGN.value: [row._replace(positive=0) for row in rows],
        }


def make_axis(
    dimension: Dimension,
    chosen: StatisticsFilter,
    models: dict[int, str],
    band_years: int,
    period: Period,
) -> Axis:
    """The axis of a dimension.

    Args:
        dimension: What to count by.
        chosen: The filters in force.
        models: Names and versions by key.
        band_years: Completed years a band, for ages.
        period: The length of a step, for trends.

    Raises:
        InvalidInputError: Bands cannot be that wide.
    """
    match dimension:
        case Dimension.OUTCOME:
            groups = [Group(key=one.value, filters={"outcome": one}) for one in OutcomeLabel]
            return OutcomeAxis(properties=frozenset(), groups_of=lambda _: groups, key_of=lambda _: "")
        case Dimension.GENDER:
            return _named(Property.GENDER, "gender", [one.value for one in Gender])
        case Dimension.SITE:
            return _named(Property.SITE, "site", [one.value for one in AnatomSiteGeneral])
        case Dimension.SKIN_TYPE:
            return _named(
                Property.SKIN_TYPE, "skin_type", [*(one.value for one in FitzpatrickSkinType), UNKNOWN]
            )
        case Dimension.MODEL:
            return _by_model(models)
        case Dimension.AGE:
            return _by_age(band_years, chosen)
        case Dimension.PERIOD:
            return _by_period(period, chosen)


def _named(one: Property, name: str, values: Sequence[str]) -> Axis:
    groups = [Group(key=value, filters={name: value}) for value in values]
    return Axis(
        properties=frozenset({one}),
        groups_of=lambda _: groups,
        key_of=lambda row: getattr(row, one.value) or UNKNOWN,
    )


def _by_model(models: dict[int, str]) -> Axis:
    def name(row: CountRow) -> str:
        return models[row.model_version_id or 0]

    def groups(rows: Sequence[CountRow]) -> list[Group]:
        return [Group(key=one, filters={"model": one}) for one in sorted({name(row) for row in rows})]

    return Axis(properties=frozenset({Property.MODEL}), groups_of=groups, key_of=name)


def _by_age(band_years: int, chosen: StatisticsFilter) -> Axis:
    if not 1 <= band_years <= WIDEST_BAND_YEARS:
        message = f"A band is 1 to {WIDEST_BAND_YEARS} years wide."
        raise InvalidInputError(message, fields={"band_years": [message]})
    last = OLDEST_BAND_FROM_YEARS // band_years * band_years

    def key(row: CountRow) -> str:
        start = min((row.age_years or 0) // band_years * band_years, last)
        return _band(start, last, band_years)

    groups = [
        Group(key=_band(start, last, band_years), filters=_band_filters(start, last, band_years, chosen))
        for start in range(0, last + 1, band_years)
    ]
    return Axis(properties=frozenset({Property.AGE}), groups_of=lambda _: groups, key_of=key)


def _band(start: int, last: int, band_years: int) -> str:
    if start == last:
        return f"{start}+"
    return str(start) if band_years == 1 else f"{start}-{start + band_years - 1}"


def _band_filters(start: int, last: int, band_years: int, chosen: StatisticsFilter) -> dict[str, Any]:
    """The ages of a band, as far as the filters in force leave them; a band outside of them selects nothing more."""
    oldest = None if start == last else start + band_years - 1
    youngest = max(start, chosen.age_min or 0)
    if chosen.age_max is not None:
        oldest = chosen.age_max if oldest is None else min(oldest, chosen.age_max)
    if oldest is not None and youngest > oldest:
        youngest, oldest = start, None if start == last else start + band_years - 1
    return {"age_min": youngest} | ({} if oldest is None else {"age_max": oldest})


def _by_period(period: Period, chosen: StatisticsFilter) -> Axis:
    def start(day: date) -> date:
        match period:
            case Period.DAY:
                return day
            case Period.WEEK:
                return day - timedelta(days=day.weekday())
            case Period.MONTH:
                return day.replace(day=1)
            case Period.YEAR:
                return day.replace(month=1, day=1)

    def key(row: CountRow) -> str:
        return _period_key(period, start(_day(row)))

    def groups(rows: Sequence[CountRow]) -> list[Group]:
        if not rows:
            return []
        first, last = min(_day(row) for row in rows), max(_day(row) for row in rows)
        found, begins = [], start(first)
        while begins <= last:
            following = _next_start(period, begins)
            ends = following - timedelta(days=1)
            filters = {
                "date_from": max(begins, chosen.date_from or begins),
                "date_to": min(ends, chosen.date_to or ends),
            }
            found.append(Group(key=_period_key(period, begins), filters=filters))
            begins = following
        return found

    return Axis(properties=frozenset(), groups_of=groups, key_of=key)


def _day(row: CountRow) -> date:
    if row.day is None:
        raise ValueError("the question did not tell days apart")
    return row.day


def _next_start(period: Period, begins: date) -> date:
    match period:
        case Period.DAY:
            return begins + timedelta(days=1)
        case Period.WEEK:
            return begins + timedelta(days=7)
        case Period.MONTH:
            return (begins.replace(day=28) + timedelta(days=4)).replace(day=1)
        case Period.YEAR:
            return begins.replace(year=begins.year + 1)


def _period_key(period: Period, begins: date) -> str:
    match period:
        case Period.DAY:
            return begins.isoformat()
        case Period.WEEK:
            year, week, _ = begins.isocalendar()
            return f"{year}-W{week:02}"
        case Period.MONTH:
            return f"{begins:%Y-%m}"
        case Period.YEAR:
            return f"{begins:%Y}"
