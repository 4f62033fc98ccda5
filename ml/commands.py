"""What each bench command does. Keras is imported in the commands that need it; `predict` does not."""

import csv
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ml.inference import Classifier, UnreadableImageError, decode_image, find_released_model
from ml.training.config import TrainingConfig
from ml.training.errors import BenchError


def find_experiment(name: str) -> TrainingConfig:
    """The configuration in ml/experiments/<name>.py.

    Raises:
        BenchError: there is none.
    """
    import ml.experiments

    known = sorted(module.name for module in pkgutil.iter_modules(ml.experiments.__path__))
    if name not in known:
        raise BenchError(f"no experiment {name!r}: choose one of {', '.join(known)}")
    config: TrainingConfig = importlib.import_module(f"ml.experiments.{name}").EXPERIMENT
    return config


def evaluate_run(run_folder: Path, *, data_folder: Path, views: int = 1, calibration: str = "auto") -> None:
    """Evaluate a run and print its main figures, one line a set.

    Args:
        run_folder: of the run.
        data_folder: with manifest.csv; not needed for a run on images of one's own.
        views: 1, or 8 for the mean over all flips and quarter turns.
        calibration: a method of `ml.training.calibration`, or "auto" for the best of them on validation.

    Raises:
        BenchError: no usable run, an unknown option, or an image is unreadable.
    """
    from ml.training.run_data import images_of_run
    from ml.training.run_state import read_state

    read_state(run_folder)  # refused before Keras takes its seconds
    images, images_folder = images_of_run(run_folder, data_folder)
    from ml.training.evaluation import evaluate

    metrics = evaluate(run_folder, images, data_folder=images_folder, views=views, calibration=calibration)
    for key, measured in metrics["sets"].items():
        figures = {
            "AUC": measured["auc"],
            "accuracy at 0.5": measured["at_0.5"]["accuracy"],
            "accuracy as served": measured["at_served"]["accuracy"],
            "sensitivity": measured["at_served"]["recall"],
            "specificity": measured["at_served"]["specificity"],
            "calibration error": measured["calibration_error"],
        }
        known = [f"{name} {figure['value']:.3f}" for name, figure in figures.items() if figure]
        print(f"{key} ({measured['malignant']} malignant of {measured['images']}): {', '.join(known)}")
    point, band = metrics["operating_point"], metrics["uncertain_band"]
    print(
        f"calibration: {metrics['calibration']['method']} ({metrics['calibration']['chosen_by']}); "
        f"threshold {point['threshold']:.4f}, uncertain from {band['low']:.4f} to {band['high']:.4f}"
    )


def predict_images(model: str, paths: Sequence[Path]) -> int:
    """Print one CSV row an image: path, probability, label. An unreadable image does not stop the others.

    Args:
        model: name, name-version, or folder of a released model.
        paths: of the images.

    Returns:
        Exit status: 1 if an image could not be scored, else 0.

    Raises:
        ModelIntegrityError: there is no such model, or it cannot be trusted.
    """
    classifier = Classifier.load(find_released_model(model))
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(("path", "probability", "label"))
    status = 0
    for path in paths:
        try:
            content = path.read_bytes()
            prediction = classifier.predict(decode_image(content))
        except OSError as error:
            print(f"error: {path}: cannot be read ({error.strerror})", file=sys.stderr)
            status = 1
        except UnreadableImageError as error:
            print(f"error: {path}: {error}", file=sys.stderr)
            status = 1
        else:
            rows.writerow((path, f"{prediction.probability:.6f}", prediction.label))
    return status
