"""ResNet50 from random weights at 64 px: a row of the comparison, on the budget of mobilenet_v2_160."""

from dataclasses import replace
from typing import Final

from ml.experiments.mobilenet_v2_160 import EXPERIMENT as BASE
from ml.training.config import NO_WEIGHTS

EXPERIMENT: Final = replace(
    BASE,
    name="resnet50_64",
    architecture="resnet50",
    input_size_px=64,
    weights=NO_WEIGHTS,
    learning_rate=1e-3,
)
