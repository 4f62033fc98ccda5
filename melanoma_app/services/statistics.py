"""Statistics: counts of tests, lesions or patients by their properties. `docs/statistics.md` gives the definitions.

Those who may not see patients get protected numbers (`small_numbers.py`) from the same functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from flask import current_app
from sqlalchemy import select

from melanoma_app.errors import InvalidInputError
from melanoma_app.extensions import db
from melanoma_app.models import ModelVersion
from melanoma_app.models.vocabulary import Dimension, Period
from melanoma_app.security.permissions import Permission
from melanoma_app.services.actor import Actor
from melanoma_app.services.agreement import AGREEMENT_QUESTIONS, Agreement, compare_answers
from melanoma_app.services.count_groups import BAND_YEARS, Axis, Group, make_axis
from melanoma_app.services.count_queries import CountRow, Question, read_counts
from melanoma_app.services.small_numbers import Count, protect_count
from melanoma_app.services.statistics_filter import WHOLE_AGES_YEARS, StatisticsFilter

MOST_CELLS: Final = 50_000
"""A larger table is no reading matter, and is made in memory."""


@dataclass(frozen=True, kw_only=True)
class GroupCount:
    """How many of a group were positive and negative.

    Args:
        group: What the group is called in the API.
        positive: Those whose newest prediction says malignant.
        negative: Those whose newest prediction says benign.
        total: Both together.
        filters: What selects this group, in place of the filters of the same name that are in force.
    """

    group: str
    positive: Count
    negative: Count
    total: Count
    filters: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Crosstab:
    """Counts by two properties: `cells[row][column]`, with the totals of each row, each column and all."""

    rows: list[str]
    columns: list[str]
    cells: list[list[GroupCount]]
    row_totals: list[GroupCount]
    column_totals: list[GroupCount]
    total: GroupCount


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Every statistic of the dashboard.

    `known_models` are those that one may filter by; `model_ids` the rows of the one that the filter names, if any.
    """

    outcomes: GroupCount
    genders: list[GroupCount]
    ages: list[GroupCount]
    trend: list[GroupCount]
    sites: list[GroupCount]
    skin_types: list[GroupCount]
    models: list[GroupCount]
    agreements: list[Agreement]
    known_models: list[str]
    model_ids: list[int] | None


def count_outcomes(*, chosen: StatisticsFilter, actor: Actor) -> GroupCount:
    """All that the filters let through, as one group."""
    counter = _Counter.prepare(chosen, actor)
    return counter.sum_up(counter.ask([Question()])[0])


def count_by_gender(*, chosen: StatisticsFilter, actor: Actor) -> list[GroupCount]:
    """One group for each gender, empty ones included."""
    return _count_by(Dimension.GENDER, chosen, actor)


def count_by_site(*, chosen: StatisticsFilter, actor: Actor) -> list[GroupCount]:
    """One group for each general anatomical site, empty ones included."""
    return _count_by(Dimension.SITE, chosen, actor)


def count_by_skin_type(*, chosen: StatisticsFilter, actor: Actor) -> list[GroupCount]:
    """One group for each Fitzpatrick skin type and one for unknown, empty ones included."""
    return _count_by(Dimension.SKIN_TYPE, chosen, actor)


def count_by_model(*, chosen: StatisticsFilter, actor: Actor) -> list[GroupCount]:
    """One group for each model version whose answers count."""
    return _count_by(Dimension.MODEL, chosen, actor)


def count_by_age(*, chosen: StatisticsFilter, actor: Actor, band_years: int = BAND_YEARS) -> list[GroupCount]:
    """One group for each band of ages, empty ones included; ages from 90 on share the last band at least.

    Args:
        chosen: What counts.
        actor: Who asks.
        band_years: Completed years a band, 1 to 130.

    Raises:
        InvalidInputError: The width is none, or too fine for the actor.
    """
    return _count_by(Dimension.AGE, chosen, actor, band_years=band_years)


def count_trend(*, chosen: StatisticsFilter, actor: Actor, period: Period = Period.MONTH) -> list[GroupCount]:
    """One group for each period from the first that counts anything to the last, empty ones between them included."""
    return _count_by(Dimension.PERIOD, chosen, actor, period=period)


