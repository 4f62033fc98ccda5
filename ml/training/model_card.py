"""The model card, written from the manifest and the metrics file alone: no figure is typed by hand."""

from collections.abc import Mapping
from typing import Any, Final

from ml.inference import ModelManifest
from ml.training.evaluation_sets import TWINS, title_of
from ml.training.measures import BOOTSTRAP_ROUNDS, MIN_IMAGES_A_BIN, MIN_IMAGES_A_CLASS
from ml.training.model_card_figures import (
    describe_calibration,
    describe_diagnoses,
    describe_int8,
    describe_left_out,
    describe_points,
    describe_residuals,
    describe_set,
    describe_subgroups,
)
from ml.training.model_card_limits import (
    INTENDED_USE,
    WHO_IS_MISSING,
    describe_limits,
    describe_shortcut,
)

_WRITTEN_BY: Final = (
    "<!-- Written by `python -m ml export` from manifest.json and metrics.json: change those. -->"
)
_NOTE: Final = f"""\
Values in brackets are 95% intervals ({BOOTSTRAP_ROUNDS:,} bootstrap rounds by group within each class). A
dash: fewer than {MIN_IMAGES_A_CLASS} images of a class that the figure needs. Average precision and precision
depend on the share of malignant images: compare them within one set only. The calibration error is the mean
distance of stated probability and share malignant over bins of equally many images, {MIN_IMAGES_A_BIN} or
more; on validation it and the Brier score are cross-validated. All figures are in
[metrics.json](metrics.json)."""
_TWINS_NOTE: Final = """\
Sets "with validation twins" hold pictures that also stand, in another encoding, in the validation part: never
fitted to, but used to choose epoch and threshold, so that their sensitivity is somewhat flattered."""
_LEFT_OUT: Final = """\
Networks of the same architecture, each trained without the collection that it is judged on, and fitted to no
picture that shares a lesion with one of the set or is near-identical to it: the nearest that these data come to
another clinic. Each is a network of its own, so these figures tell of the way of training, not of this very
file."""
_RESIDUALS: Final = """\
Above 0 the model states more cancer than there is, below 0 less. By class, brightness, contrast, sharpness,
size and shape: see the drawing and metrics.json."""
_PLOTS: Final = {
    "Learning curves": "training_curves.png",
    "ROC": "roc.png",
    "Precision and recall": "precision_recall.png",
    "Confusion matrix": "confusion_matrix.png",
    "Calibration": "calibration.png",
    "Residuals": "residuals.png",
}
_AUGMENTATION: Final = {
    "strong": "wide changes of position, shape, light, colour, compression, sharpness and corners",
    "own": "changes as metrics.json lists them",
    "none": "none",
}


def write_card(manifest: ModelManifest, metrics: Mapping[str, Any]) -> str:
    """Write a model card as Markdown.

    Args:
        manifest: of the released model.
        metrics: what its metrics.json holds.
    """
    sets = metrics["sets"].values()
    outside = [describe_set(one) for one in sets if not one["in_source"]]
    with_twins = any(key.endswith(TWINS) for key in metrics["sets"])
    parts = [
        f"# {manifest.name} {manifest.version}",
        _WRITTEN_BY,
        f"## Intended use\n\n{INTENDED_USE}",
        f"## The model\n\n{_describe_model(manifest, metrics)}",
        f"## Data and terms\n\n{_describe_data(manifest, metrics)}",
        *([f"## How this run was chosen\n\n{metrics['selection']}"] if metrics.get("selection") else []),
        f"## Calibration\n\n{describe_calibration(metrics)}",
        f"## Operating points\n\n{describe_points(metrics)}",
        f"## How to read the figures\n\n{_NOTE}{' ' + _TWINS_NOTE if with_twins else ''}",
        "## In source\n\nImages of the collections that the model was trained on, none of them trained on.",
        *(describe_set(one) for one in sets if one["in_source"]),
        f"## Out of source\n\n{_introduce_out_of_source(metrics, bool(outside))}",
        *outside,
        *_optional_sections(metrics),
        f"## Subgroups of the test images\n\n{describe_subgroups(metrics)}",
        f"## Residuals\n\n{_RESIDUALS}\n\n{describe_residuals(metrics)}",
        *(f"![{title}]({file})" for title, file in _drawings(metrics).items()),
        "## Limits",
        *([shortcut] if (shortcut := describe_shortcut(metrics)) else []),
        describe_limits(manifest, metrics),
        f"## Who is missing\n\n{WHO_IS_MISSING}",
    ]
    return "\n\n".join(parts) + "\n"


