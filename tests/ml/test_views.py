"""The eight views of a picture are the eight symmetries of a square, and their mean is what it says."""

import numpy as np
import pytest

from ml.inference.views import dihedral_views, mean_over_views, views_of

PIXELS = np.arange(3 * 4 * 4 * 3, dtype=np.uint8).reshape(3, 4, 4, 3)


def test_views_are_all_flips_and_quarter_turns_when_compared_with_transpositions() -> None:
    views = dihedral_views(PIXELS).reshape(8, 3, 4, 4, 3)

    for index, one in enumerate(PIXELS):
        upright = [one, one[::-1], one[:, ::-1], one[::-1, ::-1]]
        expected = [*upright, *(picture.swapaxes(0, 1) for picture in upright)]
        found = {view.tobytes() for view in views[:, index]}
        assert found == {picture.tobytes() for picture in expected}
        assert len(found) == 8
    np.testing.assert_array_equal(views[0], PIXELS)
    assert views.dtype == np.uint8


def test_mean_belongs_to_its_picture_when_taken_over_views() -> None:
    brightness = views_of(PIXELS, 8).mean(axis=(1, 2, 3))[:, np.newaxis]

    means = mean_over_views(brightness.astype(np.float32), 8)

    assert means.dtype == np.float64
    np.testing.assert_allclose(means[:, 0], PIXELS.mean(axis=(1, 2, 3)))


def test_mean_is_of_different_answers_when_views_differ() -> None:
    corner = dihedral_views(PIXELS)[:, 0, 0, 0].astype(np.float32)

    corners = PIXELS[:, [0, 0, -1, -1], [0, -1, 0, -1], 0].mean(axis=1)
    np.testing.assert_allclose(mean_over_views(corner, 8), corners)


def test_picture_stays_as_it_is_when_one_view_is_wanted() -> None:
    assert views_of(PIXELS, 1) is PIXELS
    np.testing.assert_array_equal(mean_over_views(np.array([0.25, 0.5]), 1), [0.25, 0.5])


def test_views_are_refused_when_unknown_or_not_square() -> None:
    with pytest.raises(ValueError, match="views must be one of 1, 8, not 4"):
        views_of(PIXELS, 4)
    with pytest.raises(ValueError, match=r"expected \(images, side, side, channels\)"):
        dihedral_views(PIXELS[:, :3])