def crosstab(
    *,
    chosen: StatisticsFilter,
    actor: Actor,
    rows: Dimension,
    columns: Dimension,
    band_years: int = BAND_YEARS,
    period: Period = Period.YEAR,
) -> Crosstab:
    """Counts by any two properties.

    Raises:
        InvalidInputError: Both are the same, or a width or filter is refused.
    """
    if rows is columns:
        message = "Rows and columns are the same. Choose two different ones."
        raise InvalidInputError(message, fields={"columns": [message]})
    counter = _Counter.prepare(chosen, actor, band_years, period)
    axes = [make_axis(one, chosen, counter.models, band_years, period) for one in (rows, columns)]
    question = Question(
        properties=axes[0].properties | axes[1].properties,
        period=period if Dimension.PERIOD in (rows, columns) else None,
        band_years=band_years,
    )
    counted = counter.ask([question])[0]
    lines, stacks = axes[0].divide(counted), axes[1].divide(counted)
    row_groups, column_groups = (counter.groups_of(axis, counted) for axis in axes)
    if len(row_groups) * len(column_groups) > MOST_CELLS:
        message = f"That is a table of more than {MOST_CELLS} cells. Choose longer periods, wider bands or fewer days."
        raise InvalidInputError(message, fields={"columns": [message]})
    cells = []
    for row in row_groups:
        line = axes[1].divide(lines.get(row.key, []))
        cells.append(
            [
                counter.sum_up(
                    line.get(column.key, []), Group(key=column.key, filters=row.filters | column.filters)
                )
                for column in column_groups
            ]
        )
    return Crosstab(
        rows=[one.key for one in row_groups],
        columns=[one.key for one in column_groups],
        cells=cells,
        row_totals=[counter.sum_up(lines.get(one.key, []), one) for one in row_groups],
        column_totals=[counter.sum_up(stacks.get(one.key, []), one) for one in column_groups],
        total=counter.sum_up(counted),
    )


def measure_agreement(*, chosen: StatisticsFilter, actor: Actor) -> list[Agreement]:
    """The model against signed reviews, and against laboratory reports."""
    counter = _Counter.prepare(chosen, actor)
    return compare_answers(counter.ask(AGREEMENT_QUESTIONS), protect=counter.protect, outcome=chosen.outcome)


def count_everything(
    *, chosen: StatisticsFilter, actor: Actor, period: Period = Period.MONTH, band_years: int = BAND_YEARS
) -> Overview:
    """Every statistic at once, in one statement beside the list of the models.

    Raises:
        InvalidInputError: A width or filter is refused.
    """
    counter = _Counter.prepare(chosen, actor, band_years, period)
    dimensions = [one for one in Dimension if one is not Dimension.OUTCOME]
    axes = {one: make_axis(one, chosen, counter.models, band_years, period) for one in dimensions}
    questions = [
        Question(
            properties=axes[one].properties,
            period=period if one is Dimension.PERIOD else None,
            band_years=band_years,
        )
        for one in dimensions
    ]
    all_tests, *answers = counter.ask([Question(), *questions, *AGREEMENT_QUESTIONS])
    groups = {
        one: counter.count_groups(axes[one], rows) for one, rows in zip(dimensions, answers, strict=False)
    }
    return Overview(
        outcomes=counter.sum_up(all_tests),
        genders=groups[Dimension.GENDER],
        ages=groups[Dimension.AGE],
        trend=groups[Dimension.PERIOD],
        sites=groups[Dimension.SITE],
        skin_types=groups[Dimension.SKIN_TYPE],
        models=groups[Dimension.MODEL],
        agreements=compare_answers(
            answers[len(dimensions) :], protect=counter.protect, outcome=chosen.outcome
        ),
        known_models=sorted(set(counter.models.values())),
        model_ids=_ids_of(chosen.model, counter.models),
    )


def protect_for(actor: Actor, count: int) -> Count:
    """A count as the actor may see it."""
    if not is_protected_for(actor):
        return count
    return protect_count(count, secret=current_app.config["SECRET_KEY"])


