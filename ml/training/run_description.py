"""How a network was trained, in numbers and words, for metrics.json and the model card."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from ml.training.config import STRONG_AUGMENTATION, AugmentationConfig
from ml.training.datasets import Split
from ml.training.evaluation_sets import sources_of
from ml.training.run_state import RunState
from ml.training.sampling import images_an_epoch


def describe_training(state: RunState, split: Split, *, parameters: int) -> dict[str, Any]:
    """What metrics.json says under `training`.

    Args:
        state: of the run.
        split: of the run.
        parameters: of the network.
    """
    config = state.config
    samples = images_an_epoch(split.train, config)
    waits = [row["data_wait_ms"] for row in state.history if "data_wait_ms" in row]
    return {
        "architecture": config.architecture,
        "task": config.task,
        "parameters": parameters,
        "input_size_px": config.input_size_px,
        "sources": list(sources_of(split)),
        "left_out_source": config.left_out_source,
        "train_images": len(split.train),
        "validation_images": len(split.validation),
        "test_images": len(split.test),
        "dropped_images": len(split.dropped),
        "images_by_source": _count_by_source(split),
        "malignant_diagnoses": sorted({image.diagnosis for image in split.train if image.malignant}),
        "benign_diagnoses": sorted({image.diagnosis for image in split.train if not image.malignant}),
        "knows_melanoma_only": all(image.melanoma for image in split.train if image.malignant),
        "samples_an_epoch": samples,
        "epochs": state.epochs_done,
        "best_epoch": state.best_epoch,
        "images_seen": samples * state.epochs_done,
        "duration_s": round(sum(row["duration_s"] for row in state.history)),
        "data_wait_ms": round(sum(waits) / len(waits), 2) if waits else None,
        "seed": config.seed,
        "weights": config.weights,
        "loss": config.loss,
        "optimizer": config.optimizer,
        "learning_rate": config.learning_rate,
        "batch_size": config.batch_size,
        "balance": config.balance,
        "monitor": config.monitor,
        "precision": config.precision,
        "head_epochs": config.head_epochs,
        "augmentation": _describe_augmentation(config.augmentation),
    }


def _count_by_source(split: Split) -> dict[str, dict[str, int]]:
    """Training images by source and class."""
    counts = Counter((image.source, image.malignant) for image in split.train)
    return {
        source: {"malignant": counts[source, True], "benign": counts[source, False]}
        for source in sorted({source for source, _ in counts})
    }


def _describe_augmentation(augmentation: AugmentationConfig) -> dict[str, Any]:
    if augmentation == STRONG_AUGMENTATION:
        name = "strong"
    else:
        name = "none" if augmentation == AugmentationConfig() else "own"
    return {"name": name, **asdict(augmentation)}
