"""Counts of tests by gender, age and outcome, and the tests behind each count.

A test is an image with its latest prediction; it is positive when that says malignant. A patient's age is the one
on the day the photograph was taken, and days are those of the clinic's time zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, case, extract, func, select
from sqlalchemy.orm import contains_eager, joinedload

from melanoma_app.errors import InvalidInputError
from melanoma_app.extensions import db
from melanoma_app.models import Lesion, LesionImage, Patient, Prediction
from melanoma_app.models.prediction import is_latest_of_image
from melanoma_app.models.vocabulary import Gender, OutcomeLabel
from melanoma_app.services.actor import Actor
from melanoma_app.services.paging import PAGE_SIZE, Page, cut_page, newest_first
from melanoma_app.services.patient_search import record_patients_shown

AGE_BAND_YEARS: Final = 10
OLDEST_BAND_FROM_YEARS: Final = 90
"""From here on ages share one band, as HIPAA's Safe Harbor asks of published ages (45 CFR 164.514(b)(2))."""


@dataclass(frozen=True, kw_only=True)
class StatisticsFilter:
    """Which tests count; None leaves a dimension open.

    `date_from` and `date_to` are days of the clinic, both included; ages are completed years, both included.
    """

    date_from: date | None = None
    date_to: date | None = None
    gender: Gender | None = None
    age_min: int | None = None
    age_max: int | None = None
    outcome: OutcomeLabel | None = None

    def __post_init__(self) -> None:
        """Refuse ranges that end before they start.

        Raises:
            InvalidInputError: One does.
        """
        if self.date_from and self.date_to and self.date_from > self.date_to:
            message = "The first day is after the last. Swap them."
            raise InvalidInputError(message, fields={"date_from": [message]})
        if self.age_min is not None and self.age_max is not None and self.age_min > self.age_max:
            message = "The lowest age is above the highest. Swap them."
            raise InvalidInputError(message, fields={"age_min": [message]})

    @property
    def given(self) -> dict[str, Any]:
        """The filters that are set, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class OutcomeCount:
    """How many tests of a group were positive and negative.

    Args:
        group: What the group is called in the API.
        positive: Tests whose latest prediction says malignant.
        negative: Tests whose latest prediction says benign.
        filters: What selects this group's tests, to be added to the filters in force.
    """

    group: str
    positive: int
    negative: int
    filters: dict[str, Any]

    @property
    def total(self) -> int:
        """All tests of the group."""
        return self.positive + self.negative


def count_by_gender(*, chosen: StatisticsFilter, actor: Actor) -> list[OutcomeCount]:
    """One group for each gender, those without a test included."""
    counts = _count(Patient.gender, chosen, actor)
    return [
        OutcomeCount(group=gender.value, filters={"gender": gender.value}, **_outcomes(counts, gender))
        for gender in Gender
    ]


def count_by_age(*, chosen: StatisticsFilter, actor: Actor) -> list[OutcomeCount]:
    """One group for each ten years of age, from 0–9 to 90 and over, those without a test included."""
    band = case(
        *[
            (_age_at_examination() < upper, upper - AGE_BAND_YEARS)
            for upper in range(AGE_BAND_YEARS, OLDEST_BAND_FROM_YEARS + 1, AGE_BAND_YEARS)
        ],
        else_=OLDEST_BAND_FROM_YEARS,
    )
    counts = _count(band, chosen, actor)
    groups = []
    for youngest in range(0, OLDEST_BAND_FROM_YEARS + 1, AGE_BAND_YEARS):
        is_last = youngest == OLDEST_BAND_FROM_YEARS
        oldest = youngest + AGE_BAND_YEARS - 1
        groups.append(
            OutcomeCount(
                group=f"{youngest}+" if is_last else f"{youngest}-{oldest}",
                filters={"age_min": youngest} | ({} if is_last else {"age_max": oldest}),
                **_outcomes(counts, youngest),
            )
        )
    return groups


def count_outcomes(*, chosen: StatisticsFilter, actor: Actor) -> OutcomeCount:
    """All tests that the filters let through, as one group."""
    counts = _count(Patient.clinic_id, chosen, actor)
    return OutcomeCount(group="all", filters={}, **_outcomes(counts, actor.clinic_id))


def list_tests(
    *, chosen: StatisticsFilter, actor: Actor, cursor: str | None = None, size: int = PAGE_SIZE
) -> Page[Prediction]:
    """The tests behind the counts, latest photograph first, with image, lesion and patient; audited."""
    query = _narrow(_tests(select(Prediction)), chosen, actor).options(
        contains_eager(Prediction.lesion_image)
        .contains_eager(LesionImage.lesion)
        .contains_eager(Lesion.patient),
        joinedload(Prediction.model_version),
    )
    rows: Sequence[Prediction] = db.session.scalars(
        newest_first(query, time=LesionImage.captured_at, key=LesionImage.id, cursor=cursor, size=size)
    ).all()
    page = cut_page(
        rows, size=size, position=lambda test: (test.lesion_image.captured_at, test.lesion_image.id)
    )
    record_patients_shown(patients=[test.lesion_image.lesion.patient for test in page.items], actor=actor)
    db.session.commit()
    return page


def _count(group: Any, chosen: StatisticsFilter, actor: Actor) -> dict[tuple[Any, OutcomeLabel], int]:
    # The group is computed inside: MySQL does not see that a CASE with parameters, spelled twice, is one.
    tests = _narrow(
        _tests(select(group.label("group"), Prediction.label.label("label"))), chosen, actor
    ).subquery()
    rows = db.session.execute(
        select(tests.c.group, tests.c.label, func.count()).group_by(tests.c.group, tests.c.label)
    )
    return {(value, label): count for value, label, count in rows}


def _outcomes(counts: dict[tuple[Any, OutcomeLabel], int], group: Any) -> dict[str, int]:
    return {
        "positive": counts.get((group, OutcomeLabel.MALIGNANT), 0),
        "negative": counts.get((group, OutcomeLabel.BENIGN), 0),
    }


def _tests(query: Select[Any]) -> Select[Any]:
    return (
        query.select_from(Prediction)
        .join(Prediction.lesion_image)
        .join(LesionImage.lesion)
        .join(Lesion.patient)
        .where(is_latest_of_image())
    )


def _narrow(query: Select[Any], chosen: StatisticsFilter, actor: Actor) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = [Patient.clinic_id == actor.clinic_id]
    if chosen.date_from:
        conditions.append(LesionImage.captured_on >= chosen.date_from)
    if chosen.date_to:
        conditions.append(LesionImage.captured_on <= chosen.date_to)
    if chosen.gender:
        conditions.append(Patient.gender == chosen.gender)
    if chosen.age_min is not None:
        conditions.append(_age_at_examination() >= chosen.age_min)
    if chosen.age_max is not None:
        conditions.append(_age_at_examination() <= chosen.age_max)
    if chosen.outcome:
        conditions.append(Prediction.label == chosen.outcome)
    return query.where(*conditions)


def _age_at_examination() -> ColumnElement[int]:
    """Completed years between the birth date and the photograph, in SQL that all databases know."""
    examined, born = LesionImage.captured_on, Patient.birth_date
    had_no_birthday = (extract("month", examined) * 100 + extract("day", examined)) < (
        extract("month", born) * 100 + extract("day", born)
    )
    return extract("year", examined) - extract("year", born) - case((had_no_birthday, 1), else_=0)
