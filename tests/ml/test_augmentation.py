"""Augmentation changes what it says, by as much as it says, and the same way for the same seed."""

import numpy as np
import pytest

from ml.training.augmentation import augment
from ml.training.config import AugmentationConfig
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
        "brightness_fraction",
        "contrast_fraction",
        "channel_gain_fraction",
        "black_corner_share",
    ],
)
def test_image_changes_when_one_change_is_configured(field: str) -> None:
    config = AugmentationConfig(**{field: 90.0 if field == "rotation_degrees" else 0.5})

    views = [changed(config, seed) for seed in range(6)]

    assert all(view.shape == PIXELS.shape and view.dtype == np.uint8 for view in views)
    assert len({view.tobytes() for view in views}) > 1


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
