"""Release a run: network, quality limits, manifest, metrics, plots and card in one folder, whole or not at all."""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from ml.inference import (
    PREPROCESSING_VERSION,
    Classifier,
    DataNotice,
    MeasuredPerformance,
    MeasuredShare,
    ModelManifest,
    OperatingPoint,
    UncertainBand,
)
from ml.inference.calibration import Calibration
from ml.inference.manifest import MANIFEST_FILE, MODEL_FILE, QUALITY_FILE, Precision
from ml.preprocessing import scale_pixels
from ml.training.errors import BenchError
from ml.training.evaluation import released_plots
from ml.training.explanation_outputs import add_explanation_outputs
from ml.training.files import write_json
from ml.training.int8_release import Int8Images, measure_int8
from ml.training.model_card import write_card
from ml.training.onnx_models import write_onnx
from ml.training.plots import draw_training_curves
from ml.training.quality_release import write_limits
from ml.training.released_cards import CARD_FILE
from ml.training.results import left_out_results, read_metrics, read_results
from ml.training.run_state import METRICS_FILE, RunState, read_state
from ml.training.sources import describe_source
from ml.training.training import load_best_model

MAX_DIFFERENCE: Final = 1e-4
"""Between Keras' and ONNX Runtime's probability of one image; both compute in float32, in another order."""

CURVES_PLOT: Final = "training_curves.png"
_INT8_FILE: Final = "int8.onnx"
_LIBRARIES: Final = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "pillow", "scikit-learn")
PARITY_IMAGES: Final = 64
_DRAWN_IMAGES: Final = 32


@dataclass(frozen=True)
class ReleaseOptions:
    """What a person decides about a release.

    Attributes:
        version: three numbers, such as "1.0.0".
        precision: of the file that serves.
        selection: how this run was chosen among several, a sentence for the card; or empty.
    """

    version: str
    precision: Precision = "float32"
    selection: str = ""


@dataclass(frozen=True)
class ReleaseImages:
    """Images that a release is checked with.

    Attributes:
        parity: uint8 (images, size, size, 3), RGB: to compare the Keras and the exported network on.
        parity_kind: what these are, for the model card.
        int8: to set and judge the int8 network by; None where the data is missing.
        quality: training photographs, whose measures set the limits of usable photographs; or none.
    """

    parity: NDArray[np.uint8]
    parity_kind: str
    int8: Int8Images | None = None
    quality: Sequence[Path] = ()


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
    run_folder: Path, *, released_folder: Path, options: ReleaseOptions, images: ReleaseImages
) -> Path:
    """Release a finished and evaluated run.

    The exported file is loaded as the web app will load it and compared with the Keras network; then the
    folder appears under its name at once.

    Args:
        run_folder: of the run.
        released_folder: where released models are.
        options: version and precision.
        images: to check with.

    Returns:
        The new folder.

    Raises:
        BenchError: the run is not finished or not evaluated, the version exists, its network has more than one
            output, the networks differ, or int8 is asked for and loses too much.
        ModelIntegrityError: the exported model does not load.
    """
    state = read_state(run_folder)
    metrics = read_metrics(run_folder)
    target = released_folder / f"{state.config.architecture}-{options.version}"
    exists = BenchError(f"{target} exists already: give another --version, a released model never changes")
    if target.exists():
        raise exists
    staging = released_folder / f".{target.name}-{os.getpid()}"
    staging.mkdir(parents=True)
    try:
        _fill(staging, run_folder, state, metrics, options, images)
        try:
            staging.rename(target)
        except OSError as error:  # another export was faster
            raise exists if target.exists() else error from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _fill(
    staging: Path,
    run_folder: Path,
    state: RunState,
    metrics: dict[str, Any],
    options: ReleaseOptions,
    images: ReleaseImages,
) -> None:
    model = load_best_model(run_folder)
    if model.output_shape[-1] != 1:
        raise BenchError(
            f"{state.config.name} gives one probability a class: only networks with one output are served "
            "(task malignancy, loss binary_crossentropy or focal)"
        )
    write_onnx(model, staging / MODEL_FILE)
    quality = write_limits(staging / MODEL_FILE, images.quality, staging / QUALITY_FILE, state)
    manifest = _write_manifest(staging, state, metrics, options, precision="float32", quality=quality)
    difference = largest_difference(model, Classifier.load(staging), images.parity)
    if not difference <= MAX_DIFFERENCE:
        raise BenchError(
            f"the exported network differs from the Keras network by {difference:.1e}, more than "
            f"{MAX_DIFFERENCE}: nothing was released"
        )
    metrics["export"] = {
        "max_difference": difference,
        "images": len(images.parity),
        "kind": images.parity_kind,
    }
    if images.int8 is not None:
        metrics["int8"] = measure_int8(
            staging / MODEL_FILE,
            staging / _INT8_FILE,
            images.int8,
            manifest=manifest,
            required=options.precision == "int8",
        )
    if options.precision == "int8":
        if images.int8 is None:
            raise BenchError("int8 has to prove itself on labelled images: point --data to them")
        (staging / _INT8_FILE).replace(staging / MODEL_FILE)
        add_explanation_outputs(staging / MODEL_FILE)
        quality = write_limits(staging / MODEL_FILE, images.quality, staging / QUALITY_FILE, state)
        manifest = _write_manifest(staging, state, metrics, options, precision="int8", quality=quality)
        Classifier.load(staging)
    (staging / _INT8_FILE).unlink(missing_ok=True)
    if options.selection:
        metrics["selection"] = options.selection
    if left_out := _left_out(state):
        metrics["left_out"] = left_out
    write_json(staging / METRICS_FILE, metrics)
    (staging / CARD_FILE).write_text(write_card(manifest, metrics), encoding="utf-8")
    for plot in released_plots(metrics):
        shutil.copyfile(run_folder / plot, staging / plot)
    draw_training_curves(
        state.history,
        staging / CURVES_PLOT,
        name=state.config.name,
        train_images=metrics["training"]["train_images"],
        validation_images=metrics["training"]["validation_images"],
    )


