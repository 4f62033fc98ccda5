"""The model card, written from the manifest and the metrics file alone: no figure is typed by hand."""

from collections.abc import Mapping
from typing import Any, Final

from ml.inference import ModelManifest
from ml.training.measures import BOOTSTRAP_ROUNDS, MIN_IMAGES_A_CLASS

_AT_THRESHOLD: Final = (
    ("accuracy", "Accuracy"),
    ("precision", "Precision"),
    ("recall", "Recall (sensitivity)"),
    ("specificity", "Specificity"),
    ("f1", "F1"),
)
_WITHOUT_THRESHOLD: Final = (
    ("auc", "AUC-ROC"),
    ("specificity_at_95_sensitivity", "specificity at 95% sensitivity"),
    ("brier", "Brier"),
)
_COLUMNS: Final = {"at_0.5": "", "at_served": " (served)"}

_INTENDED_USE: Final = """\
For research and for teaching, on dermoscopic photographs of one pigmented lesion, with the lesion in the
middle. It gives a probability of malignancy and, at the threshold, the word Benign or Malignant. It
supports, never replaces, a clinician: every answer is to be reviewed and signed by one, and "Benign" is no
reason to leave out a biopsy that the clinical picture calls for. It is no medical device and has no
clearance as one."""

_SHORTCUT: Final = """\
**The label tells the source.** In the training set benign and malignant lesions come from different
collections: 37% of the malignant images have black corners, 2-3% of the benign; sizes, crops and colours
differ too. A network can learn the collection instead of the lesion. Training put synthetic black corners
on images of both classes and varied light and colour, which weakens the shortcut and does not remove it:
compare the in-source with the out-of-source figures above, and trust the latter for a new clinic."""

_LIMITS: Final = """\
- Malignant means melanoma: the training set knows no other cancer. Basal cell carcinoma and actinic
  keratosis are unknown to it, and HAM10000, where they count as malignant, shows what it makes of them.
- Almost all skin in the images is light (Fitzpatrick I-III). **Nothing can be claimed for Fitzpatrick types
  V-VI**, and little for IV; children, nails, mucosa, and clinical (not dermoscopic) photographs are hardly
  there either.
- Its probabilities are the network's own, not calibrated. Half of the training images are malignant; in a
  clinic far fewer are, so that a given probability means less there.
- It does not notice an image that shows no lesion, or one that is blurred or badly lit: it answers all the
  same.
- Other sources hold hardly a melanoma that is not also in the training set, so sensitivity out of source
  cannot be measured strictly; see the note under the figures."""

_NOTE: Final = f"""\
Values in brackets are 95% intervals ({BOOTSTRAP_ROUNDS:,} bootstrap rounds by group within each class). A
dash: fewer than {MIN_IMAGES_A_CLASS} images of a class that the figure needs. Sets "with validation twins"
hold pictures that also stand, in another encoding, in the validation part: never fitted to, but used to
choose epoch and threshold, so that their sensitivity is somewhat flattered. All figures are in
[metrics.json](metrics.json)."""

_PLOTS: Final = """\
![Learning curves](training_curves.png)

![ROC](roc.png)

![Confusion matrix](confusion_matrix.png)

![Calibration](calibration.png)"""


def write_card(manifest: ModelManifest, metrics: Mapping[str, Any]) -> str:
    """Write a model card as Markdown.

    Args:
        manifest: of the released model.
        metrics: what its metrics.json holds.
    """
    sets = metrics["sets"].values()
    parts = [
        f"# {manifest.name} {manifest.version}",
        "<!-- Written by `python -m ml export` from manifest.json and metrics.json: change those. -->",
        f"## Intended use\n\n{_INTENDED_USE}",
        f"## The model\n\n{_describe_model(manifest, metrics)}",
        f"## Data\n\n{_describe_data(manifest, metrics)}",
        f"## Threshold\n\n{_describe_threshold(manifest, metrics)}",
        "## In source\n\nImages of the collection that the model was trained on, none of them trained on.",
        *(_describe_set(one) for one in sets if one["in_source"]),
        "## Out of source\n\nImages of other collections.",
        *(_describe_set(one) for one in sets if not one["in_source"]),
        _NOTE,
        _PLOTS,
        f"## Limits\n\n{_SHORTCUT}\n\n{_LIMITS}",
    ]
    return "\n\n".join(parts) + "\n"


