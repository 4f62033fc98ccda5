"""The networks by name. Keras layers only, so that every Keras backend trains them."""

from collections.abc import Callable
from typing import Final

import keras

from ml.training.errors import BenchError


def build_custom_cnn(*, input_size_px: int = 128) -> keras.Model:
    """Build the small network of the clinic demo: three convolutions with max-pooling, then two dense layers.

    At 128 px it has 3,304,769 parameters, nearly all of them between Flatten and Dense 128.

    Args:
        input_size_px: side of the input; at least 22, for what three poolings leave.

    Returns:
        Model from float32 (batch, size, size, 3), RGB, 0 to 1, to float32 (batch, 1), the probability of
        malignancy.
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
            keras.layers.Dense(1, activation="sigmoid", name="probability"),
        ],
        name="custom_cnn",
    )


ARCHITECTURES: Final[dict[str, Callable[..., keras.Model]]] = {"custom_cnn": build_custom_cnn}


def build(architecture: str, *, input_size_px: int) -> keras.Model:
    """Build a network by its name, with fresh weights.

    Raises:
        BenchError: no network has this name.
    """
    if architecture not in ARCHITECTURES:
        raise BenchError(
            f"no architecture {architecture!r}: choose one of {', '.join(sorted(ARCHITECTURES))}"
        )
    return ARCHITECTURES[architecture](input_size_px=input_size_px)
