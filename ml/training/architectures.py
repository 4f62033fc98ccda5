"""The networks by name. Keras layers only, so that every Keras backend trains them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import keras

from ml.training.errors import BenchError

HEAD_LAYERS: Final = ("pool", "dropout", "probability")
"""Layers of the transfer networks that come after the backbone."""


@dataclass(frozen=True)
class Backbone:
    """A network of keras.applications without its classifier.

    Attributes:
        build: the function of keras.applications.
        smallest_px: side of the smallest input it takes.
        scale: what inputs of 0 to 1 are multiplied with, as its ImageNet weights want them.
        offset: what is added then, a channel.
        channels: order of the channels that its ImageNet weights want.
    """

    build: Callable[..., keras.Model]
    smallest_px: int
    scale: float
    offset: tuple[float, float, float]
    channels: str = "RGB"


# The offsets of "caffe" networks are the mean colours of ImageNet (keras.applications.imagenet_utils).
_CAFFE: Final[dict[str, Any]] = {"scale": 255.0, "offset": (-123.68, -116.779, -103.939), "channels": "BGR"}
_MINUS_1_TO_1: Final[dict[str, Any]] = {"scale": 2.0, "offset": (-1.0, -1.0, -1.0)}

BACKBONES: Final[dict[str, Backbone]] = {
    "resnet50": Backbone(keras.applications.ResNet50, 32, **_CAFFE),
    "vgg16": Backbone(keras.applications.VGG16, 32, **_CAFFE),
    "inception_v3": Backbone(keras.applications.InceptionV3, 75, **_MINUS_1_TO_1),
    "mobilenet_v2": Backbone(keras.applications.MobileNetV2, 32, **_MINUS_1_TO_1),
}
CUSTOM_CNN: Final = "custom_cnn"
_SMALLEST_CUSTOM_PX: Final = 22  # three poolings leave one pixel
ARCHITECTURES: Final = (CUSTOM_CNN, *BACKBONES)


def build(architecture: str, *, input_size_px: int, outputs: int = 1, dropout: float = 0.2) -> keras.Model:
    """Build a network by its name, with fresh weights.

    Args:
        architecture: one of `ARCHITECTURES`.
        input_size_px: side of the square input.
        outputs: 1 for the probability of malignancy, or one a class (they add up to 1).
        dropout: of a transfer network's head; the custom CNN has its own, 0.5.

    Returns:
        Model from float32 (batch, size, size, 3), RGB, 0 to 1, to float32 (batch, outputs), 0 to 1.

    Raises:
        BenchError: no network has this name, or it takes no input as small.
    """
    if architecture not in ARCHITECTURES:
        raise BenchError(f"no architecture {architecture!r}: choose one of {', '.join(ARCHITECTURES)}")
    smallest = _SMALLEST_CUSTOM_PX if architecture == CUSTOM_CNN else BACKBONES[architecture].smallest_px
    if input_size_px < smallest:
        raise BenchError(f"{architecture} needs inputs of {smallest} px or more, not {input_size_px}")
    if architecture == CUSTOM_CNN:
        return _build_custom_cnn(input_size_px, outputs)
    return _build_transfer_network(architecture, input_size_px, outputs, dropout)


def _build_custom_cnn(input_size_px: int, outputs: int) -> keras.Model:
    """The small network of the clinic demo: three convolutions with max-pooling, then two dense layers.

    At 128 px it has 3,304,769 parameters, nearly all of them between Flatten and Dense 128.
    """
    return keras.Sequential(
        [
            keras.Input((input_size_px, input_size_px, 3), name="image"),
            keras.layers.Conv2D(32, 3, activation="relu", name="conv_1"),
            keras.layers.MaxPooling2D(name="pool_1"),
            keras.layers.Conv2D(64, 3, activation="relu", name="conv_2"),
            keras.layers.MaxPooling2D(name="pool_2"),
            keras.layers.Conv2D(128, 3, activation="relu", name="conv_3"),
            keras.layers.MaxPooling2D(name="pool_3"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(128, activation="relu", name="dense"),
            keras.layers.Dropout(0.5, name="dropout"),
            _last_layer(outputs),
        ],
        name=CUSTOM_CNN,
    )


def _build_transfer_network(architecture: str, size_px: int, outputs: int, dropout: float) -> keras.Model:
    """A backbone, its average over the picture, and one dense layer.

    The inputs are brought to the range of the ImageNet weights within the network, so that training and
    serving prepare images for all networks alike.
    """
    backbone = BACKBONES[architecture]
    image = keras.Input((size_px, size_px, 3), name="image")
    ranged = keras.layers.Rescaling(backbone.scale, backbone.offset, name="range")(image)
    if backbone.channels == "BGR":
        ranged = ranged[..., ::-1]
    features = backbone.build(include_top=False, weights=None, input_tensor=ranged).output
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    dropped = keras.layers.Dropout(dropout, name="dropout")(pooled)
    return keras.Model(image, _last_layer(outputs)(dropped), name=architecture)


def _last_layer(outputs: int) -> keras.layers.Layer:
    """Probabilities, in float32 whatever the precision before."""
    activation = "sigmoid" if outputs == 1 else "softmax"
    return keras.layers.Dense(outputs, activation=activation, dtype="float32", name="probability")
