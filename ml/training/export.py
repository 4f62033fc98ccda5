"""Release a run: ONNX file, manifest, metrics, plots and model card in one folder, whole or not at all."""

import hashlib
import json
import os
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from ml.inference import PREPROCESSING_VERSION, Classifier, DataNotice, ModelManifest, OperatingPoint
from ml.inference.manifest import MANIFEST_FILE, MODEL_FILE
from ml.preprocessing import scale_pixels
from ml.training.errors import BenchError
from ml.training.evaluation import CALIBRATION_PLOT, CONFUSION_PLOT, METRICS_FILE, ROC_PLOT
from ml.training.files import write_json
from ml.training.model_card import write_card
from ml.training.onnx_models import write_onnx
from ml.training.plots import draw_training_curves
from ml.training.run_state import RunState, read_state
from ml.training.sources import describe_source
from ml.training.training import load_best_model

MAX_DIFFERENCE: Final = 1e-4
"""Between Keras' and ONNX Runtime's probability of one image; both compute in float32, in another order."""

CARD_FILE: Final = "MODEL_CARD.md"
CURVES_PLOT: Final = "training_curves.png"
_LIBRARIES: Final = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "pillow", "scikit-learn")
PARITY_IMAGES: Final = 64
_DRAWN_IMAGES: Final = 32


def drawn_pixels(size_px: int) -> NDArray[np.uint8]:
    """Images to compare networks on where there is no data: noise of every coarseness, from flat to fine.

    Returns:
        uint8 (32, size_px, size_px, 3), RGB; the same at every call.
    """
    generator = np.random.default_rng(0)
    images = []
    for index in range(_DRAWN_IMAGES):
        cells = 1 + index * (size_px - 1) // (_DRAWN_IMAGES - 1)
        coarse = generator.integers(0, 256, size=(cells, cells, 3), dtype=np.uint8)
        position = np.arange(size_px) * cells // size_px
        images.append(coarse[position][:, position])
    return np.stack(images)


def export_release(
    run_folder: Path, *, version: str, released_folder: Path, pixels: NDArray[np.uint8], pixels_kind: str
) -> Path:
    """Release a finished and evaluated run.

    The exported file is loaded as the web app will load it and compared with the Keras network; then the
    folder appears under its name at once.

    Args:
        run_folder: of the run.
        version: three numbers, such as "1.0.0".
        released_folder: where released models are.
        pixels: uint8 (images, size, size, 3), RGB: to compare both networks on.
        pixels_kind: what they are, for the model card.

    Returns:
        The new folder.

    Raises:
        BenchError: the run is not finished or not evaluated, the version exists, or the networks differ.
        ModelIntegrityError: the exported model does not load.
    """
    state = read_state(run_folder)
    metrics = _read_metrics(run_folder, state)
    target = released_folder / f"{state.config.architecture}-{version}"
    if target.exists():
        raise BenchError(f"{target} exists already: give another --version, a released model never changes")
    staging = released_folder / f".{target.name}-{os.getpid()}"
    staging.mkdir(parents=True)
    try:
        model = load_best_model(run_folder)
        write_onnx(model, staging / MODEL_FILE)
        metrics["training"]["parameters"] = model.count_params()
        manifest = _describe(state, metrics, version, (staging / MODEL_FILE).read_bytes())
        write_json(staging / MANIFEST_FILE, asdict(manifest) | {"created": manifest.created.isoformat()})
        difference = largest_difference(model, Classifier.load(staging), pixels)
        if not difference <= MAX_DIFFERENCE:
            raise BenchError(
                f"the exported network differs from the Keras network by {difference:.1e}, more than "
                f"{MAX_DIFFERENCE}: nothing was released"
            )
        metrics["export"] = {"max_difference": difference, "images": len(pixels), "kind": pixels_kind}
        write_json(staging / METRICS_FILE, metrics)
        (staging / CARD_FILE).write_text(write_card(manifest, metrics), encoding="utf-8")
        for plot in (ROC_PLOT, CONFUSION_PLOT, CALIBRATION_PLOT):
            shutil.copyfile(run_folder / plot, staging / plot)
        draw_training_curves(
            state.history,
            staging / CURVES_PLOT,
            name=state.config.architecture,
            train_images=metrics["training"]["train_images"],
            validation_images=metrics["training"]["validation_images"],
        )
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def largest_difference(model: keras.Model, classifier: Classifier, pixels: NDArray[np.uint8]) -> float:
    """Largest difference between the probabilities of a Keras network and of the served one, image by image.

    Args:
        model: the Keras network.
        classifier: the served one.
        pixels: uint8 (images, size, size, 3), RGB.
    """
    inputs = scale_pixels(pixels)
    ours = np.asarray(model.predict_on_batch(inputs)).reshape(len(inputs))
    served = np.concatenate(
        [classifier.probabilities(inputs[index : index + 1]) for index in range(len(inputs))]
    )
    return float(np.max(np.abs(ours - served)))


def _read_metrics(run_folder: Path, state: RunState) -> dict[str, Any]:
    name = state.config.name
    if not state.finished:
        raise BenchError(f"{name} is not finished: run `python -m ml train {name} --resume` first")
    try:
        metrics: dict[str, Any] = json.loads((run_folder / METRICS_FILE).read_text(encoding="utf-8"))
        evaluated = metrics["training"]["best_epoch"]
    except (OSError, ValueError, KeyError) as error:
        raise BenchError(f"{name} is not evaluated: run `python -m ml evaluate {name}` first") from error
    if evaluated != state.best_epoch:
        raise BenchError(f"{name} was evaluated at another epoch: run `python -m ml evaluate {name}` again")
    return metrics


def _describe(state: RunState, metrics: dict[str, Any], version: str, model: bytes) -> ModelManifest:
    training, point, test = metrics["training"], metrics["operating_point"], metrics["sets"]["test"]
    source = describe_source(state.config.source)
    name = state.config.name
    headline = {"test_auc": test["auc"], "test_brier": test["brier"]} | {
        f"test_{figure}_{place}": test[place][figure]
        for place in ("at_0.5", "at_served")
        for figure in ("accuracy", "precision", "recall", "specificity", "f1")
    }
    return ModelManifest(
        name=state.config.architecture,
        version=version,
        sha256=hashlib.sha256(model).hexdigest(),
        input_size_px=state.config.input_size_px,
        preprocessing_version=PREPROCESSING_VERSION,
        threshold=point["threshold"],
        operating_point=OperatingPoint(
            name=point["name"], sensitivity=point["sensitivity"], specificity=point["specificity"]
        ),
        trained_on=(
            f"{source.name}, training split: {training['train_images']:,} images to train on, "
            f"{training['validation_images']:,} to choose epoch and threshold."
        ),
        data=DataNotice(
            name=source.name,
            counts={key: training[key] for key in ("train_images", "validation_images", "dropped_images")}
            | {"test_images": test["images"]},
            terms=source.terms,
            credit=source.credit,
        ),
        metrics={name: figure["value"] for name, figure in headline.items() if figure},
        created=datetime.now(UTC).replace(microsecond=0),
        command=(
            f"python -m ml train {name} && python -m ml evaluate {name} && "
            f"python -m ml export {name} --version {version}"
        ),
        libraries={library: installed_version(library) for library in _LIBRARIES},
    )
