"""Where a network looked: a heat map from its last feature maps, laid over the photograph."""

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FEATURE_MAPS: Final = "feature_maps"
FEATURE_GRADIENTS: Final = "feature_gradients"
"""Outputs of a released network: both float32 (batch, height, width, channels)."""

# Five evenly spaced colours of viridis (van der Walt & Smith 2015, CC0): its lightness rises steadily, for all kinds
# of colour vision and in print, and nothing in it looks like skin.
_ANCHORS: Final = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)])
_STEPS: Final = 255
_COLOURS: Final[NDArray[np.uint8]] = (
    np.stack(
        [
            np.interp(np.arange(_STEPS + 1), np.linspace(0, _STEPS, len(_ANCHORS)), channel)
            for channel in _ANCHORS.T
        ],
        axis=1,
    )
    .round()
    .astype(np.uint8)
)
"""Colour of each strength: uint8 (256, 3), RGB."""
_MAX_OPACITY: Final = 0.6  # the structures of the lesion stay visible where the map is strongest
_UNSEEN_BRIGHTNESS: Final = 0.4  # of what the network was not shown


class HeatMapMethod(StrEnum):
    """How a heat map is computed.

    GRAD_CAM: a channel counts by the mean of its gradients (Selvaraju et al. 2017, doi:10.1109/ICCV.2017.74).
    HIRES_CAM: each place counts by its own gradient (Draelos & Carin 2020, arXiv:2011.08891).

    Both are the same map where the network averages its feature maps. Where it flattens them, Grad-CAM can point to
    places that did not matter; HiResCAM points only to places that raised the logit.
    """

    GRAD_CAM = "grad_cam"
    HIRES_CAM = "hires_cam"


def class_activation_map(
    feature_maps: NDArray[np.float32], gradients: NDArray[np.float32], *, method: HeatMapMethod
) -> NDArray[np.float32]:
    """Compute how much each place of a picture spoke for malignancy.

    It shows where, not why, and coarsely: a value stands for the surroundings that reach its place in the last feature
    maps. It is relative to its own maximum, so that maps of two pictures do not compare, and a benign answer has a
    strongest place, too. It is no outline of a lesion and no evidence that the answer is right.

    Args:
        feature_maps: float32 (1, height, width, channels), of one picture.
        gradients: float32 of the same shape, of the malignancy logit with respect to the feature maps.
        method: see `HeatMapMethod`.

    Returns:
        float32 (height, width), 0 to 1; all zeros where nothing speaks for malignancy.

    Raises:
        ValueError: the arrays are not of one picture, or not of the same shape.
    """
    if feature_maps.ndim != 4 or len(feature_maps) != 1 or gradients.shape != feature_maps.shape:
        raise ValueError(
            f"expected feature maps and gradients (1, height, width, channels), got {feature_maps.shape} "
            f"and {gradients.shape}"
        )
    weights = gradients[0]
    if method is HeatMapMethod.GRAD_CAM:
        weights = weights.mean(axis=(0, 1), keepdims=True)
    speaking = np.maximum((weights * feature_maps[0]).sum(axis=2), 0)
    strongest = speaking.max()
    return np.asarray(speaking / strongest if strongest > 0 else speaking, dtype=np.float32)


def overlay_heat_map(image: Image.Image, activation: NDArray[np.float32]) -> Image.Image:
    """Lay a heat map over the photograph it was computed from.

    The network was shown the centre square only (`ml.preprocessing.to_network_pixels`): the map covers that square,
    and what is beside it is darkened. The stronger the map, the lighter its colour and the more it covers: from dark
    violet, not to be seen, to yellow. Where it is zero the photograph is untouched.

    Args:
        image: mode RGB, as `decode_image` gives it.
        activation: float32 (height, width), 0 to 1, as `class_activation_map` gives it.

    Returns:
        A new image of mode RGB and the same size.

    Raises:
        ValueError: the image is not RGB, or the map is not two-dimensional.
    """
    if image.mode != "RGB" or activation.ndim != 2:
        raise ValueError(
            f"expected an RGB image and a map (height, width), got mode {image.mode} and {activation.shape}"
        )
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    laid = image.point(lambda value: round(value * _UNSEEN_BRIGHTNESS))
    laid.paste(_blend(image.crop(box), activation), box)
    return laid


def _blend(square: Image.Image, activation: NDArray[np.float32]) -> Image.Image:
    """Square photograph and map as one picture of the photograph's size."""
    resized = Image.fromarray(activation.astype(np.float32)).resize(square.size, Image.Resampling.BILINEAR)
    strength = (np.asarray(resized).clip(0, 1) * _STEPS).round().astype(np.uint8)
    opacity = Image.fromarray(strength).point(lambda value: round(value * _MAX_OPACITY))
    return Image.composite(Image.fromarray(_COLOURS[strength]), square, opacity)