def largest_difference(model: keras.Model, classifier: Classifier, pixels: NDArray[np.uint8]) -> float:
    """Largest difference between the probabilities of a Keras network and of the served one, image by image.

    Both are the network's own: of one view, and not calibrated.

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


def measured_performance(sets: Mapping[str, Any]) -> MeasuredPerformance | None:
    """What the served threshold reached on all test images together, or on the one test split there was.

    Args:
        sets: of a run's metrics, by name.

    Returns:
        None where the test images were all malignant or all benign.
    """
    test = sets.get("test_all") or sets["test"]
    served = test["at_served"]
    if not (served["recall"] and served["specificity"]):
        return None
    sensitivity, specificity = (
        MeasuredShare(**{name: served[figure][name] for name in ("value", "low", "high")})
        for figure in ("recall", "specificity")
    )
    return MeasuredPerformance(
        set=test["title"],
        images=test["images"],
        malignant=test["malignant"],
        benign=test["benign"],
        sensitivity=sensitivity,
        specificity=specificity,
    )


def _left_out(state: RunState) -> list[dict[str, Any]]:
    """What other kept runs of the same network reached on sources they had not seen."""
    try:
        results = read_results()
    except BenchError:
        return []  # nothing is kept yet
    rows = left_out_results(results, architecture=state.config.architecture)
    return [row for row in rows if row["run"] != state.config.name]


def _write_manifest(
    folder: Path,
    state: RunState,
    metrics: Mapping[str, Any],
    options: ReleaseOptions,
    *,
    precision: Precision,
    quality: bytes | None,
) -> ModelManifest:
    manifest = _describe(
        state, metrics, options, precision, model=(folder / MODEL_FILE).read_bytes(), quality=quality
    )
    fields = asdict(manifest) | {
        "created": manifest.created.isoformat(),
        "calibration": manifest.calibration.to_json(),
    }
    write_json(folder / MANIFEST_FILE, {name: value for name, value in fields.items() if value is not None})
    return manifest


def _describe(
    state: RunState,
    metrics: Mapping[str, Any],
    options: ReleaseOptions,
    precision: Precision,
    *,
    model: bytes,
    quality: bytes | None,
) -> ModelManifest:
    training, point, test = metrics["training"], metrics["operating_point"], metrics["sets"]["test"]
    sources = [describe_source(source) for source in state.config.sources]
    names = "; ".join(source.name for source in sources)
    terms = dict.fromkeys(source.terms for source in sources)
    band, calibration = metrics["uncertain_band"], metrics["calibration"]
    headline = {f"test_{name}": test[name] for name in ("auc", "average_precision", "brier")} | {
        f"test_{figure}_{place}": test[place][figure]
        for place in ("at_0.5", "at_served")
        for figure in ("accuracy", "precision", "recall", "specificity", "f1")
    }
    own = ("method", "temperature", "slope", "offset", "knots")
    return ModelManifest(
        name=state.config.architecture,
        version=options.version,
        sha256=hashlib.sha256(model).hexdigest(),
        quality_sha256=None if quality is None else hashlib.sha256(quality).hexdigest(),
        precision=precision,
        input_size_px=state.config.input_size_px,
        preprocessing_version=PREPROCESSING_VERSION,
        views=metrics["views"],
        calibration=Calibration.from_json({name: calibration[name] for name in own if name in calibration}),
        threshold=point["threshold"],
        operating_point=OperatingPoint(
            name=point["name"], sensitivity=point["sensitivity"], specificity=point["specificity"]
        ),
        uncertain_band=UncertainBand(low=band["low"], high=band["high"]),
        test_performance=measured_performance(metrics["sets"]),
        trained_on=(
            f"{names}: {training['train_images']:,} images to train on, "
            f"{training['validation_images']:,} to choose epoch, calibration and threshold."
        ),
        data=DataNotice(
            name=names,
            counts={key: training[key] for key in ("train_images", "validation_images", "dropped_images")}
            | {"test_images": test["images"]},
            terms="; ".join(terms),
            credit=tuple(dict.fromkeys(work for source in sources for work in source.credit)),
        ),
        metrics={name: figure["value"] for name, figure in headline.items() if figure},
        created=datetime.now(UTC).replace(microsecond=0),
        command=_command(state, metrics, options),
        libraries={library: installed_version(library) for library in _LIBRARIES},
    )


def _command(state: RunState, metrics: Mapping[str, Any], options: ReleaseOptions) -> str:
    name, weights = state.config.name, state.config.weights
    start = f" --weights FILE ({weights})" if weights.startswith("sha256:") else ""
    precision = f" --precision {options.precision}" if options.precision != "float32" else ""
    return (
        f"python -m ml train {name}{start} && python -m ml evaluate {name} --views {metrics['views']} && "
        f"python -m ml export {name} --version {options.version}{precision}"
    )
