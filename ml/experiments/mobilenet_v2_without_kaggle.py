"""Leave one source out: MobileNetV2 at 128 px without kaggle_melanoma_10000, half as long as mobilenet_v2_160.

Nearly all melanomas of the other two collections stand in the Kaggle set, too. They are trained on and left out of
the judgement instead (`evaluation_sets`), for without them there would be nothing to learn.
"""

from dataclasses import replace
from typing import Final

from ml.experiments.mobilenet_v2_160 import EXPERIMENT as BASE

EXPERIMENT: Final = replace(
    BASE,
    name="mobilenet_v2_without_kaggle",
    sources=("ham10000", "isic2017"),
    input_size_px=128,
    epochs=3,
)
