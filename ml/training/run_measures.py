"""Everything that is measured of a judged run, as metrics.json holds it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ml.training.calibration import ChosenCalibration
from ml.training.datasets import LabelledImage, Split
from ml.training.diagnosis_measures import measure_diagnoses
from ml.training.evaluation_sets import TWINS, EvaluationSet, title_of
from ml.training.image_properties import image_properties
from ml.training.measures import measure
from ml.training.operating_points import choose_by_accuracy, choose_points
from ml.training.residuals import residual_table
from ml.training.run_state import RunState
from ml.training.subgroups import subgroup_table
from ml.training.tasks import TASKS, class_indices
from ml.training.worst_mistakes import describe_mistakes

FIXED_THRESHOLD: Final = 0.5


@dataclass(frozen=True)
class Judged:
    """All images of a run's sets with what the network says of them.

    Attributes:
        state: of the run.
        split: of the run.
        sets: validation first.
        images: of all sets, each once.
        pixels: uint8 (images, size, size, 3), RGB.
        outputs: float64 (images, outputs), mean over the views.
        raw: float64 (images,), probability of malignancy, 0 to 1.
        calibrated: float64 (images,), the same as served.
        chosen: the calibration.
    """

    state: RunState
    split: Split
    sets: tuple[EvaluationSet, ...]
    images: tuple[LabelledImage, ...]
    pixels: NDArray[np.uint8]
    outputs: NDArray[np.float64]
    raw: NDArray[np.float64]
    calibrated: NDArray[np.float64]
    chosen: ChosenCalibration

    @property
    def seed(self) -> int:
        """Of the bootstraps."""
        return self.state.config.seed

    def rows(self, images: Sequence[LabelledImage]) -> NDArray[np.intp]:
        """Where the images stand."""
        place = {image.path: index for index, image in enumerate(self.images)}
        return np.array([place[image.path] for image in images], dtype=np.intp)

    def held_out(self, one: EvaluationSet) -> NDArray[np.float64] | None:
        """Cross-validated probabilities of a validation set, for which the calibrated ones are too good."""
        if not one.key.startswith("validation"):
            return None
        place = {image.path: index for index, image in enumerate(self.sets[0].images)}
        return self.chosen.cross_validated[[place[image.path] for image in one.images]]


def measure_run(judged: Judged, *, data_folder: Path) -> dict[str, Any]:
    """Choose the thresholds on validation and measure everything that metrics.json holds of the predictions.

    Args:
        judged: all images with their predictions.
        data_folder: of the image files, whose headers are read.

    Raises:
        BenchError: an image file has gone.
    """
    validation, seed = judged.sets[0], judged.seed
    points = choose_points(validation.positive, judged.calibrated[judged.rows(validation.images)])
    thresholds = {
        "at_0.5": FIXED_THRESHOLD,
        "at_served": points.served.threshold,
        "at_sensitivity_90": points.sensitivity_90.threshold,
        "at_specificity_95": points.specificity_95.threshold,
    }
    sets = {
        one.key: {"title": one.title, "labels": one.labels, "in_source": one.in_source}
        | measure(
            one.positive,
            judged.calibrated[judged.rows(one.images)],
            one.groups,
            thresholds=thresholds | _own_threshold(judged, one),
            seed=seed,
            uncertain_band=points.uncertain_band,
            held_out=judged.held_out(one),
        )
        for one in judged.sets
    }
    test = judged.split.test
    rows = judged.rows(test)
    positive = np.array([image.malignant for image in test])
    return (
        points.to_json()
        | {
            "calibration": _describe_calibration(judged, sets),
            "sets": sets,
            "subgroups": subgroup_table(
                test, positive, judged.calibrated[rows], thresholds=thresholds, seed=seed
            ),
            "residuals": {
                "in_source": _residuals(judged, test, data_folder),
                "out_of_source": _residuals(judged, _out_of_source(judged.sets), data_folder),
            },
            "worst_mistakes": describe_mistakes(test, judged.calibrated[rows], data_folder=data_folder),
        }
        | _measure_diagnoses(judged)
    )


def _own_threshold(judged: Judged, one: EvaluationSet) -> dict[str, float]:
    """What a clinic with pictures like these would set: most accurate on validation images of the same sources."""
    sources = {image.source for image in one.images}
    validation = judged.sets[0]
    own = np.array([image.source in sources for image in validation.images])
    positive = validation.positive[own]
    if one.key.startswith("validation") or not positive.any() or positive.all():
        return {}
    calibrated = judged.calibrated[judged.rows(validation.images)][own]
    return {"at_most_accurate": choose_by_accuracy(positive, calibrated).threshold}


def _describe_calibration(judged: Judged, sets: dict[str, Any]) -> dict[str, Any]:
    """The fit, and what it changed on validation (cross-validated) and on the test set."""
    names = ("brier", "calibration_error", "reliability")
    before = {
        one.key: measure(
            one.positive,
            judged.raw[judged.rows(one.images)],
            one.groups,
            thresholds={"at_0.5": FIXED_THRESHOLD},
            seed=judged.seed,
        )
        for one in judged.sets
        if one.key in ("validation", "test")
    }
    return judged.chosen.to_json() | {
        "fitted_on": f"{len(judged.sets[0].images):,} validation images",
        "before": {key: {name: measured[name] for name in names} for key, measured in before.items()},
        "after": {key: {name: sets[key][name] for name in names} for key in before},
    }


def _out_of_source(sets: Sequence[EvaluationSet]) -> tuple[LabelledImage, ...]:
    """Images of other sources, none of which has a twin in training or validation."""
    strict = [one for one in sets if not one.in_source and not one.key.endswith(TWINS)]
    return tuple({image.path: image for one in strict for image in one.images}.values())


def _residuals(judged: Judged, images: Sequence[LabelledImage], data_folder: Path) -> list[dict[str, Any]]:
    if not images:
        return []
    rows = judged.rows(images)
    sources = np.array([title_of(image.source) for image in images])
    return residual_table(
        positive=np.array([image.malignant for image in images]),
        probabilities=judged.calibrated[rows],
        groups=[image.group for image in images],
        kinds={"source": sources} | image_properties(images, judged.pixels, rows, data_folder=data_folder),
        seed=judged.seed,
    )


def _measure_diagnoses(judged: Judged) -> dict[str, Any]:
    """The section `diagnosis` of a run that was taught diagnoses: its test images."""
    task, test = judged.state.config.task, judged.split.test
    if task == "malignancy":
        return {}
    measured = measure_diagnoses(
        class_indices(test, task),
        judged.outputs[judged.rows(test)],
        [image.group for image in test],
        classes=TASKS[task].classes,
        seed=judged.seed,
    )
    return {"diagnosis": {"title": "Diagnoses of the test part"} | measured}
