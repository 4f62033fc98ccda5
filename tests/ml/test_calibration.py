"""Calibrations are fitted as another optimiser would, survive JSON, keep the order and refuse nonsense."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.inference.calibration import Calibration
from ml.training import calibration
from ml.training.calibration import CALIBRATION_CHOICES, choose_calibration, fit_calibration
from ml.training.errors import BenchError

GENERATOR = np.random.default_rng(4)
POSITIVE = GENERATOR.random(900) < 0.3
LOGITS = GENERATOR.normal(2.0 * POSITIVE - 1.6, 1.1)
TOO_SURE = 1 / (1 + np.exp(-(2.5 * LOGITS + 1.0)))  # a network that exaggerates and leans to malignant
GROUPS = [f"g{index // 2}" for index in range(900)]

CALIBRATIONS = (
    Calibration(),
    Calibration(method="temperature", temperature=1.7),
    Calibration(method="platt", slope=0.6, offset=-1.2),
    Calibration(method="isotonic", knots=((0.1, 0.02), (0.4, 0.02), (0.9, 0.7))),
)
each = pytest.mark.parametrize("one", CALIBRATIONS, ids=lambda one: one.method)


def log_loss(probabilities: np.ndarray) -> float:
    return float(-np.mean(np.log(np.where(POSITIVE, probabilities, 1 - probabilities))))


@each
@given(probabilities=st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_probabilities_stay_probabilities_in_their_order_when_calibrated(
    one: Calibration, probabilities: list[float]
) -> None:
    ranked = np.array(sorted([0.0, 1.0, *probabilities]))

    calibrated = one.apply(ranked)

    assert calibrated.dtype == np.float64
    assert (np.diff(calibrated) >= -1e-15).all()
    assert calibrated.min() >= 0
    assert calibrated.max() <= 1


@each
def test_no_probability_comes_out_when_none_goes_in(one: Calibration) -> None:
    assert np.isnan(one.apply(np.array([math.nan, -0.1, 1.5, math.inf]))).all()


@each
def test_calibration_is_the_same_when_read_from_json(one: Calibration) -> None:
    assert Calibration.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_values_are_those_of_the_formula_when_calculated_by_hand() -> None:
    p = np.array([0.2, 0.5, 0.9])
    odds = p / (1 - p)

    temperature = Calibration(method="temperature", temperature=2.0).apply(p)
    platt = Calibration(method="platt", slope=0.5, offset=math.log(3)).apply(p)
    isotonic = Calibration(method="isotonic", knots=((0.2, 0.1), (0.6, 0.5))).apply(p)

    np.testing.assert_allclose(temperature, odds**0.5 / (1 + odds**0.5))
    np.testing.assert_allclose(platt, 3 * odds**0.5 / (1 + 3 * odds**0.5))
    np.testing.assert_allclose(isotonic, [0.1, 0.4, 0.5])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "^calibration must be a JSON object"),
        ({}, "^method must be one of none, temperature, platt, isotonic, not None"),
        ({"method": ["platt"]}, "^method must be one of"),
        ({"method": "magic"}, "^method must be one of .* not 'magic'"),
        ({"method": "temperature"}, "^temperature is missing"),
        ({"method": "none", "slope": 1}, "^slope is unknown: the method none"),
        ({"method": "temperature", "temperature": "1"}, "^temperature must be a number, not '1'"),
        ({"method": "temperature", "temperature": True}, "^temperature must be a number, not True"),
        ({"method": "temperature", "temperature": 0}, "^temperature must be a number above 0"),
        ({"method": "temperature", "temperature": math.nan}, "^temperature must be a number above 0"),
        ({"method": "platt", "slope": -1, "offset": 0}, "^slope must be a number above 0"),
        ({"method": "platt", "slope": 1, "offset": math.inf}, "^offset must be a finite number"),
        ({"method": "isotonic", "knots": 5}, "^knots must be a list of pairs"),
        ({"method": "isotonic", "knots": [[0, 1, 2]]}, "^knots must be a list of pairs"),
        ({"method": "isotonic", "knots": [[0, "1"], [1, 1]]}, "^knots must be a number"),
        ({"method": "isotonic", "knots": [[0, 1]]}, "^knots must be two or more, not 1"),
        ({"method": "isotonic", "knots": [[0, 0], [1, 1.5]]}, "^knots must be probabilities"),
        ({"method": "isotonic", "knots": [[0, 0], [math.nan, 1]]}, "^knots must be probabilities"),
        ({"method": "isotonic", "knots": [[0.5, 0], [0.5, 1]]}, "^knots must rise strictly"),
        ({"method": "isotonic", "knots": [[0, 0.5], [1, 0.4]]}, "^knots must never fall"),
    ],
)
def test_calibration_is_refused_when_json_is_wrong(raw: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Calibration.from_json(raw)


def test_temperature_is_the_best_when_all_are_tried() -> None:
    fitted = fit_calibration("temperature", POSITIVE, TOO_SURE)

    tried = np.arange(0.5, 6, 0.01)
    losses = [
        log_loss(Calibration(method="temperature", temperature=value).apply(TOO_SURE)) for value in tried
    ]
    assert fitted.temperature == pytest.approx(tried[np.argmin(losses)], rel=0.02)


def test_platt_is_the_best_when_neighbours_are_tried() -> None:
    fitted = fit_calibration("platt", POSITIVE, TOO_SURE)

    best = log_loss(fitted.apply(TOO_SURE))
    for slope, offset in ((0.9, 0.0), (1.1, 0.0), (1.0, 0.2), (1.0, -0.2)):
        other = Calibration(method="platt", slope=fitted.slope * slope, offset=fitted.offset + offset)
        assert best < log_loss(other.apply(TOO_SURE))
    assert fitted.apply(TOO_SURE).mean() == pytest.approx(POSITIVE.mean(), abs=0.005)


def test_isotonic_is_the_mean_of_its_steps_when_compared_with_labels() -> None:
    fitted = fit_calibration("isotonic", POSITIVE, TOO_SURE)

    calibrated = fitted.apply(TOO_SURE)
    for value in np.unique(calibrated.round(9)):
        members = np.isclose(calibrated, value, atol=1e-9)
        if 0.001 < value < 0.999 and members.sum() > 1:
            assert POSITIVE[members].mean() == pytest.approx(value, abs=1e-6)
    assert calibrated.min() >= 0.001
    assert calibrated.max() <= 0.999


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
@pytest.mark.parametrize("kind", ["perfect", "certain", "constant", "reversed"])
def test_fit_stays_monotone_and_finite_when_probabilities_are_odd(method: str, kind: str) -> None:
    probabilities = {
        "perfect": np.where(POSITIVE, 0.8, 0.2),
        "certain": POSITIVE.astype(float),
        "constant": np.full(900, 0.4),
        "reversed": 1 - TOO_SURE,
    }[kind]

    fitted = fit_calibration(method, POSITIVE, probabilities)  # type: ignore[arg-type]

    calibrated = fitted.apply(np.linspace(0, 1, 11))
    assert np.isfinite(calibrated).all()
    assert (np.diff(calibrated) >= 0).all()
    assert Calibration.from_json(fitted.to_json()) == fitted


def test_platt_is_chosen_when_the_network_leans_and_exaggerates() -> None:
    chosen = choose_calibration(POSITIVE, TOO_SURE, GROUPS, seed=1)

    assert chosen.calibration.method == "platt"
    scores = chosen.to_json()["cross_validated"]
    assert set(scores) == {"none", "temperature", "platt", "isotonic"}
    assert scores["platt"]["log_loss"] == min(score["log_loss"] for score in scores.values())
    assert scores["platt"]["log_loss"] == pytest.approx(log_loss(chosen.cross_validated), abs=1e-4)
    assert scores["platt"]["calibration_error"] < scores["none"]["calibration_error"] / 2
    assert chosen.folds == 5


def test_images_are_judged_by_fits_without_their_group_when_cross_validated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group_of = dict(zip(TOO_SURE.tolist(), GROUPS, strict=True))
    fitted_on: list[set[str]] = []

    def spy(method: str, positive: np.ndarray, probabilities: np.ndarray) -> Calibration:
        fitted_on.append({group_of[value] for value in probabilities.tolist()})
        number = len(fitted_on) / 100  # told apart by what they give
        return Calibration(method="isotonic", knots=((0.0, number), (1.0, number)))

    monkeypatch.setattr(calibration, "fit_calibration", spy)
    chosen = choose_calibration(POSITIVE, TOO_SURE, GROUPS, method="platt", seed=1)

    for value, group in zip((chosen.cross_validated * 100).round().astype(int), GROUPS, strict=True):
        assert group not in fitted_on[value - 1]
    assert len(np.unique(chosen.cross_validated)) == 5
    assert fitted_on[-1] == set(GROUPS)


def test_method_is_taken_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "FOLDS", 2)
    for method in CALIBRATION_CHOICES[1:]:
        chosen = choose_calibration(POSITIVE, TOO_SURE, GROUPS, method=method, seed=1)
        assert chosen.calibration.method == method
        assert chosen.chosen_by == "asked for"


def test_probabilities_stay_as_they_are_when_a_class_has_one_group() -> None:
    positive = np.array([True, False, False, False])
    groups = ["a", "b", "c", "d"]

    chosen = choose_calibration(positive, np.array([0.9, 0.1, 0.2, 0.3]), groups, seed=1)

    assert chosen.calibration == Calibration()
    assert "fewer than two groups" in chosen.chosen_by
    np.testing.assert_array_equal(chosen.cross_validated, [0.9, 0.1, 0.2, 0.3])
    with pytest.raises(BenchError, match="--calibration platt needs two groups"):
        choose_calibration(positive, np.full(4, 0.5), groups, method="platt", seed=1)


def test_method_is_refused_when_unknown() -> None:
    with pytest.raises(BenchError, match="no calibration 'magic': choose one of auto, none"):
        choose_calibration(POSITIVE, TOO_SURE, GROUPS, method="magic", seed=1)


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 1000), images=st.integers(4, 30))
def test_calibration_is_found_when_images_are_few(seed: int, images: int) -> None:
    generator = np.random.default_rng(seed)
    positive = np.arange(images) % 2 == 0
    probabilities = generator.random(images)
    groups = [str(generator.integers(images)) for _ in range(images)]

    chosen = choose_calibration(positive, probabilities, groups, seed=seed)

    assert np.isfinite(chosen.cross_validated).all()
