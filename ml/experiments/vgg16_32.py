"""VGG16 from random weights at 32 px: a row of the comparison, on the budget of mobilenet_v2_160."""

from dataclasses import replace
from typing import Final

from ml.experiments.mobilenet_v2_160 import EXPERIMENT as BASE
from ml.training.config import NO_WEIGHTS

EXPERIMENT: Final = replace(
    BASE,
    name="vgg16_32",
    architecture="vgg16",
    input_size_px=32,
    weights=NO_WEIGHTS,
    learning_rate=1e-4,
)
