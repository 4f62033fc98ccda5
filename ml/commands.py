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


def train_experiment(
    config: TrainingConfig, *, data_folder: Path, runs_folder: Path, curves: Path, resume: bool
) -> None:
    """Train one experiment and draw its learning curves.

    Args:
        config: of the run.
        data_folder: with manifest.csv.
        runs_folder: of all runs.
        curves: PNG to write.
        resume: go on after the last complete epoch.

    Raises:
        BenchError: the data or an earlier run does not allow it.
    """
    from ml.training.datasets import read_manifest, split_source
    from ml.training.run_state import open_run

    split = split_source(
        read_manifest(data_folder),
        source=config.source,
        validation_fraction=config.validation_fraction,
        seed=config.seed,
    )
    print(
        f"{len(split.train)} training and {len(split.validation)} validation images; "
        f"{len(split.dropped)} left out, because their group stands in the test split of {len(split.test)}",
        file=sys.stderr,
    )
    open_run(
        runs_folder / config.name, config, split, resume=resume
    )  # refused before Keras takes its seconds
    from ml.training.plots import draw_training_curves
    from ml.training.training import train

    state = train(config, split, data_folder=data_folder, runs_folder=runs_folder, resume=resume)
    draw_training_curves(
        state.history,
        curves,
        name=config.architecture,
        train_images=len(split.train),
        validation_images=len(split.validation),
    )
    print(
        f"epoch {state.best_epoch} of {state.epochs_done} is the best; "
        f"next: python -m ml evaluate {config.name}"
    )


def evaluate_run(run_folder: Path, *, data_folder: Path) -> None:
    """Evaluate a run and print its main figures, one line a set.

    Raises:
        BenchError: no usable run, or an image is unreadable.
    """
    from ml.training.datasets import read_manifest
    from ml.training.run_state import read_state

    read_state(run_folder)  # refused before Keras takes its seconds
    images = read_manifest(data_folder)
    from ml.training.evaluation import evaluate

    metrics = evaluate(run_folder, images, data_folder=data_folder)
    for key, measured in metrics["sets"].items():
        figures = {
            "AUC": measured["auc"],
            "accuracy at 0.5": measured["at_0.5"]["accuracy"],
            "accuracy as served": measured["at_served"]["accuracy"],
            "sensitivity": measured["at_served"]["recall"],
            "specificity": measured["at_served"]["specificity"],
        }
        known = [f"{name} {figure['value']:.3f}" for name, figure in figures.items() if figure]
        print(f"{key} ({measured['malignant']} malignant of {measured['images']}): {', '.join(known)}")


def export_run(run_folder: Path, *, version: str, released_folder: Path, data_folder: Path) -> None:
    """Release a run, checked on test images, or on drawn ones where the data is missing.

    Raises:
        BenchError: the run cannot be released.
    """
    from ml.training.datasets import MANIFEST_FILE, read_manifest
    from ml.training.run_state import read_split, read_state

    size_px = read_state(run_folder).config.input_size_px
    from ml.training.export import PARITY_IMAGES, drawn_pixels, export_release
    from ml.training.pixels import load_pixels

    if (data_folder / MANIFEST_FILE).is_file():
        test = read_split(run_folder, read_manifest(data_folder)).test
        chosen = test[:: max(1, len(test) // PARITY_IMAGES)]
        cache_folder = run_folder.parent / "cache"
        pixels, kind = (
            load_pixels(chosen, data_folder=data_folder, cache_folder=cache_folder, size_px=size_px),
            "test",
        )
    else:
        pixels, kind = drawn_pixels(size_px), "drawn"
    folder = export_release(
        run_folder, version=version, released_folder=released_folder, pixels=pixels, pixels_kind=kind
    )
    print(f"released {folder}")


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
