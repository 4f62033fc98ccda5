"""Reading counts: from the counters where a slice tells apart what is asked, else from the counted tests.

Several questions are answered by one statement. A range of days is read month by month from the counters; only its
ragged ends are counted by day.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Date,
    Integer,
    Select,
    String,
    case,
    func,
    literal,
    null,
    or_,
    select,
    type_coerce,
    union_all,
)

from melanoma_app.extensions import db
from melanoma_app.models import CountedTest, OutcomeCount
from melanoma_app.models.outcome_count import UNKNOWN
from melanoma_app.models.vocabulary import ComparedWith, OutcomeLabel, Period, StatisticsUnit
from melanoma_app.services.count_slices import TEN_YEARS, Grain, Property, Slice, find_slice
from melanoma_app.services.statistics_filter import StatisticsFilter

_NO_LIMIT_YEARS: Final = 1000
_TYPES: Final[dict[Property, Any]] = {
    Property.GENDER: String(),
    Property.AGE: Integer(),
    Property.SITE: String(),
    Property.SKIN_TYPE: String(),
    Property.MODEL: Integer(),
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """What to count apart.

    Args:
        properties: The properties whose values are told apart.
        period: How far days are told apart; None for not at all.
        band_years: How wide the bands of ages are that are told apart.
        compared_with: Count only tests that this is set against.
    """

    properties: frozenset[Property] = field(default_factory=frozenset)
    period: Period | None = None
    band_years: int = 1
    compared_with: ComparedWith = ComparedWith.NOTHING


class CountRow(NamedTuple):
    """Counts of one group; None for what the question does not tell apart. `day` lies in the group's period."""

    day: date | None
    gender: str | None
    age_years: int | None
    anatom_site_general: str | None
    fitzpatrick_skin_type: str | None
    model_version_id: int | None
    positive: int
    negative: int


@dataclass(frozen=True, kw_only=True)
class _Days:
    """A range of days, both included; None is an open end."""

    first: date | None
    last: date | None

    def within(self, column: ColumnElement[date]) -> list[ColumnElement[bool]]:
        conditions = []
        if self.first:
            conditions.append(column >= self.first)
        if self.last:
            conditions.append(column <= self.last)
        return conditions


def read_counts(
    *,
    questions: Sequence[Question],
    chosen: StatisticsFilter,
    model_ids: Collection[int] | None,
    clinic_id: int,
) -> list[list[CountRow]]:
    """The answers to some questions, in their order, in one statement.

    Args:
        questions: What to count apart.
        chosen: What to count.
        model_ids: The rows of the model that `chosen` names; None when it names none.
        clinic_id: The clinic.
    """
    pieces = [
        piece.add_columns(literal(number).label("question"))
        for number, question in enumerate(questions)
        for piece in _pieces(question, chosen, model_ids, clinic_id)
    ]
    answers: list[list[CountRow]] = [[] for _ in questions]
    for *values, number in db.session.execute(union_all(*pieces)):
        row = CountRow._make(values)
        row = row._replace(
            positive=0 if chosen.outcome is OutcomeLabel.BENIGN else int(row.positive or 0),
            negative=0 if chosen.outcome is OutcomeLabel.MALIGNANT else int(row.negative or 0),
        )
        if row.positive or row.negative:
            answers[number].append(row)
    return answers


def _pieces(
    question: Question, chosen: StatisticsFilter, model_ids: Collection[int] | None, clinic_id: int
) -> list[Select[Any]]:
    """The queries whose rows together answer a question."""
    days = _Days(first=chosen.date_from, last=chosen.date_to)
    reader = _Reader(question=question, chosen=chosen, model_ids=model_ids, clinic_id=clinic_id)
    if question.period in (Period.DAY, Period.WEEK):
        return [reader.read(Grain.DAY, days)]
    if question.period is None and not (days.first or days.last):
        return [reader.read(Grain.EVER, days)]
    if reader.find(Grain.MONTH) is None:
        return [reader.read(Grain.MONTH, days)]
    months, ends = _split(days)
    pieces = [reader.read(Grain.MONTH, months)] if months else []
    return pieces + [reader.read(Grain.DAY, end) for end in ends]


