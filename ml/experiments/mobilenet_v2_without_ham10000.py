"""Leave one source out: MobileNetV2 at 128 px without ham10000, half as long as mobilenet_v2_160.

Images that share a group with the left-out collection are not trained on, so that the whole of it judges.
"""

from dataclasses import replace
from typing import Final

from ml.experiments.mobilenet_v2_160 import EXPERIMENT as BASE

EXPERIMENT: Final = replace(
    BASE,
    name="mobilenet_v2_without_ham10000",
    sources=("kaggle_melanoma_10000", "isic2017"),
    left_out_source="ham10000",
    input_size_px=128,
    epochs=3,
)
