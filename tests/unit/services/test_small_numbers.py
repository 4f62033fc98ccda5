"""Small numbers: who may not see patients gets numbers that no subtraction turns into single people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from random import Random
from typing import Any, Final

import numpy as np
import pytest

from melanoma_app.errors import InvalidInputError
from melanoma_app.models import Clinic
from melanoma_app.models.vocabulary import Dimension, Gender, OutcomeLabel, Period, Role, StatisticsUnit
from melanoma_app.services.actor import Actor
from melanoma_app.services.small_numbers import protect_count
from melanoma_app.services.statistics import (
    GroupCount,
    count_by_age,
    count_everything,
    count_outcomes,
    crosstab,
)
from melanoma_app.services.statistics_filter import StatisticsFilter
from tests.attack import Axis, Range, add_up, draw_clinic, narrow, show, subtract
from tests.databases import SECRET_KEY
from tests.factories import ClinicFactory, PatientFactory, PredictionFactory, UserFactory, actor_of
from tests.plain_counts import let_through, read_plain_tests
from tests.populations import count_population, write_population
from tests.records import Records

CLINICS: Final = 24
YEARS: Final = (2024, 2025, 2026)
BANDS: Final = 10
ALL_BANDS: Final = (0, BANDS - 1)


@pytest.fixture
def analyst(clinic: Clinic) -> Actor:
    """Somebody of the clinic who may not see patients."""
    return actor_of(UserFactory(clinic=clinic, role=Role.ANALYST))


@pytest.mark.parametrize("secret", ["one", "another"])
def test_number_is_hidden_or_a_five_close_to_the_count_when_it_is_protected(secret: str) -> None:
    for count in range(3000):
        shown = protect_count(count, secret=secret)
        assert shown == protect_count(count, secret=secret)
        if shown is None:
            assert count <= 6
        else:
            assert count >= 5
            assert shown >= 5
            assert shown % 5 == 0
            assert abs(shown - count) <= 6


def test_step_is_another_one_when_count_or_secret_is_another() -> None:
    moves = {
        (secret, count): (protect_count(count, secret=secret) or 0) - count
        for secret in ("one", "another")
        for count in range(100, 400, 5)
    }

    assert {move for _, move in moves.items()} == {-5, 0, 5}
    assert [moves["one", count] for count in range(100, 400, 5)] != [
        moves["another", count] for count in range(100, 400, 5)
    ]


def _numbers(groups: list[GroupCount]) -> Iterator[int | None]:
    for group in groups:
        yield from (group.positive, group.negative, group.total)


def _overview(chosen: StatisticsFilter, actor: Actor) -> list[int | None]:
    """Every number that the actor gets with some filters."""
    overview = count_everything(chosen=chosen, actor=actor, period=Period.YEAR)
    numbers = [
        *_numbers([overview.outcomes, *overview.genders, *overview.ages, *overview.trend]),
        *_numbers([*overview.sites, *overview.skin_types, *overview.models]),
    ]
    for one in overview.agreements:
        numbers += [one.true_positive, one.false_positive, one.false_negative, one.true_negative]
    for rows, columns in ((Dimension.GENDER, Dimension.AGE), (Dimension.OUTCOME, Dimension.SITE)):
        table = crosstab(chosen=chosen, actor=actor, rows=rows, columns=columns)
        for line in [*table.cells, table.row_totals, table.column_totals, [table.total]]:
            numbers += _numbers(line)
    return numbers


@pytest.mark.usefixtures("context")
def test_every_number_is_protected_for_an_analyst_alone_when_roles_differ(records: Records) -> None:
    clinic, _ = write_population(Random(5), patients=25)
    count_population(clinic)
    actors = {role: actor_of(UserFactory(clinic=clinic, role=role)) for role in Role}
    tests = read_plain_tests(records.engine, clinic.id)
    shown = 0
    for unit in StatisticsUnit:
        chosen = StatisticsFilter(unit=unit, date_from=date(2025, 1, 1), date_to=date(2025, 12, 31))
        through = let_through(tests, chosen)
        positive = sum(one.outcome == "malignant" for one in through)
        truth = (positive, len(through) - positive, len(through))
        for role in (Role.CLINICIAN, Role.NURSE, Role.ADMIN):
            outcomes = count_outcomes(chosen=chosen, actor=actors[role])
            assert (outcomes.positive, outcomes.negative, outcomes.total) == truth

        outcomes = count_outcomes(chosen=chosen, actor=actors[Role.ANALYST])
        assert (outcomes.positive, outcomes.negative, outcomes.total) == tuple(
            protect_count(count, secret=SECRET_KEY) for count in truth
        )
        for number in _overview(chosen, actors[Role.ANALYST]):
            assert number is None or (number >= 5 and number % 5 == 0)
            shown += number is not None
    assert shown > 0


@pytest.mark.usefixtures("context")
def test_number_is_the_same_when_the_same_people_are_asked_for_in_another_way(
    analyst: Actor, clinic: Clinic, recount: Callable[[], None]
) -> None:
    for number in range(23):
        patient = PatientFactory(clinic=clinic, gender=Gender.MALE)
        label = OutcomeLabel.MALIGNANT if number < 11 else OutcomeLabel.BENIGN
        PredictionFactory(lesion_image__lesion__patient=patient, label=label)
    recount()

    asked = [
        count_outcomes(chosen=StatisticsFilter(), actor=analyst),
        count_outcomes(chosen=StatisticsFilter(gender=Gender.MALE), actor=analyst),
        count_outcomes(chosen=StatisticsFilter(unit=StatisticsUnit.PATIENT), actor=analyst),
        *count_by_age(chosen=StatisticsFilter(), actor=analyst)[6:7],
    ]

    numbers = {(one.positive, one.negative, one.total) for one in asked}
    assert len(numbers) == 1
    assert None not in numbers.pop()


@pytest.mark.usefixtures("context")
def test_nothing_tells_few_from_none_when_an_analyst_looks(
    analyst: Actor, clinic: Clinic, recount: Callable[[], None]
) -> None:
    for _ in range(4):
        PredictionFactory(lesion_image__lesion__patient__clinic=clinic)
    of_nobody = actor_of(UserFactory(clinic=ClinicFactory(), role=Role.ANALYST))
    recount()

    for period in (Period.MONTH, Period.YEAR):
        here, there = (
            count_everything(chosen=StatisticsFilter(), actor=actor, period=period)
            for actor in (analyst, of_nobody)
        )
        assert here == there
    for rows, columns in ((Dimension.PERIOD, Dimension.MODEL), (Dimension.MODEL, Dimension.OUTCOME)):
        here_table, there_table = (
            crosstab(chosen=StatisticsFilter(), actor=actor, rows=rows, columns=columns)
            for actor in (analyst, of_nobody)
        )
        assert here_table == there_table


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"date_from": date(2025, 1, 2)}, "date_from"),
        ({"date_to": date(2025, 12, 30)}, "date_to"),
        ({"age_min": 15}, "age_min"),
        ({"age_max": 50}, "age_max"),
        ({"date_from": date(2024, 1, 1), "date_to": date(2025, 12, 31)}, "date_to"),
        ({"age_min": 20, "age_max": 39}, "age_max"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_range_is_refused_when_an_analyst_asks_too_finely(
    analyst: Actor, user: Any, values: dict[str, Any], field: str
) -> None:
    chosen = StatisticsFilter(**values)

    for count in (count_outcomes, count_everything, count_by_age):
        with pytest.raises(InvalidInputError) as refusal:
            count(chosen=chosen, actor=analyst)
        assert list(refusal.value.fields) == [field]
        count(chosen=chosen, actor=actor_of(user))


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("band_years", [1, 5, 15, 20])
def test_bands_are_refused_when_an_analyst_asks_too_finely(analyst: Actor, band_years: int) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        count_by_age(chosen=StatisticsFilter(), actor=analyst, band_years=band_years)

    assert list(refusal.value.fields) == ["band_years"]


def _is_allowed(actor: Actor, **values: Any) -> bool:
    band_years = values.pop("band_years", 10)
    try:
        count_by_age(chosen=StatisticsFilter(**values), actor=actor, band_years=band_years)
    except InvalidInputError:
        return False
    return True


def _allowed_ages(actor: Actor) -> list[Range]:
    """The ranges of ten-year bands that an analyst may ask for, by a filter or as a wider band."""
    found = {ALL_BANDS}
    for first in range(BANDS):
        for last in range(first, BANDS):
            oldest = None if last == BANDS - 1 else 10 * last + 9
            if _is_allowed(actor, age_min=10 * first, age_max=oldest):
                found.add((first, last))
    for width in range(1, BANDS):
        if _is_allowed(actor, band_years=10 * width):
            found |= {
                (first, min(first + width, BANDS) - 1 if first + width < BANDS else BANDS - 1)
                for first in range(0, BANDS, width)
            }
    return sorted(found)


def _allowed_years(actor: Actor) -> list[Range]:
    """The ranges of calendar years that an analyst may ask for."""
    found = {(0, len(YEARS) - 1)} | {(number, number) for number in range(len(YEARS))}
    for first in range(len(YEARS)):
        for last in range(first, len(YEARS)):
            for begins in {date(YEARS[first], 1, 1), None if first == 0 else date(YEARS[first], 1, 1)}:
                for ends in {date(YEARS[last], 12, 31), None if last == 2 else date(YEARS[last], 12, 31)}:
                    if _is_allowed(actor, date_from=begins, date_to=ends):
                        found.add((first, last))
    return sorted(found)


def _single_or_all(groups: int) -> Axis:
    return Axis(groups=groups, ranges=[*((one, one) for one in range(groups)), (0, groups - 1)])


@pytest.fixture
def axes(context: None, analyst: Actor) -> list[Axis]:
    """What an analyst may ask for: gender, ages, years, outcome; the filters themselves say which ranges."""
    return [
        _single_or_all(len(Gender)),
        Axis(groups=BANDS, ranges=_allowed_ages(analyst)),
        Axis(groups=len(YEARS), ranges=_allowed_years(analyst)),
        _single_or_all(len(OutcomeLabel)),
    ]


@pytest.fixture
def clinics(axes: list[Axis]) -> list[tuple[Any, Any]]:
    """True counts of many clinics, small ones mostly, and what is shown of them, each with a secret of its own."""
    found = []
    for seed in range(CLINICS):
        rng = np.random.default_rng(seed)
        counts = add_up(draw_clinic(rng, axes, tests=int(rng.integers(5, [60, 200, 2000][seed % 3]))), axes)
        found.append((counts, show(counts, secret=f"secret {seed}")))
    return found


def test_no_hidden_count_is_pinned_when_every_sum_is_set_against_every_other(
    axes: list[Axis], clinics: list[tuple[Any, Any]]
) -> None:
    pinned = {}
    for seed, (counts, shown) in enumerate(clinics):
        low, high = narrow(shown, axes)
        assert ((low <= counts) & (counts <= high)).all()
        is_small = (shown < 0) & (counts >= 1) & (counts <= 4)
        if found := int((is_small & (low == high)).sum()):
            pinned[seed] = f"{found} of {int(is_small.sum())}"
    assert pinned == {}


def test_subtraction_is_no_better_than_guessing_when_totals_and_parts_are_shown(
    axes: list[Axis], clinics: list[tuple[Any, Any]]
) -> None:
    truths, guesses = [], []
    for counts, shown in clinics:
        estimates = subtract(shown, axes)
        is_told = (shown < 0) & (counts >= 1) & (counts <= 4) & ~np.isnan(estimates)
        truths.append(counts[is_told])
        guesses.append(np.clip(np.rint(estimates[is_told]), 1, 4))
    truth, guess = np.concatenate(truths), np.concatenate(guesses)
    best_guess = max((truth == count).mean() for count in range(1, 5))

    assert truth.size > 100
    assert (truth == guess).mean() <= best_guess
