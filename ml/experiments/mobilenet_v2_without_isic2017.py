"""Leave one source out: MobileNetV2 at 128 px without isic2017, half as long as mobilenet_v2_160.

Images that share a group with the left-out collection are not trained on, so that the whole of it judges.
"""

from dataclasses import replace
from typing import Final

from ml.experiments.mobilenet_v2_160 import EXPERIMENT as BASE

EXPERIMENT: Final = replace(
    BASE,
    name="mobilenet_v2_without_isic2017",
    sources=("kaggle_melanoma_10000", "ham10000"),
    left_out_source="isic2017",
    input_size_px=128,
    epochs=3,
)
