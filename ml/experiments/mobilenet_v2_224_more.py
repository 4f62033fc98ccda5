"""Twelve more epochs of mobilenet_v2_224, from the network of mobilenet_v2_224_longer.

Command: python -m ml train mobilenet_v2_224_more --weights runs/mobilenet_v2_224_longer/best-012.keras
"""

from dataclasses import replace
from typing import Final

from ml.experiments.mobilenet_v2_224_longer import EXPERIMENT as BASE

EXPERIMENT: Final = replace(BASE, name="mobilenet_v2_224_more", learning_rate=2e-4)
