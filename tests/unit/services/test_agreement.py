"""Agreement: rates against another implementation; the counts behind them are compared in `test_statistics.py`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from melanoma_app.models import Clinic
from melanoma_app.models.vocabulary import OutcomeLabel, Role
from melanoma_app.services.actor import Actor
from melanoma_app.services.agreement import Rate, wilson_rate
from melanoma_app.services.statistics import measure_agreement
from melanoma_app.services.statistics_filter import StatisticsFilter
from tests.factories import (
    HistopathologyFactory,
    LesionFactory,
    PredictionFactory,
    ReviewFactory,
    UserFactory,
    actor_of,
)

MALIGNANT, BENIGN = OutcomeLabel.MALIGNANT, OutcomeLabel.BENIGN


def expected_rate(hits: int, trials: int) -> Rate:
    """As SciPy has it."""
    interval = binomtest(hits, trials).proportion_ci(confidence_level=0.95, method="wilson")
    return Rate(value=hits / trials, low=interval.low, high=interval.high)


def assert_close(rate: Rate | None, expected: Rate) -> None:
    assert rate is not None
    assert vars(rate) == pytest.approx(vars(expected), abs=1e-9)
    assert 0 <= rate.low <= rate.value <= rate.high <= 1


@given(hits=st.integers(0, 10**6), misses=st.integers(0, 10**6))
def test_interval_is_scipys_when_counts_are_any(hits: int, misses: int) -> None:
    trials = hits + misses or 1

    assert_close(wilson_rate(hits, trials), expected_rate(hits, trials))


@pytest.mark.usefixtures("context")
def test_rates_divide_the_right_counts_when_all_four_differ(
    actor: Actor, clinic: Clinic, recount: Callable[[], None]
) -> None:
    for label, conclusion, times in (
        (MALIGNANT, MALIGNANT, 4),
        (MALIGNANT, BENIGN, 3),
        (BENIGN, MALIGNANT, 1),
        (BENIGN, BENIGN, 2),
    ):
        for _ in range(times):
            prediction = PredictionFactory(lesion_image__lesion__patient__clinic=clinic, label=label)
            ReviewFactory(prediction=prediction, conclusion=conclusion)
    recount()

    against_reviews, against_histology = measure_agreement(chosen=StatisticsFilter(), actor=actor)

    assert_close(against_reviews.sensitivity, expected_rate(4, 5))
    assert_close(against_reviews.specificity, expected_rate(2, 5))
    assert_close(against_reviews.positive_predictive_value, expected_rate(4, 7))
    assert_close(against_reviews.negative_predictive_value, expected_rate(2, 3))
    assert against_histology.sensitivity is None
    assert against_histology.negative_predictive_value is None


@pytest.mark.usefixtures("context")
def test_newest_report_counts_for_photographs_up_to_its_day_when_it_was_corrected(
    actor: Actor, clinic: Clinic, recount: Callable[[], None]
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    for day in (date(2026, 3, 4), date(2026, 3, 5), date(2026, 3, 6)):
        PredictionFactory(lesion_image__lesion=lesion, lesion_image__captured_on=day, label=MALIGNANT)
    for outcome in (BENIGN, MALIGNANT):
        HistopathologyFactory(lesion=lesion, outcome=outcome, reported_on=date(2026, 3, 5))
    recount()

    against_histology = measure_agreement(chosen=StatisticsFilter(), actor=actor)[1]

    assert (against_histology.true_positive, against_histology.false_positive) == (2, 0)


@pytest.mark.usefixtures("context")
def test_rate_is_left_out_when_an_analyst_may_not_see_a_count_behind_it(
    clinic: Clinic, recount: Callable[[], None]
) -> None:
    analyst = actor_of(UserFactory(clinic=clinic, role=Role.ANALYST))
    for conclusion, times in ((MALIGNANT, 20), (BENIGN, 2)):
        for _ in range(times):
            prediction = PredictionFactory(lesion_image__lesion__patient__clinic=clinic, label=MALIGNANT)
            ReviewFactory(prediction=prediction, conclusion=conclusion)
    recount()

    against_reviews = measure_agreement(chosen=StatisticsFilter(), actor=analyst)[0]

    assert against_reviews.true_positive is not None
    assert against_reviews.false_positive is None
    assert against_reviews.positive_predictive_value is None
    assert against_reviews.sensitivity is None
