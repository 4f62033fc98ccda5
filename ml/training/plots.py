"""Drawings of a run: learning curves, ROC, confusion matrix, calibration. Small PNGs that need no display."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve

from ml.training.files import replacing

_DPI: Final = 100
_CALIBRATION_BINS: Final = 10
_TRAIN, _VALIDATION = "#3b6ea5", "#c8553d"
_SOURCE_COLOURS: Final = ("#3b6ea5", "#c8553d", "#4f8a5b", "#8a5aa0")


def draw_training_curves(
    history: Sequence[Mapping[str, float]],
    path: Path,
    *,
    name: str,
    train_images: int,
    validation_images: int,
) -> None:
    """Draw accuracy and loss over the epochs, training and validation.

    Args:
        history: one mapping an epoch with epoch, accuracy, loss, val_accuracy, val_loss.
        path: of the PNG.
        name: of the run.
        train_images: sample size.
        validation_images: sample size.
    """
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    sizes = f"{train_images:,} training images (augmented), {validation_images:,} validation images"
    figure.suptitle(f"Training of {name}: {sizes}")
    epochs = [row["epoch"] for row in history]
    for axes, measure in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        axes.plot(epochs, [row[measure] for row in history], color=_TRAIN, marker="o", label="training")
        axes.plot(
            epochs,
            [row[f"val_{measure}"] for row in history],
            color=_VALIDATION,
            marker="s",
            label="validation",
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _label(axes, "epoch", "accuracy (0-1)" if measure == "accuracy" else "binary cross-entropy")
    _save(figure, path)


def draw_roc(
    curves: Sequence[tuple[str, NDArray[np.bool_], NDArray[np.float64]]],
    path: Path,
    *,
    name: str,
    threshold: float,
) -> None:
    """Draw ROC curves and mark the served threshold on each.

    Args:
        curves: title, bool (images,) and probabilities (images,) a curve.
        path: of the PNG.
        name: of the model.
        threshold: the served one, 0 to 1.
    """
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    axes = figure.subplots()
    axes.set_title(f"ROC of {name}; dots: served threshold {threshold:.4f}")
    axes.plot([0, 1], [0, 1], color="0.7", linestyle=":", label="chance")
    for (title, positive, probabilities), colour in zip(curves, _SOURCE_COLOURS, strict=False):
        false_positives, true_positives, _ = roc_curve(positive, probabilities)
        sizes = f"{int(positive.sum()):,} malignant, {int((~positive).sum()):,} benign"
        axes.plot(false_positives, true_positives, color=colour, label=f"{title} ({sizes})")
        called = probabilities >= threshold
        axes.plot(
            [called[~positive].mean()], [called[positive].mean()], color=colour, marker="o", linestyle=""
        )
    _label(axes, "1 - specificity", "sensitivity")
    _save(figure, path)


def draw_confusion(measured: Mapping[str, Any], path: Path, *, title: str) -> None:
    """Draw the confusion matrices at 0.5 and at the served threshold.

    Args:
        measured: what `ml.training.measures.measure` gives for one set.
        path: of the PNG.
        title: of the set.
    """
    figure = Figure(figsize=(8.4, 4), layout="constrained")
    figure.suptitle(f"{title} ({measured['images']:,} images)", fontsize="medium")
    for axes, place in zip(figure.subplots(1, 2), ("at_0.5", "at_served"), strict=True):
        cells = measured[place]["confusion"]
        matrix = np.array(
            [
                [cells["true_negative"], cells["false_positive"]],
                [cells["false_negative"], cells["true_positive"]],
            ]
        )
        axes.imshow(matrix, cmap="Blues", vmin=0, vmax=matrix.sum(axis=1).max() * 1.5)
        for (row, column), count in np.ndenumerate(matrix):
            axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize="x-large")
        axes.set_xticks([0, 1], ["benign", "malignant"])
        axes.set_yticks([0, 1], ["benign", "malignant"], rotation=90, va="center")
        axes.set_xlabel("called")
        axes.set_ylabel("is")
        axes.set_title(f"threshold {measured[place]['threshold']:.4f}")
    _save(figure, path)


def draw_calibration(
    curves: Sequence[tuple[str, NDArray[np.bool_], NDArray[np.float64]]], path: Path, *, name: str
) -> None:
    """Draw how often images of each predicted probability are malignant, ten equal bins.

    Args:
        curves: title, bool (images,) and probabilities (images,) a curve.
        path: of the PNG.
        name: of the model.
    """
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    axes = figure.subplots()
    axes.set_title(f"Calibration of {name}")
    axes.plot([0, 1], [0, 1], color="0.7", linestyle=":", label="perfect")
    for (title, positive, probabilities), colour in zip(curves, _SOURCE_COLOURS, strict=False):
        share, predicted = calibration_curve(positive, probabilities, n_bins=_CALIBRATION_BINS)
        axes.plot(predicted, share, color=colour, marker="o", label=f"{title} ({len(positive):,} images)")
    _label(axes, "predicted probability (mean of the bin)", "share that is malignant")
    _save(figure, path)


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), fontsize="small", frameon=False)


def _save(figure: Figure, path: Path) -> None:
    """Save without the library's version in the file, so that the same drawing gives the same bytes."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, metadata={"Software": None})
