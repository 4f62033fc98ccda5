"""Leave one source out, longer and larger: six more epochs of mobilenet_v2_without_isic2017, at 160 px.

Command: python -m ml train mobilenet_v2_without_isic2017_longer \\
    --weights runs/mobilenet_v2_without_isic2017/best-003.keras
"""

from dataclasses import replace
from typing import Final

from ml.experiments.mobilenet_v2_without_isic2017 import EXPERIMENT as BASE

EXPERIMENT: Final = replace(
    BASE,
    name="mobilenet_v2_without_isic2017_longer",
    input_size_px=160,
    epochs=6,
)
