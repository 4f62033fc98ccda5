"""InceptionV3 from random weights at 75 px: a row of the comparison, on the budget of mobilenet_v2_160."""

from dataclasses import replace
from typing import Final

from ml.experiments.mobilenet_v2_160 import EXPERIMENT as BASE
from ml.training.config import NO_WEIGHTS

EXPERIMENT: Final = replace(
    BASE,
    name="inception_v3_75",
    architecture="inception_v3",
    input_size_px=75,
    weights=NO_WEIGHTS,
    learning_rate=1e-3,
)