def _describe_model(manifest: ModelManifest, metrics: Mapping[str, Any]) -> str:
    training, export, size = metrics["training"], metrics["export"], manifest.input_size_px
    libraries = ", ".join(f"{name} {version}" for name, version in manifest.libraries.items())
    return "\n".join(
        (
            f"- Input: {size}x{size} RGB, 0-1, preprocessing version {manifest.preprocessing_version}. "
            "Output: probability of malignancy, 0-1.",
            f"- {training['parameters']:,} parameters; ONNX, float32, sha256 `{manifest.sha256}`.",
            f"- Largest difference from the Keras model's probability: {export['max_difference']:.1e} "
            f"on {export['images']} {export['kind']} images.",
            f"- Trained for {training['epochs']} epochs ({training['duration_s'] / 60:.0f} minutes); this is "
            f"epoch {training['best_epoch']}, which had the lowest validation loss.",
            f"- Made on {manifest.created.date().isoformat()} with `{manifest.command}` ({libraries}).",
        )
    )


def _describe_data(manifest: ModelManifest, metrics: Mapping[str, Any]) -> str:
    return (
        f"{manifest.trained_on} {metrics['training']['dropped_images']} images of the official training "
        "split were left out because their group (pictures of one lesion, near-identical pictures) stands in "
        "the test split; training and validation share no group either.\n\n"
        f"Terms: {manifest.data.terms}; the model is under the same terms.\n\n"
        "Credit:\n\n" + "\n".join(f"- {work}" for work in manifest.data.credit)
    )


def _describe_threshold(manifest: ModelManifest, metrics: Mapping[str, Any]) -> str:
    point, test = manifest.operating_point, metrics["sets"]["test"]
    served, half = test["at_served"], test["at_0.5"]
    return (
        f"{manifest.threshold:.4f}: {point.name}, where it reached a sensitivity of {point.sensitivity:.4f} "
        f"and a specificity of {point.specificity:.4f}. Chosen on validation images only. On the test split "
        f"it gives a sensitivity of {_interval(served['recall'])}, a specificity of "
        f"{_interval(served['specificity'])} and an accuracy of {_interval(served['accuracy'])}; at 0.5 "
        f"these would be {_interval(half['recall'])}, {_interval(half['specificity'])} and "
        f"{_interval(half['accuracy'])}."
    )


def _describe_set(measured: Mapping[str, Any]) -> str:
    columns = [measured[place] for place in _COLUMNS]
    heads = [f"at {measured[place]['threshold']:.4f}{remark}" for place, remark in _COLUMNS.items()]
    rows = [
        ["", *heads],
        ["---"] * (len(columns) + 1),
        *([title, *(_interval(column[key]) for column in columns)] for key, title in _AT_THRESHOLD),
        ["Benign called benign / malignant", *(_calls(column, "negative", "positive") for column in columns)],
        [
            "Malignant called malignant / benign",
            *(_calls(column, "positive", "negative") for column in columns),
        ],
    ]
    return "\n".join(
        (
            f"### {measured['title']}\n",
            f"{measured['images']:,} images: {measured['malignant']:,} malignant, {measured['benign']:,} "
            f"benign ({measured['labels']}).\n",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            "; ".join(f"{title} {_interval(measured[key])}" for key, title in _WITHOUT_THRESHOLD) + ".",
        )
    )


def _interval(figure: Mapping[str, float] | None) -> str:
    if figure is None:
        return "-"
    return f"{figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"


def _calls(column: Mapping[str, Any], right: str, wrong: str) -> str:
    """Right and wrong calls of the images of one class."""
    cells = column["confusion"]
    return f"{cells[f'true_{right}']:,} / {cells[f'false_{wrong}']:,}"
