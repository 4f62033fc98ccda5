"""Twelve more epochs of mobilenet_v2_224, from its network: mobilenet_v2-1.1.0.

Command: python -m ml train mobilenet_v2_224_longer --weights runs/mobilenet_v2_224/best-008.keras
"""

from dataclasses import replace
from typing import Final

from ml.experiments.mobilenet_v2_224 import EXPERIMENT as BASE

EXPERIMENT: Final = replace(BASE, name="mobilenet_v2_224_longer", epochs=12, patience_epochs=12)
