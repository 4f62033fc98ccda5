"""MobileNetV2 on all three collections at 224 px, going on from the network that mobilenet_v2_160 found.

Command: python -m ml train mobilenet_v2_224 --weights runs/mobilenet_v2_160/best-006.keras
"""

from dataclasses import replace
from typing import Final

from ml.experiments.mobilenet_v2_160 import EXPERIMENT as BASE
from ml.training.config import AugmentationConfig

EXPERIMENT: Final = replace(
    BASE,
    name="mobilenet_v2_224",
    input_size_px=224,
    epochs=8,
    patience_epochs=8,
    learning_rate=2.5e-4,
    augmentation=AugmentationConfig(  # milder than before: the last passes are to see lesions as they are
        rotation_degrees=180.0,
        shift_fraction=0.06,
        zoom_fraction=0.2,
        stretch_fraction=0.15,
        flips=True,
        brightness_fraction=0.15,
        contrast_fraction=0.15,
        channel_gain_fraction=0.05,
        saturation_fraction=0.2,
        hue_degrees=5.0,
        black_corner_share=0.3,
        compression_share=0.2,
        blur_share=0.05,
    ),
)
