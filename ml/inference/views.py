"""A lesion has no upright: the same picture turned and mirrored, and the mean of what a network says of each."""

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Pixel = TypeVar("Pixel", bound=np.generic)

VIEW_COUNTS: Final = (1, 8)
"""The picture alone, or all eight flips and quarter turns of a square (the dihedral group)."""


def dihedral_views(pixels: NDArray[Pixel]) -> NDArray[Pixel]:
    """All eight flips and quarter turns of square pictures.

    Args:
        pixels: (images, side, side, channels), of any type.

    Returns:
        (8 * images, side, side, channels): all pictures as they are, then all of them in the next view, and so
        on; `mean_over_views` knows the order.

    Raises:
        ValueError: the pictures are not square.
    """
    if pixels.ndim != 4 or pixels.shape[1] != pixels.shape[2]:
        raise ValueError(f"expected (images, side, side, channels), got {pixels.shape}")
    mirrored = pixels[:, :, ::-1]
    turned = [np.rot90(one, quarter, axes=(1, 2)) for one in (pixels, mirrored) for quarter in range(4)]
    return np.concatenate(turned)


def views_of(pixels: NDArray[Pixel], views: int) -> NDArray[Pixel]:
    """The pictures alone, or their eight views, for a network.

    Raises:
        ValueError: the number of views is not one of `VIEW_COUNTS`, or the pictures are not square.
    """
    if views not in VIEW_COUNTS:
        raise ValueError(f"views must be one of {', '.join(map(str, VIEW_COUNTS))}, not {views}")
    return pixels if views == 1 else dihedral_views(pixels)


def mean_over_views(answers: NDArray[np.floating], views: int) -> NDArray[np.float64]:
    """The mean of a network's answers to all views of each picture.

    Args:
        answers: float (views * images, ...), in the order of `views_of`.
        views: of each picture.

    Returns:
        float64 (images, ...).
    """
    by_view = answers.astype(np.float64).reshape(views, -1, *answers.shape[1:])
    return np.asarray(by_view.mean(axis=0), dtype=np.float64)
