"""A backbone of two convolutions: what the tests of phases and files need of a network, in a hundredth of the time."""

from typing import Any

import keras


def build_small_backbone(
    *,
    include_top: bool,
    weights: None,
    input_tensor: Any = None,
    input_shape: tuple[int, int, int] | None = None,
) -> keras.Model:
    """As the functions of keras.applications are called; two convolutions, each with batch normalisation."""
    assert not include_top
    assert weights is None
    image = keras.Input(input_shape) if input_tensor is None else input_tensor
    values = image
    for name, filters in (("first", 8), ("second", 16)):
        values = keras.layers.Conv2D(filters, 3, strides=2, padding="same", name=f"{name}_conv")(values)
        values = keras.layers.BatchNormalization(name=f"{name}_norm")(values)
        values = keras.layers.ReLU(name=f"{name}_relu")(values)
    inputs = image if input_tensor is None else keras.utils.get_source_inputs(input_tensor)
    return keras.Model(inputs, values)