def _describe_model(manifest: ModelManifest, metrics: Mapping[str, Any]) -> str:
    training, export, size = metrics["training"], metrics["export"], manifest.input_size_px
    libraries = ", ".join(f"{name} {version}" for name, version in manifest.libraries.items())
    views = "" if manifest.views == 1 else f" It is the mean over {manifest.views} flips and quarter turns."
    hours = f"{training['duration_s'] / 60:.0f} minutes"
    best = "lowest validation loss" if training["monitor"] == "val_loss" else "highest validation AUC"
    return "\n".join(
        (
            f"- Input: {size}x{size} RGB, 0-1, preprocessing version {manifest.preprocessing_version}. "
            f"Output: probability of malignancy, 0-1.{views}",
            f"- {training['parameters']:,} parameters; ONNX, {manifest.precision}, sha256 "
            f"`{manifest.sha256}`.",
            f"- Largest difference from the Keras model's probability: {export['max_difference']:.1e} "
            f"on {export['images']} {export['kind']} images.",
            f"- Trained for {training['epochs']} epochs of {training['samples_an_epoch']:,} images ({hours}); "
            f"this is epoch {training['best_epoch']}, which had the {best}.",
            f"- Start: {_describe_start(training['weights'])}. Loss: {training['loss']}; optimizer: "
            f"{training['optimizer']}; balance: {training['balance']}; augmentation: "
            f"{_AUGMENTATION[training['augmentation']['name']]}; seed {training['seed']}.",
            f"- Made on {manifest.created.date().isoformat()} with `{manifest.command}` ({libraries}).",
        )
    )


def _describe_start(weights: str) -> str:
    if weights == "none":
        return "random weights"
    return "ImageNet weights" if weights == "imagenet" else f"weights of the file {weights}"


def _describe_data(manifest: ModelManifest, metrics: Mapping[str, Any]) -> str:
    training = metrics["training"]
    places = "in the test part"
    if training["left_out_source"]:
        places += f" or in {title_of(training['left_out_source'])}, which was left out"
    counts = "\n".join(
        f"- {title_of(source)}: {count['malignant']:,} malignant and {count['benign']:,} benign to train on"
        for source, count in training["images_by_source"].items()
    )
    return (
        f"{manifest.trained_on}\n\n{counts}\n\n{training['dropped_images']:,} images were left out because their "
        f"group (pictures of one lesion, near-identical pictures) stands {places}; training and validation share "
        "no group either.\n\n"
        f"Terms: {manifest.data.terms}; the model is under the same terms.\n\n"
        "Credit:\n\n" + "\n".join(f"- {work}" for work in manifest.data.credit)
    )


def _introduce_out_of_source(metrics: Mapping[str, Any], known: bool) -> str:
    if known:
        return "Images of collections that the model was not trained on."
    if metrics.get("left_out"):
        return "Every collection at hand was trained on; the next section has what stands in their place."
    return "Every collection at hand was trained on: there are no such figures."


def _optional_sections(metrics: Mapping[str, Any]) -> list[str]:
    sections = []
    if metrics.get("left_out"):
        sections.append(f"## One source left out\n\n{_LEFT_OUT}\n\n{describe_left_out(metrics['left_out'])}")
    if metrics.get("diagnosis"):
        sections.append(f"## Diagnoses\n\n{describe_diagnoses(metrics['diagnosis'])}")
    if metrics.get("int8"):
        sections.append(f"## In 8-bit arithmetic\n\n{describe_int8(metrics['int8'])}")
    return sections


def _drawings(metrics: Mapping[str, Any]) -> dict[str, str]:
    return _PLOTS | ({"Diagnoses": "diagnosis_confusion.png"} if metrics.get("diagnosis") else {})
