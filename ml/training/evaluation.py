"""Judge a trained run: predict every image once, calibrate and choose thresholds on validation, measure, draw."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import keras

from ml.inference.views import VIEW_COUNTS
from ml.training.calibration import AUTOMATIC, CALIBRATION_CHOICES, choose_calibration
from ml.training.datasets import LabelledImage, Split
from ml.training.errors import BenchError
from ml.training.evaluation_plots import draw_calibration, draw_residuals
from ml.training.evaluation_sets import TWINS, EvaluationSet, evaluation_sets
from ml.training.files import write_json
from ml.training.pixels import load_pixels
from ml.training.plots import (
    ScoredSet,
    draw_confusion,
    draw_diagnosis_confusion,
    draw_precision_recall,
    draw_roc,
)
from ml.training.predicting import predict_pixels, write_predictions
from ml.training.run_description import describe_training
from ml.training.run_measures import Judged, measure_run
from ml.training.run_state import METRICS_FILE, RunState, read_split, read_state
from ml.training.tasks import malignancy_of
from ml.training.training import load_best_model
from ml.training.worst_mistakes import draw_mistakes

PREDICTIONS_FILE: Final = "predictions.csv"
ROC_PLOT: Final = "roc.png"
PRECISION_RECALL_PLOT: Final = "precision_recall.png"
CONFUSION_PLOT: Final = "confusion_matrix.png"
CALIBRATION_PLOT: Final = "calibration.png"
RESIDUALS_PLOT: Final = "residuals.png"
DIAGNOSIS_PLOT: Final = "diagnosis_confusion.png"
MISTAKES_PLOT: Final = "worst_mistakes.png"
"""Shows images of the data, so it is never released."""


def evaluate(
    run_folder: Path,
    images: Sequence[LabelledImage],
    *,
    data_folder: Path,
    views: int = 1,
    calibration: str = AUTOMATIC,
) -> dict[str, Any]:
    """Evaluate a run's best network; write metrics.json, predictions.csv and the plots into its folder.

    What is judged is what is served: the mean of the network's answers to the views of an image, calibrated.
    Calibration and thresholds come from validation images alone.

    Args:
        run_folder: as `ml.training.training.train` left it.
        images: all rows of the data's manifest.
        data_folder: their paths are relative to it.
        views: 1, or 8 for all flips and quarter turns of each image.
        calibration: a method, or "auto" for the one with the lowest cross-validated log loss.

    Returns:
        What metrics.json holds.

    Raises:
        BenchError: no usable run in the folder, an unknown option, or an image is unreadable.
    """
    if views not in VIEW_COUNTS:
        raise BenchError(f"--views {views}: choose one of {', '.join(map(str, VIEW_COUNTS))}")
    if calibration not in CALIBRATION_CHOICES:
        raise BenchError(f"--calibration {calibration}: choose one of {', '.join(CALIBRATION_CHOICES)}")
    state = read_state(run_folder)
    split = read_split(run_folder, images)
    sets = evaluation_sets(images, split)
    model = load_best_model(run_folder)
    judged = _predict(
        model,
        state,
        split,
        sets,
        data_folder=data_folder,
        cache_folder=run_folder.parent / "cache",
        views=views,
        calibration=calibration,
    )
    metrics = {
        "run": state.config.name,
        "views": views,
        "training": describe_training(state, split, parameters=model.count_params()),
    } | measure_run(judged, data_folder=data_folder)
    write_json(run_folder / METRICS_FILE, metrics)
    write_predictions(run_folder / PREDICTIONS_FILE, judged.images, judged.raw, judged.calibrated)
    _draw(run_folder, judged, metrics)
    return metrics


def released_plots(metrics: dict[str, Any]) -> tuple[str, ...]:
    """Files of a run's folder that belong into a release: all drawings but those that show images."""
    plots = (ROC_PLOT, PRECISION_RECALL_PLOT, CONFUSION_PLOT, CALIBRATION_PLOT, RESIDUALS_PLOT)
    return (*plots, DIAGNOSIS_PLOT) if "diagnosis" in metrics else plots


def _predict(
    model: keras.Model,
    state: RunState,
    split: Split,
    sets: tuple[EvaluationSet, ...],
    *,
    data_folder: Path,
    cache_folder: Path,
    views: int,
    calibration: str,
) -> Judged:
    wanted = tuple({image.path: image for one in sets for image in (*one.images, *split.test)}.values())
    pixels = load_pixels(
        wanted, data_folder=data_folder, cache_folder=cache_folder, size_px=state.config.input_size_px
    )
    outputs = predict_pixels(model, pixels, views=views)
    raw = malignancy_of(outputs, state.config.task)
    validation = sets[0]
    chosen = choose_calibration(
        validation.positive,
        raw[: len(validation.images)],  # the first that are wanted
        validation.groups,
        method=calibration,
        seed=state.config.seed,
    )
    calibrated = chosen.calibration.apply(raw)
    return Judged(state, split, sets, wanted, pixels, outputs, raw, calibrated, chosen)


def _draw(folder: Path, judged: Judged, metrics: dict[str, Any]) -> None:
    name, threshold = judged.state.config.architecture, metrics["operating_point"]["threshold"]
    drawn = _drawn_sets(judged.sets, metrics)
    curves = [ScoredSet(one.title, one.positive, judged.calibrated[judged.rows(one.images)]) for one in drawn]
    draw_roc(curves, folder / ROC_PLOT, name=name, threshold=threshold)
    draw_precision_recall(curves, folder / PRECISION_RECALL_PLOT, name=name, threshold=threshold)
    draw_confusion(metrics["sets"]["test"], folder / CONFUSION_PLOT, title=metrics["sets"]["test"]["title"])
    calibration = metrics["calibration"]
    draw_calibration(
        {
            "before": calibration["before"]["validation"]["reliability"],
            "after, cross-validated": calibration["after"]["validation"]["reliability"],
        },
        {one.title: metrics["sets"][one.key]["reliability"] for one in drawn},
        folder / CALIBRATION_PLOT,
        name=name,
        method=calibration["method"],
    )
    residuals = metrics["residuals"]
    tables = {
        f"{title}: {rows[0]['images']:,} images": rows
        for title, rows in (
            ("In source, test part", residuals["in_source"]),
            ("Out of source, no twins in training or validation", residuals["out_of_source"]),
        )
        if rows
    }
    draw_residuals(tables, folder / RESIDUALS_PLOT, name=name)
    rows = judged.rows(judged.split.test)
    draw_mistakes(
        judged.split.test, judged.calibrated[rows], judged.pixels, rows, folder / MISTAKES_PLOT, name=name
    )
    if "diagnosis" in metrics:
        draw_diagnosis_confusion(
            metrics["diagnosis"], folder / DIAGNOSIS_PLOT, title=metrics["diagnosis"]["title"]
        )


def _drawn_sets(sets: Sequence[EvaluationSet], metrics: dict[str, Any]) -> list[EvaluationSet]:
    """The test set of each source, then each other source; with twins where it has too few malignant without."""
    by_key = {one.key: one for one in sets}
    drawn = []
    for one in sets:
        if one.key == "test" or (
            one.key.startswith("test_") and one.key.removeprefix("test_") in _sources(one)
        ):
            drawn.append(one)
        elif not one.in_source and one.key in _sources(one):
            known = metrics["sets"][one.key]["auc"] is not None
            drawn.append(one if known else by_key.get(one.key + TWINS, one))
    return [one for one in drawn if one.positive.any() and not one.positive.all()]


def _sources(one: EvaluationSet) -> set[str]:
    return {image.source for image in one.images}
