"""The custom CNN on the Kaggle set's training split.

Command: python -m ml train custom_cnn_kaggle && python -m ml evaluate custom_cnn_kaggle
Time: 14 minutes to train, 1 minute to evaluate, on 2 CPU cores.
Result: the start of custom_cnn_kaggle_longer, whose network is the released custom CNN.
"""

from typing import Final

from ml.training.config import AugmentationConfig, TrainingConfig

EXPERIMENT: Final = TrainingConfig(
    name="custom_cnn_kaggle",
    architecture="custom_cnn",
    input_size_px=128,
    sources=("kaggle_melanoma_10000",),
    epochs=20,
    batch_size=32,
    validation_fraction=0.2,
    learning_rate=1e-3,
    patience_epochs=6,
    seed=2026,
    augmentation=AugmentationConfig(
        rotation_degrees=180.0,
        shift_fraction=0.05,
        zoom_fraction=0.15,
        flips=True,
        brightness_fraction=0.1,
        contrast_fraction=0.1,
        channel_gain_fraction=0.03,
        black_corner_share=0.25,
    ),
)
