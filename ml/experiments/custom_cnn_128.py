"""The custom CNN at 128 px: a row of the comparison, on the budget of mobilenet_v2_160."""

from dataclasses import replace
from typing import Final

from ml.experiments.mobilenet_v2_160 import EXPERIMENT as BASE
from ml.training.config import NO_WEIGHTS

EXPERIMENT: Final = replace(
    BASE,
    name="custom_cnn_128",
    architecture="custom_cnn",
    input_size_px=128,
    weights=NO_WEIGHTS,
    learning_rate=1e-3,
)