def is_protected_for(actor: Actor) -> bool:
    """Whether the actor sees protected counts instead of exact ones."""
    return Permission.READ_PATIENTS not in actor.permissions


def list_model_names() -> list[str]:
    """The models that one may filter by: name and version."""
    return sorted(set(_list_models().values()))


def find_model_ids(*, chosen: StatisticsFilter) -> list[int] | None:
    """The rows of the model that a filter names; None when it names none.

    Raises:
        InvalidInputError: No such model has answered here.
    """
    return None if chosen.model is None else _ids_of(chosen.model, _list_models())


def _list_models() -> dict[int, str]:
    rows = db.session.execute(select(ModelVersion.id, ModelVersion.name, ModelVersion.version))
    return {key: f"{name}-{version}" for key, name, version in rows}


def _ids_of(identifier: str | None, models: dict[int, str]) -> list[int] | None:
    if identifier is None:
        return None
    found = [key for key, name in models.items() if name == identifier]
    if not found:
        message = f"No model {identifier!r} has answered here. Choose one of the models page."
        raise InvalidInputError(message, fields={"model": [message]})
    return found


def _count_by(
    dimension: Dimension,
    chosen: StatisticsFilter,
    actor: Actor,
    *,
    band_years: int = BAND_YEARS,
    period: Period = Period.MONTH,
) -> list[GroupCount]:
    counter = _Counter.prepare(chosen, actor, band_years, period)
    axis = make_axis(dimension, chosen, counter.models, band_years, period)
    question = Question(
        properties=axis.properties,
        period=period if dimension is Dimension.PERIOD else None,
        band_years=band_years,
    )
    return counter.count_groups(axis, counter.ask([question])[0])


@dataclass(frozen=True, kw_only=True)
class _Counter:
    """Asks for one actor, and shows what that actor may see."""

    chosen: StatisticsFilter
    actor: Actor
    models: dict[int, str]

    @classmethod
    def prepare(
        cls,
        chosen: StatisticsFilter,
        actor: Actor,
        band_years: int = BAND_YEARS,
        period: Period = Period.MONTH,
    ) -> _Counter:
        if is_protected_for(actor):
            chosen.check_whole()
            if band_years != WHOLE_AGES_YEARS:
                message = "Your account sees bands of ten years: choose a width of 10."
                raise InvalidInputError(message, fields={"band_years": [message]})
            if period not in (Period.MONTH, Period.YEAR):
                message = "Your account sees months and years: choose one of them."
                raise InvalidInputError(message, fields={"period": [message]})
        return cls(chosen=chosen, actor=actor, models=_list_models())

    def ask(self, questions: Sequence[Question]) -> list[list[CountRow]]:
        return read_counts(
            questions=questions,
            chosen=self.chosen,
            model_ids=_ids_of(self.chosen.model, self.models),
            clinic_id=self.actor.clinic_id,
        )

    def protect(self, count: int) -> Count:
        return protect_for(self.actor, count)

    def count_groups(self, axis: Axis, rows: Sequence[CountRow]) -> list[GroupCount]:
        divided = axis.divide(rows)
        return [self.sum_up(divided.get(group.key, []), group) for group in self.groups_of(axis, rows)]

    def groups_of(self, axis: Axis, rows: Sequence[CountRow]) -> list[Group]:
        """The groups to show; how far they reach must not tell where a count is that is not shown."""
        if is_protected_for(self.actor):
            own_rows = axis.divide(rows).values()
            rows = [row for own in own_rows if self.sum_up(own).total is not None for row in own]
        return axis.groups_of(rows)

    def sum_up(self, rows: Sequence[CountRow], group: Group | None = None) -> GroupCount:
        group = group or Group(key="all", filters={})
        positive, negative = sum(row.positive for row in rows), sum(row.negative for row in rows)
        return GroupCount(
            group=group.key,
            positive=self.protect(positive),
            negative=self.protect(negative),
            total=self.protect(positive + negative),
            filters=group.filters,
        )
