"""Judge a trained run: predict every set of images, choose the threshold on validation, measure, draw."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from ml.preprocessing import scale_pixels
from ml.training.datasets import LabelledImage
from ml.training.evaluation_sets import EvaluationSet, evaluation_sets
from ml.training.files import replacing, write_json
from ml.training.measures import choose_threshold, measure
from ml.training.pixels import load_pixels
from ml.training.plots import draw_calibration, draw_confusion, draw_roc
from ml.training.run_state import RunState, read_split, read_state
from ml.training.training import load_best_model

METRICS_FILE: Final = "metrics.json"
PREDICTIONS_FILE: Final = "predictions.csv"
ROC_PLOT: Final = "roc.png"
CONFUSION_PLOT: Final = "confusion_matrix.png"
CALIBRATION_PLOT: Final = "calibration.png"

OPERATING_SENSITIVITY: Final = 0.95
"""Above the 0.90 of clinicians with dermoscopy (Vestergaard et al. 2008, Br J Dermatol 159:669): a missed
melanoma costs far more than a benign lesion looked at again."""
FIXED_THRESHOLD: Final = 0.5

_BATCH: Final = 64
_DRAWN: Final = ("test", "ham10000", "isic2017_with_validation_twins")


def evaluate(run_folder: Path, images: Sequence[LabelledImage], *, data_folder: Path) -> dict[str, Any]:
    """Evaluate a run's best network; write metrics.json, predictions.csv and the plots into its folder.

    The threshold is the highest that reaches `OPERATING_SENSITIVITY` on the validation images.

    Args:
        run_folder: as `ml.training.training.train` left it.
        images: all rows of the data's manifest.
        data_folder: their paths are relative to it.

    Returns:
        What metrics.json holds.

    Raises:
        BenchError: no usable run in the folder, or an image is unreadable.
    """
    state = read_state(run_folder)
    split = read_split(run_folder, images)
    sets = evaluation_sets(images, split)
    wanted = {image.path: image for one in sets for image in one.images}
    pixels = load_pixels(
        list(wanted.values()),
        data_folder=data_folder,
        cache_folder=run_folder.parent / "cache",
        size_px=state.config.input_size_px,
    )
    probability = dict(zip(wanted, _predict(load_best_model(run_folder), pixels).tolist(), strict=True))
    _write_predictions(run_folder / PREDICTIONS_FILE, probability)
    scored = {one.key: np.array([probability[image.path] for image in one.images]) for one in sets}

    validation = sets[0]
    served = choose_threshold(validation.positive, scored[validation.key], sensitivity=OPERATING_SENSITIVITY)
    thresholds = {"at_0.5": FIXED_THRESHOLD, "at_served": served.value}
    metrics: dict[str, Any] = {
        "run": state.config.name,
        "training": _describe_training(state, len(split.train), len(split.validation), len(split.dropped)),
        "operating_point": {
            "name": f"sensitivity {OPERATING_SENSITIVITY:.2f} on validation",
            "threshold": served.value,
            "sensitivity": round(served.sensitivity, 4),
            "specificity": round(served.specificity, 4),
        },
        "sets": {
            one.key: {"title": one.title, "labels": one.labels, "in_source": one.in_source}
            | measure(
                one.positive,
                scored[one.key],
                [image.group for image in one.images],
                thresholds=thresholds,
                seed=state.config.seed,
            )
            for one in sets
            if one.images
        },
    }
    write_json(run_folder / METRICS_FILE, metrics)
    _draw(run_folder, state.config.architecture, sets, scored, metrics)
    return metrics


def _predict(model: keras.Model, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Probabilities, float64 (images,); batch by batch, for as floats the images fill the memory."""
    batches = [
        np.asarray(model.predict_on_batch(scale_pixels(pixels[start : start + _BATCH])))
        for start in range(0, len(pixels), _BATCH)
    ]
    return np.concatenate(batches).reshape(len(pixels)).astype(np.float64)


def _write_predictions(path: Path, probability: dict[str, float]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "probability"))
        writer.writerows(sorted(probability.items()))


def _describe_training(state: RunState, train: int, validation: int, dropped: int) -> dict[str, Any]:
    return {
        "architecture": state.config.architecture,
        "source": state.config.source,
        "input_size_px": state.config.input_size_px,
        "train_images": train,
        "validation_images": validation,
        "dropped_images": dropped,
        "epochs": state.epochs_done,
        "best_epoch": state.best_epoch,
        "duration_s": round(sum(row["duration_s"] for row in state.history)),
        "seed": state.config.seed,
    }


def _draw(
    folder: Path,
    name: str,
    sets: Sequence[EvaluationSet],
    scored: dict[str, NDArray[np.float64]],
    metrics: dict[str, Any],
) -> None:
    """Draw in-source and out-of-source curves of the sets that have enough images of both classes."""
    curves = [
        (one.title, one.positive, scored[one.key])
        for one in sets
        if one.key in _DRAWN and metrics["sets"].get(one.key, {}).get("auc")
    ]
    draw_roc(curves, folder / ROC_PLOT, name=name, threshold=metrics["operating_point"]["threshold"])
    draw_calibration(curves, folder / CALIBRATION_PLOT, name=name)
    test = metrics["sets"]["test"]
    draw_confusion(test, folder / CONFUSION_PLOT, title=test["title"])
