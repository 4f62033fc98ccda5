"""Augmentation changes what it says, by as much as it says, and the same way for the same seed."""

import hashlib

import numpy as np
import pytest

from ml.training.augmentation import augment
from ml.training.config import STRONG_AUGMENTATION, AugmentationConfig
from tests.ml.drawn_lesions import draw_lesion

PIXELS = np.asarray(draw_lesion(malignant=True, seed=4, side_px=64))


def changed(config: AugmentationConfig, seed: int = 0, pixels: np.ndarray = PIXELS) -> np.ndarray:
    return augment(pixels, config=config, generator=np.random.default_rng(seed))


def test_image_is_unchanged_when_nothing_is_configured() -> None:
    np.testing.assert_array_equal(changed(AugmentationConfig()), PIXELS)


def test_image_is_mirrored_when_flips_are_on() -> None:
    views = {changed(AugmentationConfig(flips=True), seed).tobytes() for seed in range(40)}

    assert views == {view.tobytes() for view in (PIXELS, PIXELS[::-1], PIXELS[:, ::-1], PIXELS[::-1, ::-1])}


@pytest.mark.parametrize(
    "field",
    [
        "rotation_degrees",
        "shift_fraction",
        "zoom_fraction",
        "stretch_fraction",
        "brightness_fraction",
        "contrast_fraction",
        "channel_gain_fraction",
        "saturation_fraction",
        "hue_degrees",
        "black_corner_share",
        "compression_share",
        "blur_share",
    ],
)
def test_image_changes_when_one_change_is_configured(field: str) -> None:
    config = AugmentationConfig(**{field: 30.0 if field.endswith("degrees") else 0.5})

    views = [changed(config, seed) for seed in range(8)]

    assert all(view.shape == PIXELS.shape and view.dtype == np.uint8 for view in views)
    assert len({view.tobytes() for view in views}) > 1
    assert any(not np.array_equal(view, PIXELS) for view in views)


def test_border_is_a_reflection_when_image_is_moved_far() -> None:
    skin = np.full((64, 64, 3), (220, 180, 160), dtype=np.uint8)
    config = AugmentationConfig(rotation_degrees=180, shift_fraction=0.1, zoom_fraction=0.2)

    for seed in range(30):
        np.testing.assert_array_equal(changed(config, seed, skin), skin)


def test_corners_are_black_and_the_middle_is_not_when_the_field_of_view_is_round() -> None:
    skin = np.full((64, 64, 3), 200, dtype=np.uint8)

    for seed in range(30):
        view = changed(AugmentationConfig(black_corner_share=1.0), seed, skin)
        assert (view[16:48, 16:48] == 200).all()
        assert min(view[0, 0].max(), view[0, -1].max(), view[-1, 0].max(), view[-1, -1].max()) == 0


def test_share_of_black_corners_is_as_configured_when_many_images_are_drawn() -> None:
    skin = np.full((32, 32, 3), 200, dtype=np.uint8)
    views = [changed(AugmentationConfig(black_corner_share=0.25), seed, skin) for seed in range(800)]

    assert 0.2 < np.mean([(view != 200).any() for view in views]) < 0.3


def test_image_is_the_same_when_the_seed_is() -> None:
    config = AugmentationConfig(rotation_degrees=180, zoom_fraction=0.2, brightness_fraction=0.2, flips=True)

    np.testing.assert_array_equal(changed(config, 9), changed(config, 9))


def test_strongly_changed_image_is_the_same_when_the_seed_is() -> None:
    for seed in range(10):
        np.testing.assert_array_equal(changed(STRONG_AUGMENTATION, seed), changed(STRONG_AUGMENTATION, seed))
    assert len({changed(STRONG_AUGMENTATION, seed).tobytes() for seed in range(10)}) == 10