def _split(days: _Days) -> tuple[_Days | None, list[_Days]]:
    """The whole months of a range, from the first day of the first to that of the last, and its ragged ends."""
    one_day = timedelta(days=1)
    first_month, last_month, ends = None, None, []
    if days.first:
        first_month = days.first if days.first.day == 1 else _next_month(days.first)
    if days.last:
        is_whole = days.last == date.max or (days.last + one_day).day == 1
        last_month = days.last.replace(day=1) if is_whole else _month_before(days.last)
    if first_month and last_month and first_month > last_month:
        return None, [days]
    if days.first and first_month and days.first < first_month:
        ends.append(_Days(first=days.first, last=first_month - one_day))
    if days.last and last_month and _next_month(last_month) <= days.last:
        ends.append(_Days(first=_next_month(last_month), last=days.last))
    return _Days(first=first_month, last=last_month), ends


def _next_month(day: date) -> date:
    if (day.year, day.month) == (date.max.year, 12):
        return date.max
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def _month_before(day: date) -> date:
    if (day.year, day.month) == (1, 1):
        return date.min
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Makes the queries of one question."""

    question: Question
    chosen: StatisticsFilter
    model_ids: Collection[int] | None
    clinic_id: int

    def find(self, grain: Grain) -> Slice | None:
        """The slice that answers the question; None where the tests themselves have to be counted."""
        if self.chosen.review or self.chosen.histology:
            return None
        return find_slice(
            grain=grain,
            needed=self.question.properties | {one for one, _ in self._wanted()},
            in_tens=self._are_tens_enough(),
            compared_with=self.question.compared_with,
        )

    def _are_tens_enough(self) -> bool:
        """Whether neither the question nor the filter cuts through a band of ten years."""
        edges = [self.chosen.age_min or 0, 0 if self.chosen.age_max is None else self.chosen.age_max + 1]
        if Property.AGE in self.question.properties:
            edges.append(self.question.band_years)
        return not any(edge % TEN_YEARS for edge in edges)

    def read(self, grain: Grain, days: _Days) -> Select[Any]:
        """The counts of a range of days."""
        found = self.find(grain)
        return self._from_cells(found, days) if found else self._from_tests(days)

    def _from_cells(self, found: Slice, days: _Days) -> Select[Any]:
        unit = f"{self.chosen.unit}s"
        columns = OutcomeCount.__table__.c
        group = self._group(columns, columns.period_start)
        return (
            self._select(
                columns,
                columns.period_start,
                func.sum(columns[f"positive_{unit}"]),
                func.sum(columns[f"negative_{unit}"]),
            )
            .where(
                columns.clinic_id == self.clinic_id,
                columns.slice == found.name,
                columns.compared_with == self.question.compared_with,
                *days.within(columns.period_start),
                *(_is_wanted(one, columns[one.value], value) for one, value in self._wanted()),
            )
            .group_by(*group)
        )

    def _from_tests(self, days: _Days) -> Select[Any]:
        columns = CountedTest.__table__.c
        group = self._group(columns, columns.captured_on)
        return (
            self._select(
                columns,
                columns.captured_on,
                func.sum(case((columns.outcome == OutcomeLabel.MALIGNANT, 1), else_=0)),
                func.sum(case((columns.outcome == OutcomeLabel.BENIGN, 1), else_=0)),
            )
            .where(*self.conditions(columns), *_taken_within(days, columns))
            .group_by(*group)
        )

    def conditions(self, columns: Any) -> list[ColumnElement[bool]]:
        """What the counted tests have to fulfil, whatever their day and outcome."""
        return [
            columns.clinic_id == self.clinic_id,
            *(_is_wanted(one, columns[one.value], value) for one, value in self._wanted()),
            *_compared_conditions(self.chosen, self.question.compared_with),
        ]

    def _select(self, columns: Any, day: ColumnElement[date], *counts: ColumnElement[Any]) -> Select[Any]:
        shown_day = day if self.question.period else null()
        values = [
            type_coerce(columns[one.value] if one in self.question.properties else null(), _TYPES[one]).label(
                one.value
            )
            for one in Property
        ]
        return select(type_coerce(shown_day, Date()).label("day"), *values, *counts)

    def _group(self, columns: Any, day: ColumnElement[date]) -> list[ColumnElement[Any]]:
        days = [day] if self.question.period else []
        return days + [columns[one.value] for one in Property if one in self.question.properties]

    def _wanted(self) -> list[tuple[Property, Any]]:
        """The properties that the filter narrows, with the values that it lets through."""
        chosen = self.chosen
        has_ages = chosen.age_min is not None or chosen.age_max is not None
        oldest = _NO_LIMIT_YEARS if chosen.age_max is None else chosen.age_max
        wanted = {
            Property.GENDER: chosen.gender,
            Property.AGE: (chosen.age_min or 0, oldest) if has_ages else None,
            Property.SITE: chosen.site,
            Property.SKIN_TYPE: chosen.skin_type,
            Property.MODEL: self.model_ids,
        }
        return [(one, value) for one, value in wanted.items() if value is not None]


def selecting_tests(
    *,
    chosen: StatisticsFilter,
    model_ids: Collection[int] | None,
    clinic_id: int,
    compared_with: ComparedWith = ComparedWith.NOTHING,
) -> list[ColumnElement[bool]]:
    """The conditions of the counted tests that a filter lets through and that stand for its unit."""
    columns = CountedTest.__table__.c
    reader = _Reader(
        question=Question(compared_with=compared_with),
        chosen=chosen,
        model_ids=model_ids,
        clinic_id=clinic_id,
    )
    days = _Days(first=chosen.date_from, last=chosen.date_to)
    conditions = [*reader.conditions(columns), *_taken_within(days, columns)]
    if chosen.outcome:
        conditions.append(columns.outcome == chosen.outcome)
    return conditions


def _taken_within(days: _Days, columns: Any) -> list[ColumnElement[bool]]:
    """The tests of some days, and the stretch of the index in time in which they lie: no zone is a day off UTC."""
    conditions = days.within(columns.captured_on)
    if days.first:
        conditions.append(columns.captured_at >= _midnight(days.first.toordinal() - 1))
    if days.last:
        conditions.append(columns.captured_at < _midnight(days.last.toordinal() + 2))
    return conditions


def _midnight(day_number: int) -> datetime:
    day = date.fromordinal(min(max(day_number, date.min.toordinal()), date.max.toordinal()))
    return datetime.combine(day, time.min, UTC)


def _is_wanted(one: Property, column: ColumnElement[Any], value: Any) -> ColumnElement[bool]:
    match one:
        case Property.AGE:
            return column.between(*value)
        case Property.MODEL:
            return column.in_(value)
        case Property.SKIN_TYPE if value == UNKNOWN:
            return or_(column.is_(None), type_coerce(column, String) == UNKNOWN)
        case _:
            return type_coerce(column, String) == str(value)


def _compared_conditions(chosen: StatisticsFilter, compared_with: ComparedWith) -> list[ColumnElement[bool]]:
    """What a review or a laboratory report has to say, and the mark of the tests that stand for the unit there."""
    columns = CountedTest.__table__.c
    against, _, conclusion = compared_with.partition(": ")
    # Both, where a filter and the question speak of the same: if they contradict each other, nothing is left.
    reviews = [chosen.review, conclusion if against == "review" else None]
    reports = [chosen.histology, conclusion if against == "histology" else None]
    prefix = "histology_" if any(reports) else "review_" if any(reviews) else ""
    conditions = [
        column == value
        for column, values in ((columns.review_conclusion, reviews), (columns.histology_outcome, reports))
        for value in values
        if value
    ]
    if chosen.unit is not StatisticsUnit.TEST:
        conditions.append(columns[f"{prefix}counts_{chosen.unit}"].is_(True))
    return conditions
