"""Figures and thresholds equal those counted another way."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from ml.training import measures
from ml.training.bootstrap import draw_weights
from ml.training.diagnosis_measures import measure_diagnoses
from ml.training.measures import calibration_bins, calibration_error, mean_with_interval, measure
from ml.training.operating_points import (
    ChosenThreshold,
    OperatingPoints,
    choose_by_accuracy,
    choose_by_sensitivity,
    choose_by_specificity,
    choose_points,
)
from ml.training.weighted_curves import WeightedCurves

GENERATOR = np.random.default_rng(11)
POSITIVE = GENERATOR.random(300) < 0.4
PROBABILITIES = np.clip(GENERATOR.normal(0.35 + 0.3 * POSITIVE, 0.2), 0, 1)
GROUPS = [f"g{index // 2}" if index < 100 else f"h{index}" for index in range(300)]
THRESHOLDS = {"at_0.5": 0.5, "at_served": 0.4}
BAND = (0.4, 0.6)

scored_images = st.lists(
    st.tuples(st.booleans(), st.floats(0, 1) | st.sampled_from([0.0, 0.25, 0.5, 1.0])),
    min_size=2,
    max_size=60,
).filter(lambda rows: len({label for label, _ in rows}) == 2)


def arrays(scored: list[tuple[bool, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([label for label, _ in scored]), np.array([probability for _, probability in scored])


@pytest.fixture(scope="module")
def measured() -> dict:
    return measure(POSITIVE, PROBABILITIES, GROUPS, thresholds=THRESHOLDS, seed=1, uncertain_band=BAND)


def test_auc_is_the_share_of_ordered_pairs_when_counted_by_hand(measured: dict) -> None:
    malignant, benign = PROBABILITIES[POSITIVE][:, np.newaxis], PROBABILITIES[~POSITIVE]
    pairs = np.mean((malignant > benign) + 0.5 * (malignant == benign))

    assert measured["auc"]["value"] == pytest.approx(pairs, abs=1e-4)


def test_average_precision_is_the_mean_precision_at_each_malignant_image_when_none_are_tied(
    measured: dict,
) -> None:
    precisions = [
        POSITIVE[threshold <= PROBABILITIES].mean() for threshold in PROBABILITIES[POSITIVE].tolist()
    ]

    assert measured["average_precision"]["value"] == pytest.approx(np.mean(precisions), abs=1e-4)


@pytest.mark.parametrize("sensitivity", [0.90, 0.95])
def test_specificity_at_a_sensitivity_is_the_best_when_all_thresholds_are_tried(
    measured: dict, sensitivity: float
) -> None:
    tried = [
        (PROBABILITIES[~POSITIVE] < threshold).mean()
        for threshold in PROBABILITIES
        if (PROBABILITIES[POSITIVE] >= threshold).mean() >= sensitivity
    ]

    found = measured[f"specificity_at_{100 * sensitivity:.0f}_sensitivity"]
    assert found["value"] == pytest.approx(max(tried), abs=1e-4)


def test_brier_is_the_mean_square_when_counted_by_hand(measured: dict) -> None:
    assert measured["brier"]["value"] == pytest.approx(np.mean((PROBABILITIES - POSITIVE) ** 2), abs=1e-4)


def test_calibration_error_follows_from_the_reliability_table_when_recalculated(measured: dict) -> None:
    bins = measured["reliability"]

    gaps = [one["images"] * abs(one["predicted"] - one["malignant"]) for one in bins]
    assert sum(one["images"] for one in bins) == 300
    assert measured["calibration_error"]["value"] == pytest.approx(sum(gaps) / 300, abs=2e-4)


def test_calibration_error_falls_when_probabilities_are_the_true_ones() -> None:
    generator = np.random.default_rng(2)
    true = generator.random(20_000)
    positive = generator.random(20_000) < true

    assert calibration_error(positive, true) < 0.015
    assert calibration_error(positive, np.clip(true + 0.2, 0, 1)) > 0.1


def test_held_out_probabilities_judge_calibration_alone_when_given() -> None:
    told = measure(POSITIVE, PROBABILITIES, GROUPS, thresholds=THRESHOLDS, seed=1, held_out=1 - PROBABILITIES)
    plain = measure(POSITIVE, PROBABILITIES, GROUPS, thresholds=THRESHOLDS, seed=1)

    assert told["auc"] == plain["auc"]
    assert told["at_served"] == plain["at_served"]
    assert told["brier"]["value"] == pytest.approx(np.mean((1 - PROBABILITIES - POSITIVE) ** 2), abs=1e-4)
    assert told["calibration_error"]["value"] > plain["calibration_error"]["value"]


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


def test_band_is_counted_right_when_counted_by_hand(measured: dict) -> None:
    within = (PROBABILITIES >= 0.4) & (PROBABILITIES < 0.6)
    right = ((PROBABILITIES >= 0.6) == POSITIVE)[~within]

    assert measured["uncertain"]["share"]["value"] == pytest.approx(within.mean(), abs=1e-4)
    assert measured["uncertain"]["accuracy_outside"]["value"] == pytest.approx(right.mean(), abs=1e-4)


def test_interval_holds_the_value_and_has_a_plausible_width_when_bootstrapped(measured: dict) -> None:
    accuracy = measured["at_0.5"]["accuracy"]
    by_formula = 2 * 1.96 * np.sqrt(accuracy["value"] * (1 - accuracy["value"]) / 300)

    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert accuracy["high"] - accuracy["low"] == pytest.approx(by_formula, rel=0.25)
    for name in ("auc", "average_precision", "brier", "calibration_error", "specificity_at_90_sensitivity"):
        assert measured[name]["low"] < measured[name]["value"] < measured[name]["high"]


def test_auc_interval_is_as_wide_as_the_formula_when_images_stand_alone() -> None:
    alone = [str(index) for index in range(300)]
    auc = measure(POSITIVE, PROBABILITIES, alone, thresholds=THRESHOLDS, seed=1)["auc"]

    # DeLong et al. 1988: variance of the placements of each class among the other.
    malignant, benign = PROBABILITIES[POSITIVE], PROBABILITIES[~POSITIVE]
    above = (malignant[:, np.newaxis] > benign).astype(float)
    variance = above.mean(axis=1).var(ddof=1) / len(malignant) + above.mean(axis=0).var(ddof=1) / len(benign)
    assert auc["high"] - auc["low"] == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.15)


def test_figures_of_a_round_equal_scikit_learns_when_weighted_one_by_one() -> None:
    rates = measures._Rates(POSITIVE, PROBABILITIES, PROBABILITIES, THRESHOLDS, None)
    (weights,) = draw_weights(POSITIVE, GROUPS, rounds=5, seed=3)

    found = rates.of_round(weights)

    for index, weight in enumerate(weights):
        options = {"sample_weight": weight}
        assert found["brier"][index] == pytest.approx(brier_score_loss(POSITIVE, PROBABILITIES, **options))
        for name, threshold in THRESHOLDS.items():
            called = threshold <= PROBABILITIES
            for figure, count in (
                ("accuracy", accuracy_score),
                ("precision", precision_score),
                ("recall", recall_score),
                ("f1", f1_score),
            ):
                assert found[f"{name}/{figure}"][index] == pytest.approx(count(POSITIVE, called, **options))
            specificity = recall_score(~POSITIVE, ~called, **options)
            assert found[f"{name}/specificity"][index] == pytest.approx(specificity)


@settings(deadline=None, max_examples=25)
@given(scored=scored_images, seed=st.integers(0, 1000))
def test_weighted_curves_equal_scikit_learns_when_images_are_random(
    scored: list[tuple[bool, float]], seed: int
) -> None:
    positive, probabilities = arrays(scored)
    weights = np.random.default_rng(seed).integers(0, 4, size=(3, len(scored))).astype(float)
    assume(all(weight[positive].any() and weight[~positive].any() for weight in weights))

    area, precision, (specificity,) = WeightedCurves(positive, probabilities).figures(
        weights, sensitivities=[0.9]
    )

    for index, weight in enumerate(weights):
        assert area[index] == pytest.approx(roc_auc_score(positive, probabilities, sample_weight=weight))
        assert precision[index] == pytest.approx(
            average_precision_score(positive, probabilities, sample_weight=weight)
        )
        false_positives, true_positives, _ = roc_curve(
            positive, probabilities, sample_weight=weight, drop_intermediate=False
        )
        best = 1 - false_positives[true_positives >= 0.9 - 1e-9].min()
        assert specificity[index] == pytest.approx(best)


def test_every_stratum_keeps_its_groups_when_weights_are_drawn() -> None:
    weights = np.concatenate(list(draw_weights(POSITIVE, GROUPS, rounds=50, seed=1)))

    assert weights.shape == (50, 300)
    for of_class in (POSITIVE, ~POSITIVE):
        names, first, index = np.unique(np.array(GROUPS)[of_class], return_index=True, return_inverse=True)
        times = weights[:, of_class][:, first]
        np.testing.assert_array_equal(times.sum(axis=1), len(names))
        np.testing.assert_array_equal(weights[:, of_class], times[:, index])


def test_interval_is_wider_when_images_come_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "BOOTSTRAP_ROUNDS", 300)
    positive, probabilities = np.repeat(POSITIVE[:80], 4), np.repeat(PROBABILITIES[:80], 4)

    def width(groups: list[str]) -> float:
        auc = measure(positive, probabilities, groups, thresholds=THRESHOLDS, seed=1)["auc"]
        return float(auc["high"] - auc["low"])

    four_of_a_kind = [str(index // 4) for index in range(320)]
    assert width(four_of_a_kind) > 1.5 * width([str(index) for index in range(320)])


def test_mean_has_the_interval_of_the_formula_when_images_stand_alone() -> None:
    mean = mean_with_interval(PROBABILITIES, np.zeros(300), [str(index) for index in range(300)], seed=1)

    assert mean["value"] == pytest.approx(PROBABILITIES.mean(), abs=1e-4)
    width = 2 * 1.96 * PROBABILITIES.std() / np.sqrt(300)
    assert mean["high"] - mean["low"] == pytest.approx(width, rel=0.15)


def test_rates_are_left_out_when_a_class_has_few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "BOOTSTRAP_ROUNDS", 20)
    positive = np.zeros(200, dtype=bool)
    positive[:2] = True

    measured = measure(positive, PROBABILITIES[:200], GROUPS[:200], thresholds=THRESHOLDS, seed=1)

    assert measured["auc"] is None
    assert measured["average_precision"] is None
    assert measured["at_served"]["recall"] is None
    assert measured["at_served"]["specificity"]["value"] > 0


def test_figures_are_measured_when_no_image_is_malignant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "BOOTSTRAP_ROUNDS", 20)

    measured = measure(
        np.zeros(50, dtype=bool),
        np.linspace(0, 1, 50),
        GROUPS[:50],
        thresholds=THRESHOLDS,
        seed=1,
        uncertain_band=(0.0, 1.0),
    )

    assert measured["malignant"] == 0
    assert measured["auc"] is None
    assert measured["at_0.5"]["specificity"]["value"] == 0.5
    assert measured["uncertain"]["share"]["value"] == pytest.approx(0.98)
    assert measured["uncertain"]["accuracy_outside"] is None


@given(
    probabilities=st.lists(st.floats(0, 1) | st.sampled_from([0.1, 0.2, 0.9]), min_size=1, max_size=400).map(
        np.array
    )
)
def test_bins_are_filled_and_in_order_when_probabilities_are_random(probabilities: np.ndarray) -> None:
    bins = calibration_bins(probabilities)

    counts = np.bincount(bins)
    assert len(counts) <= measures.MAX_BINS
    assert counts.min() >= min(len(probabilities), measures.MIN_IMAGES_A_BIN)
    order = np.argsort(probabilities, kind="stable")
    assert (np.diff(bins[order]) >= 0).all()
    for value in np.unique(probabilities):
        assert len(set(bins[probabilities == value].tolist())) == 1


@settings(deadline=None)
@given(scored=scored_images, sensitivity=st.floats(0.5, 1.0))
def test_threshold_reaches_the_sensitivity_and_a_higher_one_does_not_when_chosen(
    scored: list[tuple[bool, float]], sensitivity: float
) -> None:
    positive, probabilities = arrays(scored)

    chosen = choose_by_sensitivity(positive, probabilities, sensitivity)

    assert chosen.sensitivity == np.mean(probabilities[positive] >= chosen.threshold) >= sensitivity
    assert chosen.specificity == np.mean(probabilities[~positive] < chosen.threshold)
    higher = chosen.threshold + 1e-4 + 1e-9
    assert np.mean(probabilities[positive] >= higher) < sensitivity


@settings(deadline=None)
@given(scored=scored_images, specificity=st.floats(0.5, 1.0))
def test_threshold_reaches_the_specificity_and_a_lower_one_does_not_when_chosen(
    scored: list[tuple[bool, float]], specificity: float
) -> None:
    positive, probabilities = arrays(scored)

    chosen = choose_by_specificity(positive, probabilities, specificity)

    assert 0 <= chosen.threshold <= 1
    assert chosen.specificity == np.mean(probabilities[~positive] < chosen.threshold)
    assert chosen.specificity >= specificity - 1e-9 or chosen.threshold == 1
    if chosen.threshold > 0:
        lower = chosen.threshold - 1e-4 - 1e-9
        assert np.mean(probabilities[~positive] < lower) < specificity


@settings(deadline=None)
@given(scored=scored_images)
def test_no_threshold_is_right_more_often_when_chosen_by_accuracy(scored: list[tuple[bool, float]]) -> None:
    positive, probabilities = arrays(scored)

    chosen = choose_by_accuracy(positive, probabilities)

    right = np.sum((probabilities >= chosen.threshold) == positive)
    others = np.arange(10_001) / 10_000
    assert right == max(((probabilities >= others[:, None]) == positive).sum(axis=1))


def test_band_lies_between_the_thresholds_when_points_are_chosen() -> None:
    points = choose_points(POSITIVE, PROBABILITIES)
    written = points.to_json()

    assert points.uncertain_band == (points.sensitivity_95.threshold, points.specificity_95.threshold)
    assert written["operating_point"]["threshold"] == points.served.threshold
    assert written["operating_points"]["sensitivity_90"]["sensitivity"] >= 0.9
    assert written["uncertain_band"]["crossed"] is False


def test_band_is_sorted_and_says_so_when_thresholds_cross() -> None:
    high, low = ChosenThreshold(0.7, 0.95, 0.99), ChosenThreshold(0.3, 0.99, 0.95)
    points = OperatingPoints(sensitivity_90=high, sensitivity_95=high, specificity_95=low)

    band = points.to_json()["uncertain_band"]

    assert (band["low"], band["high"], band["crossed"]) == (0.3, 0.7, True)
    assert "cross" in band["meaning"]


def test_diagnoses_are_counted_right_when_counted_by_hand() -> None:
    generator = np.random.default_rng(5)
    actual = generator.choice(4, size=400, p=[0.5, 0.3, 0.18, 0.02])
    outputs = generator.dirichlet(np.ones(4), size=400) + np.eye(4)[actual] * 0.4
    outputs /= outputs.sum(axis=1, keepdims=True)
    groups = [str(index // 2) for index in range(400)]

    found = measure_diagnoses(actual, outputs, groups, classes=("a", "b", "c", "rare"), seed=1)

    called = outputs.argmax(axis=1)
    recalls = [np.mean(called[actual == index] == index) for index in range(4)]
    areas = [roc_auc_score(actual == index, outputs[:, index]) for index in range(4)]
    assert found["accuracy"]["value"] == pytest.approx(np.mean(called == actual), abs=1e-4)
    assert found["balanced_accuracy"]["value"] == pytest.approx(np.mean(recalls), abs=1e-4)
    assert found["macro_auc"]["value"] == pytest.approx(np.mean(areas), abs=1e-4)
    by_name = {row["name"]: row for row in found["per_class"]}
    assert by_name["b"]["recall"]["value"] == pytest.approx(recalls[1], abs=1e-4)
    assert by_name["b"]["recall"]["low"] < recalls[1] < by_name["b"]["recall"]["high"]
    assert by_name["b"]["precision"] == pytest.approx(np.mean(actual[called == 1] == 1), abs=1e-4)
    assert by_name["rare"]["recall"] is None
    assert found["confusion"][2][1] == np.sum((actual == 2) & (called == 1))
