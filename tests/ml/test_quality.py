"""A photograph passes the gate when it is sharp, light and large enough and shows skin; else it hears why."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from ml.inference import ModelIntegrityError
from ml.inference.quality import QualityGate, QualityIssue
from ml.inference.quality_measures import QualityMeasures, measure_photograph
from ml.inference.skin_features import rooted
from ml.training.quality_limits import (
    fit_quality_gate,
)
from tests.ml.spoilt_photographs import (
    CHANNELS,
    SIDE_PX,
    blurred,
    brightened,
    in_round_field,
    issues_of,
    photograph,
    skin_features,
)


@pytest.mark.parametrize("seed", range(900, 906))
def test_photograph_passes_when_nothing_is_wrong(gate: QualityGate, seed: int) -> None:
    verdict = gate.assess(photograph(seed), skin_features(1, seed)[0])

    assert verdict.acceptable
    assert verdict.findings == ()


STOPPED: list[tuple[QualityIssue, Callable[[Image.Image], Image.Image]]] = [
    (QualityIssue.BLURRED, blurred(3)),
    (QualityIssue.TOO_DARK, brightened(0.1)),
    (QualityIssue.TOO_BRIGHT, brightened(3)),
    (QualityIssue.TOO_SMALL, lambda image: image.resize((SIDE_PX, SIDE_PX - 1))),
    (QualityIssue.NOT_SKIN, lambda image: image.convert("L").convert("RGB")),
]
ALMOST: list[tuple[QualityIssue, Callable[[Image.Image], Image.Image]]] = [
    (QualityIssue.BLURRED, blurred(0.2)),
    (QualityIssue.TOO_DARK, brightened(0.4)),
    (QualityIssue.TOO_BRIGHT, brightened(1.1)),
    (QualityIssue.TOO_SMALL, lambda image: image.resize((SIDE_PX + 200, SIDE_PX))),
    (QualityIssue.NOT_SKIN, brightened(0.9)),
]


@pytest.mark.parametrize(("issue", "spoil"), STOPPED, ids=[issue for issue, _ in STOPPED])
def test_photograph_is_stopped_with_a_reason_and_a_hint_when_it_is_spoilt(
    gate: QualityGate, issue: QualityIssue, spoil: Callable[[Image.Image], Image.Image]
) -> None:
    verdict = gate.assess(spoil(photograph()))

    assert issues_of(verdict) == {issue}
    assert not verdict.acceptable
    (finding,) = verdict.findings
    assert finding.reason.startswith("The photograph ")
    assert finding.reason.endswith(".")
    assert finding.hint.endswith(".")
    assert "{" not in finding.reason


@pytest.mark.parametrize(("issue", "change"), ALMOST, ids=[issue for issue, _ in ALMOST])
def test_photograph_passes_when_the_change_is_small(
    gate: QualityGate, issue: QualityIssue, change: Callable[[Image.Image], Image.Image]
) -> None:
    assert issue not in issues_of(gate.assess(change(photograph())))


def test_size_is_named_when_photograph_is_too_small(gate: QualityGate) -> None:
    (finding,) = gate.assess(photograph().resize((200, 100))).findings

    assert "has 100 pixels and at least 240 are needed" in finding.reason


def test_sharpness_is_the_same_when_the_exposure_is_halved() -> None:
    full, half = photograph(), photograph().point(lambda value: value // 2)

    assert measure_photograph(half).sharpness == pytest.approx(measure_photograph(full).sharpness, rel=0.1)


def test_sharpness_falls_when_blur_grows() -> None:
    sharpness = [
        measure_photograph(blurred(radius)(photograph())).sharpness for radius in (0, 0.5, 1, 2, 3, 5)
    ]

    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[-1] < sharpness[0] / 4


def test_black_corners_are_no_darkness_and_no_edge_when_the_field_of_view_is_round(gate: QualityGate) -> None:
    whole, through_tube = photograph(), in_round_field(photograph())

    assert measure_photograph(through_tube) == measure_photograph(whole)
    assert gate.assess(through_tube).acceptable


def test_colour_is_not_judged_when_the_light_has_left_none(gate: QualityGate) -> None:
    for level in (0, 255):
        plain = Image.new("RGB", (SIDE_PX, SIDE_PX), (level, level, level))
        assert measure_photograph(plain).reddish_share == 1.0
        assert QualityIssue.NOT_SKIN not in issues_of(gate.assess(plain))


@pytest.mark.parametrize("darkening", [(0.45, 0.36, 0.28), (0.25, 0.18, 0.14)], ids=["type V", "type VI"])
def test_photograph_passes_when_skin_is_dark(
    gate: QualityGate, darkening: tuple[float, float, float]
) -> None:
    linear = (np.asarray(photograph()) / 255.0) ** 2.2 * darkening  # reflectance, not exposure
    dark = Image.fromarray((255 * linear ** (1 / 2.2)).astype(np.uint8))

    assert gate.assess(dark).acceptable


def test_light_limit_is_below_dark_skin_when_all_fitted_skin_is_light(gate: QualityGate) -> None:
    assert min(measure_photograph(photograph(seed)).luminance for seed in range(5)) > 0.25
    assert gate.limits.min_luminance == 0.15


def test_features_say_not_skin_when_they_are_far_from_all_fitted_ones(gate: QualityGate) -> None:
    other = np.random.default_rng(9).exponential(1, CHANNELS).astype(np.float32)

    verdict = gate.assess(photograph(), other)

    assert issues_of(verdict) == {QualityIssue.NOT_SKIN}
    assert verdict.measures.feature_distance is not None
    assert verdict.measures.feature_distance > gate.limits.max_feature_distance


def test_distance_is_the_same_when_features_are_scaled(gate: QualityGate) -> None:
    features = skin_features(1, seed=5)[0]

    near, scaled = (
        gate.assess(photograph(), one).measures.feature_distance for one in (features, features * 7)
    )

    assert scaled == pytest.approx(near, abs=1e-5)


def test_distance_is_what_is_left_of_a_least_squares_fit_when_directions_are_known(gate: QualityGate) -> None:
    assert gate.skin is not None
    features = np.random.default_rng(9).exponential(1, (3, CHANNELS)).astype(np.float32)
    roots = np.sqrt(features / features.sum(axis=1, keepdims=True))
    _, squares, *_ = np.linalg.lstsq(gate.skin.directions.T, (roots - gate.skin.mean).T)

    np.testing.assert_allclose(gate.skin.distances(features), np.sqrt(squares), rtol=1e-3)


def test_distance_is_unknown_when_there_are_no_features(gate: QualityGate) -> None:
    assert gate.assess(photograph()).measures.feature_distance is None


def test_features_are_left_alone_when_the_gate_was_fitted_without(
    drawn_measures: list[QualityMeasures],
) -> None:
    colour_only = fit_quality_gate(drawn_measures, None)

    verdict = colour_only.assess(photograph(), np.ones(3, dtype=np.float32))

    assert verdict.acceptable
    assert verdict.measures.feature_distance is None


@pytest.mark.parametrize("shape", [(CHANNELS + 1,), (1,), (0,), (1, CHANNELS)], ids=str)
def test_features_are_refused_when_they_are_of_another_network(
    gate: QualityGate, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ModelIntegrityError, match=f"fitted to {CHANNELS} features"):
        gate.assess(photograph(), np.ones(shape, dtype=np.float32))


def test_features_are_refused_when_they_are_not_finite(gate: QualityGate) -> None:
    with pytest.raises(ModelIntegrityError, match="no finite numbers"):
        gate.assess(photograph(), np.full(CHANNELS, np.nan, dtype=np.float32))


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    pixels=arrays(np.uint8, (6, 6, 3)),
    nearest=st.booleans(),
)
def test_verdict_is_given_when_image_is_anything(
    gate: QualityGate, size: tuple[int, int], pixels: NDArray[np.uint8], nearest: bool
) -> None:
    how = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
    verdict = gate.assess(Image.fromarray(pixels).resize(size, how))

    measures = verdict.measures
    assert (QualityIssue.TOO_SMALL in issues_of(verdict)) == (min(size) < SIDE_PX)
    assert np.isfinite(measures.sharpness)
    shares = (measures.luminance, measures.dark_share, measures.bright_share, measures.reddish_share)
    assert all(0 <= share <= 1.0001 for share in shares)


@given(features=arrays(np.float32, (2, 5), elements=st.floats(-(2.0**100), 2.0**127, width=32)))
def test_rooted_features_have_length_one_when_any_is_above_nothing(features: NDArray[np.float32]) -> None:
    lengths = np.linalg.norm(rooted(features), axis=1)

    for row, length in zip(features, lengths, strict=True):
        if row.max() > 1e-30:
            assert length == pytest.approx(1, abs=1e-3)
        else:
            assert np.isfinite(length)


def test_image_is_refused_when_it_is_not_rgb(gate: QualityGate) -> None:
    with pytest.raises(ValueError, match="expected an RGB image"):
        gate.assess(photograph().convert("L"))
