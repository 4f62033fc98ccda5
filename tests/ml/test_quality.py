"""A photograph passes the gate when it is sharp, light and large enough and shows skin; else it hears why."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from ml.inference import ModelIntegrityError
from ml.inference.quality import QualityGate, QualityIssue, QualityVerdict, arrays_of
from ml.inference.quality_measures import QualityMeasures, measure_photograph
from ml.inference.skin_features import SkinFeatures, rooted
from ml.preprocessing import decode_image
from ml.training.datasets import LabelledImage
from ml.training.errors import BenchError
from ml.training.quality_limits import (
    StoppedShares,
    draw_sample,
    fit_quality_gate,
    measure_photographs,
    write_quality_gate,
)
from tests.ml.drawn_lesions import draw_lesion

SIDE_PX = 240
CHANNELS = 24


def photograph(seed: int = 901) -> Image.Image:
    """A drawn lesion as large as the training images, with an edge as soft as a lens gives."""
    lesion = draw_lesion(malignant=seed % 2 == 0, seed=seed, side_px=SIDE_PX)
    return lesion.filter(ImageFilter.GaussianBlur(0.6))


def skin_features(count: int, seed: int) -> NDArray[np.float32]:
    """Features that vary along four directions of many, as those of skin do."""
    generator = np.random.default_rng(seed)
    directions = np.random.default_rng(1).uniform(0, 1, (4, CHANNELS))
    features = generator.uniform(0.5, 1.5, (count, 4)) @ directions
    return (features + generator.uniform(0, 0.02, features.shape)).astype(np.float32)


def in_round_field(image: Image.Image) -> Image.Image:
    """The same photograph through a round field of view: all outside is black."""
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).ellipse((0, 0, image.width - 1, image.height - 1), fill=255)
    return Image.composite(image, Image.new("RGB", image.size), mask)


def brightened(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.point(lambda value: min(255, round(value * factor)))


def blurred(radius_px: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.filter(ImageFilter.GaussianBlur(radius_px))


def issues_of(verdict: QualityVerdict) -> set[QualityIssue]:
    return {finding.issue for finding in verdict.findings}


@pytest.fixture(scope="session")
def drawn_measures() -> list[QualityMeasures]:
    return measure_photographs(photograph(seed) for seed in range(120))


@pytest.fixture(scope="session")
def gate(drawn_measures: list[QualityMeasures]) -> QualityGate:
    """Fitted to drawn photographs and to features made for them."""
    return fit_quality_gate(drawn_measures, skin_features(120, seed=2), dimensions=4)


@pytest.fixture
def gate_file(gate: QualityGate, tmp_path: Path) -> Path:
    path = tmp_path / "quality.npz"
    write_quality_gate(gate, path)
    return path


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


def test_verdict_is_the_same_when_the_gate_is_read_back(gate: QualityGate, gate_file: Path) -> None:
    read = QualityGate.load(gate_file)

    features = skin_features(1, seed=5)[0]
    assert (read.limits, read.images, read.stopped_shares) == (gate.limits, gate.images, gate.stopped_shares)
    assert read.assess(photograph(), features) == gate.assess(photograph(), features)


def test_file_is_the_same_when_it_is_written_again(gate: QualityGate, gate_file: Path) -> None:
    first = gate_file.read_bytes()
    write_quality_gate(gate, gate_file)

    assert gate_file.read_bytes() == first


def test_file_stays_small_when_a_network_has_many_features(gate: QualityGate, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    skin = SkinFeatures(
        generator.normal(size=2048).astype(np.float32), generator.normal(size=(32, 2048)).astype(np.float32)
    )
    write_quality_gate(replace(gate, skin=skin), tmp_path / "quality.npz")

    assert (tmp_path / "quality.npz").stat().st_size < 200_000


def test_gate_is_refused_when_its_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelIntegrityError, match=r"quality\.npz is missing: restore"):
        QualityGate.load(tmp_path / "quality.npz")


def _npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"no archive", _npy()], ids=["", "PK", "text", "npy"]
)
def test_gate_is_refused_when_its_file_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "quality.npz").write_bytes(content)

    with pytest.raises(ModelIntegrityError, match=r"is damaged: restore"):
        QualityGate.load(tmp_path / "quality.npz")


def test_gate_is_refused_or_the_same_when_one_byte_is_changed(gate: QualityGate, gate_file: Path) -> None:
    whole = gate_file.read_bytes()
    for place in range(0, len(whole), 23):
        changed = bytearray(whole)
        changed[place] ^= 0x55
        gate_file.write_bytes(changed)
        try:
            assert QualityGate.load(gate_file).limits == gate.limits
        except ModelIntegrityError as error:
            assert "restore it from the repository" in str(error)  # noqa: PT017 - most bytes refuse, few are idle


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_gate_is_refused_when_its_file_is_cut_off(gate_file: Path, share: float) -> None:
    content = gate_file.read_bytes()
    gate_file.write_bytes(content[: int(share * len(content))])

    with pytest.raises(ModelIntegrityError, match="restore"):
        QualityGate.load(gate_file)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", np.array(99)),
        ("format", None),
        ("min_sharpness", None),
        ("min_sharpness", np.array(np.nan)),
        ("min_luminance", np.array("dark")),
        ("max_dark_share", np.zeros(2)),
        ("stopped_blurred", None),
        ("skin_directions", None),
        ("skin_directions", np.zeros((4, CHANNELS + 1), dtype=np.float16)),
        ("skin_directions", np.zeros(CHANNELS, dtype=np.float16)),
        ("skin_mean", np.full(CHANNELS, np.inf, dtype=np.float32)),
        ("min_sharpness", np.array({}, dtype=object)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_gate_is_refused_when_an_array_is_missing_or_impossible(
    gate: QualityGate, tmp_path: Path, name: str, value: NDArray[np.generic] | None
) -> None:
    stored = arrays_of(gate) | {name: value}
    np.savez(tmp_path / "quality.npz", **{key: one for key, one in stored.items() if one is not None})

    with pytest.raises(ModelIntegrityError, match="restore it from the repository"):
        QualityGate.load(tmp_path / "quality.npz")


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


def test_stated_shares_are_kept_when_limits_are_fitted() -> None:
    generator = np.random.default_rng(3)
    usual = measure_photograph(photograph())
    measures = [
        replace(
            usual,
            sharpness=float(generator.gamma(4, 0.03)),
            luminance=float(generator.uniform(0.05, 1)),
            reddish_share=float(generator.uniform(0, 1)),
        )
        for _ in range(1000)
    ]

    shares = StoppedShares(blurred=0.05, exposure=0.02, colour=0.03)
    fitted = fit_quality_gate(measures, skin_features(1000, seed=4), shares=shares, dimensions=4)

    assert fitted.images == 1000
    assert fitted.stopped_shares[QualityIssue.BLURRED] == pytest.approx(0.05, abs=0.002)
    assert fitted.stopped_shares[QualityIssue.TOO_DARK] == pytest.approx(0.02, abs=0.002)
    assert fitted.stopped_shares[QualityIssue.NOT_SKIN] == pytest.approx(0.03, abs=0.01)
    assert fitted.stopped_shares[QualityIssue.TOO_SMALL] == 0


def test_fitting_is_refused_when_there_are_too_few_images() -> None:
    with pytest.raises(BenchError, match="20 images are too few"):
        fit_quality_gate([measure_photograph(photograph())] * 20, None)


@pytest.mark.parametrize("features", [np.ones((99, 4)), np.ones(100), np.full((100, 4), np.nan)], ids=str)
def test_fitting_is_refused_when_features_are_not_those_of_the_images(features: NDArray[np.float32]) -> None:
    with pytest.raises(BenchError, match="features"):
        fit_quality_gate([measure_photograph(photograph())] * 100, features)


def test_sample_is_even_when_one_collection_is_large() -> None:
    def images(source: str, count: int) -> list[LabelledImage]:
        return [
            LabelledImage(f"{source}/{number}", source, "", "nv", False, False, f"{source}{number}")
            for number in range(count)
        ]

    collections = images("large", 500) + images("middle", 100) + images("small", 10)
    drawn = draw_sample(collections, count=90, seed=1)

    sources = [image.source for image in drawn]
    assert {source: sources.count(source) for source in set(sources)} == {
        "large": 40,
        "middle": 40,
        "small": 10,
    }
    assert len(set(drawn)) == 90
    assert drawn == draw_sample(collections[::-1], count=90, seed=1)
    assert draw_sample(collections, count=9000, seed=1) != tuple(collections)
    assert set(draw_sample(collections, count=9000, seed=1)) == set(collections)


def test_real_photographs_are_told_from_blurred_and_grey_ones(real_images: list[Path]) -> None:
    if not real_images:
        pytest.skip("no data folder: set MELANOMA_DATA to look at real images")
    images = [decode_image(path.read_bytes()) for path in real_images]
    # Few images, so each is seen several times: the limits are those of the weakest.
    fitted = fit_quality_gate(measure_photographs(images) * 5, None)

    assert all(fitted.assess(image).acceptable for image in images)
    soft = [fitted.assess(blurred(image.width / 60)(image)) for image in images]
    grey = [fitted.assess(image.convert("L").convert("RGB")) for image in images]
    assert np.mean([QualityIssue.BLURRED in issues_of(verdict) for verdict in soft]) > 0.9
    assert all(QualityIssue.NOT_SKIN in issues_of(verdict) for verdict in grey)
