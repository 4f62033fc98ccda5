"""MobileNetV2 on all three collections at 160 px: the row of the comparison, and the start of mobilenet_v2_224."""

from typing import Final

from ml.training.config import IMAGENET_WEIGHTS, STRONG_AUGMENTATION, TrainingConfig

EXPERIMENT: Final = TrainingConfig(
    name="mobilenet_v2_160",
    architecture="mobilenet_v2",
    input_size_px=160,
    sources=("kaggle_melanoma_10000", "ham10000", "isic2017"),
    epochs=6,
    batch_size=32,
    validation_fraction=0.12,
    learning_rate=3e-4,
    patience_epochs=6,
    seed=2026,
    augmentation=STRONG_AUGMENTATION,
    balance="class_and_source",
    samples_an_epoch=8000,
    weights=IMAGENET_WEIGHTS,
    warmup_steps=200,
    monitor="val_auc",
)
