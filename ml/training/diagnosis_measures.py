"""Figures of a network that names one of several diagnoses."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
)

from ml.training import measures
from ml.training.bootstrap import draw_weights, entry
from ml.training.measures import enough
from ml.training.weighted_curves import WeightedCurves


def measure_diagnoses(
    actual: NDArray[np.intp],
    outputs: NDArray[np.float64],
    groups: Sequence[str],
    *,
    classes: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """Measure the classes of one set of images.

    Args:
        actual: intp (images,), the class of each.
        outputs: float64 (images, classes), the network's probabilities; the largest is its diagnosis.
        groups: one an image.
        classes: their names, in the order of the outputs.
        seed: of the bootstrap, by group within each class.

    Returns:
        Accuracy, balanced accuracy (the mean recall of the classes that have images: the measure of the ISIC
        2018 challenge) and macro AUC (each class against the rest) with intervals; the same a class, None
        where it has too few images; and the confusion matrix, a row a class that is, a column one that is
        called.
    """
    called = outputs.argmax(axis=1)
    present = [index for index in range(len(classes)) if 0 < np.sum(actual == index) < len(actual)]
    precision, recall, _, images = precision_recall_fscore_support(
        actual, called, labels=range(len(classes)), zero_division=0.0
    )
    areas = {index: float(roc_auc_score(actual == index, outputs[:, index])) for index in present}
    found = _rounds(actual, called, outputs, groups, present=present, seed=seed)
    known = enough(len(actual)) and bool(present)
    return {
        "images": len(actual),
        "classes": list(classes),
        "accuracy": entry(accuracy_score(actual, called), found["accuracy"]) if known else None,
        "balanced_accuracy": (
            entry(float(np.mean(recall[present])), found["balanced_accuracy"]) if known else None
        ),
        "macro_auc": (
            entry(float(np.mean(list(areas.values()))), found["auc"].mean(axis=1)) if known else None
        ),
        "per_class": [
            {
                "name": name,
                "images": int(images[index]),
                "precision": round(float(precision[index]), 4) if enough(int(images[index])) else None,
                "recall": (
                    entry(recall[index], found["recall"][:, present.index(index)])
                    if index in present and enough(int(images[index]))
                    else None
                ),
                "auc": (
                    entry(areas[index], found["auc"][:, present.index(index)])
                    if index in present and enough(int(images[index]))
                    else None
                ),
            }
            for index, name in enumerate(classes)
        ],
        "confusion": confusion_matrix(actual, called, labels=range(len(classes))).tolist(),
    }


def _rounds(
    actual: NDArray[np.intp],
    called: NDArray[np.intp],
    outputs: NDArray[np.float64],
    groups: Sequence[str],
    *,
    present: Sequence[int],
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """Accuracies (rounds,), and recall and AUC (rounds, classes that are present)."""
    right = (called == actual).astype(np.float64)
    members = np.stack([actual == index for index in present], axis=1).astype(np.float64)
    curves = [WeightedCurves(actual == index, outputs[:, index]) for index in present]
    accuracies, recalls, areas = [], [], []
    for weights in draw_weights(actual, groups, rounds=measures.BOOTSTRAP_ROUNDS, seed=seed):
        accuracies.append(weights @ right / weights.sum(axis=1))
        recalls.append((weights @ (members * right[:, np.newaxis])) / (weights @ members))
        areas.append(np.stack([one.figures(weights, sensitivities=())[0] for one in curves], axis=1))
    recall = np.concatenate(recalls)
    return {
        "accuracy": np.concatenate(accuracies),
        "recall": recall,
        "balanced_accuracy": recall.mean(axis=1),
        "auc": np.concatenate(areas),
    }