BEFORE_COLOUR_AND_COMPRESSION = AugmentationConfig(
    rotation_degrees=180.0,
    shift_fraction=0.05,
    zoom_fraction=0.15,
    flips=True,
    brightness_fraction=0.1,
    contrast_fraction=0.1,
    channel_gain_fraction=0.03,
    black_corner_share=0.25,
)
"""What the first released network was trained with, before there were further changes."""


def test_images_are_drawn_as_ever_when_the_newer_changes_are_off() -> None:
    y, x, channel = np.ogrid[:48, :48, :3]
    pixels = ((y * 5 + x * (3 + channel) + channel * 40) % 256).astype(np.uint8)
    views, following = hashlib.sha256(), []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        views.update(augment(pixels, config=BEFORE_COLOUR_AND_COMPRESSION, generator=generator))
        following.append(generator.random())

    # Both computed with the module as it was when that network was trained.
    assert sum(following) == pytest.approx(19.629207967185867, abs=1e-12), "another number of draws"
    assert views.hexdigest() == "7e4501de7e471dfca91322b43440a2c5428edfeeccaf89c5ade5f0533ccb2ae6"


def luma(pixels: np.ndarray) -> np.ndarray:
    """Brightness as ITU-R BT.601 weighs the channels, in whole numbers: float (..., )."""
    red, green, blue = np.moveaxis(pixels.astype(float), -1, 0)
    return (299 * red + 587 * green + 114 * blue) / 1000


@pytest.mark.parametrize(
    "change", [{"saturation_fraction": 0.5}, {"hue_degrees": 20.0}], ids=["saturation", "hue"]
)
def test_luma_is_kept_when_only_the_colours_change(change: dict[str, float]) -> None:
    # Far enough from black and white that nothing is clipped.
    pixels = np.random.default_rng(1).integers(90, 166, size=(32, 32, 3), dtype=np.uint8)

    for seed in range(20):
        view = changed(AugmentationConfig(**change), seed, pixels)
        assert not np.array_equal(view, pixels)
        assert np.abs(luma(view) - luma(pixels)).max() <= 0.5 + 1e-3, (
            "each channel is rounded by up to a half"
        )


def test_grey_stays_grey_when_only_the_colours_change() -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    config = AugmentationConfig(saturation_fraction=0.9, hue_degrees=60.0)

    for seed in range(20):
        np.testing.assert_array_equal(changed(config, seed, grey), grey)


def test_colours_are_further_from_grey_when_saturation_rises() -> None:
    pixels = np.full((8, 8, 3), (150, 120, 100), dtype=np.uint8)
    spreads = [
        int(np.ptp(changed(AugmentationConfig(saturation_fraction=0.5), seed, pixels)[0, 0].astype(int)))
        for seed in range(200)
    ]

    assert 25 <= min(spreads) < 30
    assert 70 < max(spreads) <= 75


def test_circle_becomes_an_ellipse_of_the_same_area_when_stretched() -> None:
    y, x = np.ogrid[0.5:128, 0.5:128]
    disc = np.where(np.hypot(x - 64, y - 64) < 32, 20, 220)[..., np.newaxis].repeat(3, 2).astype(np.uint8)
    aspects = []
    for seed in range(60):
        dark = changed(AugmentationConfig(stretch_fraction=0.4), seed, disc)[..., 0] < 120
        assert dark.sum() == pytest.approx(np.pi * 32**2, rel=0.03)
        aspects.append(dark.any(axis=0).sum() / dark.any(axis=1).sum())

    assert 1 / 1.45 < min(aspects) < 0.8
    assert 1.25 < max(aspects) < 1.45


@pytest.mark.parametrize(("field", "least"), [("compression_share", 0.19), ("blur_share", 0.1)])
def test_share_of_changed_images_is_as_configured_when_many_are_drawn(field: str, least: float) -> None:
    small = PIXELS[:32, :32]
    views = [changed(AugmentationConfig(**{field: 0.25}), seed, small) for seed in range(600)]

    # The weakest blurs leave an image of 32 pixels as it is.
    assert least < np.mean([not np.array_equal(view, small) for view in views]) < 0.31
