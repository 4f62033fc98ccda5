"""Figures and thresholds equal those counted another way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.training import measures
from ml.training.measures import choose_threshold, measure

GENERATOR = np.random.default_rng(11)
POSITIVE = GENERATOR.random(300) < 0.4
PROBABILITIES = np.clip(GENERATOR.normal(0.35 + 0.3 * POSITIVE, 0.2), 0, 1)
GROUPS = [f"g{index // 2}" if index < 100 else f"h{index}" for index in range(300)]
THRESHOLDS = {"at_0.5": 0.5, "at_served": 0.4}


@pytest.fixture(scope="module")
def measured() -> dict:
    return measure(POSITIVE, PROBABILITIES, GROUPS, thresholds=THRESHOLDS, seed=1)


def test_auc_is_the_share_of_ordered_pairs_when_counted_by_hand(measured: dict) -> None:
    malignant, benign = PROBABILITIES[POSITIVE][:, np.newaxis], PROBABILITIES[~POSITIVE]
    pairs = np.mean((malignant > benign) + 0.5 * (malignant == benign))

    assert measured["auc"]["value"] == pytest.approx(pairs, abs=1e-4)


def test_specificity_at_95_sensitivity_is_the_best_when_all_thresholds_are_tried(measured: dict) -> None:
    tried = [
        (PROBABILITIES[~POSITIVE] < threshold).mean()
        for threshold in PROBABILITIES
        if (PROBABILITIES[POSITIVE] >= threshold).mean() >= 0.95
    ]

    assert measured["specificity_at_95_sensitivity"]["value"] == pytest.approx(max(tried), abs=1e-4)


def test_brier_is_the_mean_square_when_counted_by_hand(measured: dict) -> None:
    assert measured["brier"]["value"] == pytest.approx(np.mean((PROBABILITIES - POSITIVE) ** 2), abs=1e-4)


@pytest.mark.parametrize(("place", "threshold"), THRESHOLDS.items())
def test_figures_at_a_threshold_are_right_when_counted_by_hand(
    measured: dict, place: str, threshold: float
) -> None:
    called = threshold <= PROBABILITIES
    tp, fp = np.sum(called & POSITIVE), np.sum(called & ~POSITIVE)
    fn, tn = np.sum(~called & POSITIVE), np.sum(~called & ~POSITIVE)
    at = measured[place]

    assert at["confusion"] == {
        "true_negative": tn,
        "false_positive": fp,
        "false_negative": fn,
        "true_positive": tp,
    }
    assert at["accuracy"]["value"] == pytest.approx((tp + tn) / 300, abs=1e-4)
    assert at["precision"]["value"] == pytest.approx(tp / (tp + fp), abs=1e-4)
    assert at["recall"]["value"] == pytest.approx(tp / (tp + fn), abs=1e-4)
    assert at["specificity"]["value"] == pytest.approx(tn / (tn + fp), abs=1e-4)
    assert at["f1"]["value"] == pytest.approx(2 * tp / (2 * tp + fp + fn), abs=1e-4)


def test_interval_holds_the_value_and_has_a_plausible_width_when_bootstrapped(measured: dict) -> None:
    accuracy = measured["at_0.5"]["accuracy"]
    by_formula = 2 * 1.96 * np.sqrt(accuracy["value"] * (1 - accuracy["value"]) / 300)

    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert accuracy["high"] - accuracy["low"] == pytest.approx(by_formula, rel=0.25)


def test_interval_is_wider_when_images_come_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "BOOTSTRAP_ROUNDS", 300)
    positive, probabilities = np.repeat(POSITIVE[:80], 4), np.repeat(PROBABILITIES[:80], 4)

    def width(groups: list[str]) -> float:
        auc = measure(positive, probabilities, groups, thresholds=THRESHOLDS, seed=1)["auc"]
        return float(auc["high"] - auc["low"])

    four_of_a_kind = [str(index // 4) for index in range(320)]
    assert width(four_of_a_kind) > 1.5 * width([str(index) for index in range(320)])


def test_rates_are_left_out_when_a_class_has_few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "BOOTSTRAP_ROUNDS", 20)
    positive = np.zeros(200, dtype=bool)
    positive[:2] = True

    measured = measure(positive, PROBABILITIES[:200], GROUPS[:200], thresholds=THRESHOLDS, seed=1)

    assert measured["auc"] is None
    assert measured["at_served"]["recall"] is None
    assert measured["at_served"]["specificity"]["value"] > 0


def test_figures_are_measured_when_no_image_is_malignant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "BOOTSTRAP_ROUNDS", 20)

    measured = measure(
        np.zeros(50, dtype=bool), np.linspace(0, 1, 50), GROUPS[:50], thresholds=THRESHOLDS, seed=1
    )

    assert measured["malignant"] == 0
    assert measured["auc"] is None
    assert measured["at_0.5"]["specificity"]["value"] == 0.5


@settings(deadline=None)
@given(
    scored=st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=60).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    ),
    sensitivity=st.floats(0.5, 1.0),
)
def test_threshold_reaches_the_sensitivity_and_a_higher_one_does_not_when_chosen(
    scored: list[tuple[bool, float]], sensitivity: float
) -> None:
    positive = np.array([label for label, _ in scored])
    probabilities = np.array([probability for _, probability in scored])

    chosen = choose_threshold(positive, probabilities, sensitivity=sensitivity)

    assert chosen.sensitivity == np.mean(probabilities[positive] >= chosen.value) >= sensitivity
    assert chosen.specificity == np.mean(probabilities[~positive] < chosen.value)
    higher = chosen.value + 1e-4 + 1e-9
    assert np.mean(probabilities[positive] >= higher) < sensitivity
