"""Drawings of a run: learning curves, ROC, precision-recall, confusion matrices. Small PNGs that need no display."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from ml.training.files import replacing

_DPI: Final = 100
_TRAIN, _VALIDATION = "#3b6ea5", "#c8553d"
SET_COLOURS: Final = ("#3b6ea5", "#c8553d", "#4f8a5b", "#8a5aa0", "#b8860b", "#5f6b76")
_SET_LINES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (3, 3)))  # colour is not the only sign


@dataclass(frozen=True)
class ScoredSet:
    """One set of images with what the model says of them.

    Attributes:
        title: for people.
        positive: bool (images,).
        probabilities: float64 (images,), 0 to 1, as served.
    """

    title: str
    positive: NDArray[np.bool_]
    probabilities: NDArray[np.float64]

    @property
    def sizes(self) -> str:
        """How many images of either class."""
        return f"{int(self.positive.sum()):,} malignant, {int((~self.positive).sum()):,} benign"


def draw_training_curves(
    history: Sequence[Mapping[str, float]],
    path: Path,
    *,
    name: str,
    train_images: int,
    validation_images: int,
) -> None:
    """Draw accuracy, area under the ROC curve and loss over the epochs, training and validation.

    Args:
        history: one mapping an epoch with epoch, accuracy, auc, loss, val_accuracy, val_auc, val_loss.
        path: of the PNG.
        name: of the run.
        train_images: sample size.
        validation_images: sample size.
    """
    figure = Figure(figsize=(13, 4.6), layout="constrained")
    sizes = f"{train_images:,} training images (augmented), {validation_images:,} validation images"
    figure.suptitle(f"Training of {name}: {sizes}")
    epochs = [row["epoch"] for row in history]
    panels = {"accuracy": "accuracy (0-1)", "auc": "AUC-ROC (0-1)", "loss": "loss (cross-entropy or focal)"}
    for axes, (measure, label) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        axes.plot(epochs, [row[measure] for row in history], color=_TRAIN, marker="o", label="training")
        validation = [row[f"val_{measure}"] for row in history]
        axes.plot(epochs, validation, color=_VALIDATION, marker="s", linestyle="--", label="validation")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        label_axes(axes, "epoch", label)
    save_figure(figure, path)


def draw_roc(sets: Sequence[ScoredSet], path: Path, *, name: str, threshold: float) -> None:
    """Draw ROC curves and mark the served threshold on each.

    Args:
        sets: of both classes each.
        path: of the PNG.
        name: of the model.
        threshold: the served one, 0 to 1.
    """
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    axes = figure.subplots()
    axes.set_title(f"ROC of {name}; dots: served threshold {threshold:.4f}")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="chance")
    for one, colour, line in zip(sets, SET_COLOURS, _SET_LINES, strict=False):
        false_positives, true_positives, _ = roc_curve(one.positive, one.probabilities)
        label = f"{one.title} ({one.sizes})"
        axes.plot(false_positives, true_positives, color=colour, linestyle=line, label=label)
        called = one.probabilities >= threshold
        axes.plot(
            [called[~one.positive].mean()],
            [called[one.positive].mean()],
            color=colour,
            marker="o",
            linestyle="",
        )
    label_axes(axes, "1 - specificity", "sensitivity")
    save_figure(figure, path)


def draw_precision_recall(sets: Sequence[ScoredSet], path: Path, *, name: str, threshold: float) -> None:
    """Draw precision over recall, and the precision of calling all images malignant as a thin line each.

    Args:
        sets: of both classes each.
        path: of the PNG.
        name: of the model.
        threshold: the served one, 0 to 1, marked on each curve.
    """
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    axes = figure.subplots()
    axes.set_title(f"Precision and recall of {name}; dots: served threshold {threshold:.4f}")
    for one, colour, line in zip(sets, SET_COLOURS, _SET_LINES, strict=False):
        precision, recall, _ = precision_recall_curve(one.positive, one.probabilities)
        label = f"{one.title} ({one.sizes})"
        # The last point (precision 1 at recall 0) is a convention without images.
        axes.step(
            recall[:-1],
            precision[:-1],
            where="post",
            color=colour,
            linestyle=line,
            label=label,
            linewidth=1.3,
        )
        axes.axhline(float(one.positive.mean()), color=colour, linewidth=0.6)
        called = one.probabilities >= threshold
        if called.any():
            point = [called[one.positive].mean()], [one.positive[called].mean()]
            axes.plot(*point, color=colour, marker="o", linestyle="")
    axes.set_ylim(-0.02, 1.02)
    label_axes(axes, "recall (sensitivity)", "precision; thin lines: share that is malignant")
    save_figure(figure, path)


def draw_confusion(measured: Mapping[str, Any], path: Path, *, title: str) -> None:
    """Draw the confusion matrices at 0.5 and at the served threshold.

    Args:
        measured: what `ml.training.measures.measure` gives for one set.
        path: of the PNG.
        title: of the set.
    """
    figure = Figure(figsize=(8.4, 4.2), layout="constrained")
    figure.suptitle(f"{title} ({measured['images']:,} images)", fontsize="medium")
    for axes, place in zip(figure.subplots(1, 2), ("at_0.5", "at_served"), strict=True):
        cells = measured[place]["confusion"]
        counts = [
            [cells["true_negative"], cells["false_positive"]],
            [cells["false_negative"], cells["true_positive"]],
        ]
        _draw_matrix(axes, np.array(counts), ("benign", "malignant"), size="x-large")
        served = " (served)" if place == "at_served" else ""
        axes.set_title(f"probability {measured[place]['threshold']:.4f} or above{served}", fontsize="medium")
    save_figure(figure, path)


def draw_diagnosis_confusion(measured: Mapping[str, Any], path: Path, *, title: str) -> None:
    """Draw the confusion matrix of several diagnoses.

    Args:
        measured: what `ml.training.diagnosis_measures.measure_diagnoses` gives.
        path: of the PNG.
        title: of the set.
    """
    figure = Figure(figsize=(6.4, 6.2), layout="constrained")
    axes = figure.subplots()
    axes.set_title(f"{title} ({measured['images']:,} images)", fontsize="medium")
    _draw_matrix(axes, np.array(measured["confusion"]), measured["classes"], size="medium")
    save_figure(figure, path)


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Name the axes, draw a grid, and put the legend under the drawing, where it hides nothing."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), fontsize="small", frameon=False)


def save_figure(figure: Figure, path: Path) -> None:
    """Save without the library's version in the file, so that the same drawing gives the same bytes."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, metadata={"Software": None})


def _draw_matrix(axes: Axes, counts: NDArray[np.int64], classes: Sequence[str], *, size: str) -> None:
    """Counts in squares, shaded by their share of the row: every class is a row, whatever its size."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.5)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=size)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes, rotation=90, va="center")
    axes.set_xlabel("called")
    axes.set_ylabel("is")
