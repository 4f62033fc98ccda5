"""What a model card says in words of what a model is for and where it fails, as far as it is true of this model."""

from collections.abc import Mapping
from typing import Any, Final

from ml.inference import ModelManifest
from ml.training.evaluation_sets import KAGGLE, TWINS, title_of

INTENDED_USE: Final = """\
For research and for teaching, on dermoscopic photographs of one pigmented lesion, with the lesion in the
middle. It gives a probability of malignancy and, at the threshold, the word Benign or Malignant. It
supports, never replaces, a clinician: every answer is to be reviewed and signed by one, and "Benign" is no
reason to leave out a biopsy that the clinical picture calls for. It is no medical device and has no
clearance as one."""

WHO_IS_MISSING: Final = """\
Almost all skin in the images is light (Fitzpatrick I-III). **Nothing can be claimed for Fitzpatrick types
V-VI**, and little for IV. Children, nails, mucosa, and clinical (not dermoscopic) photographs are hardly
there either, nor are lesions that nobody thought of photographing through a dermatoscope."""

_SHORTCUT: Final = """\
**The label tells the source.** In the Kaggle melanoma set benign and malignant lesions come from different
collections: 37% of the malignant images have black corners, 2-3% of the benign; sizes, crops and colours
differ too. A network can learn the collection instead of the lesion."""
_NO_GATE: Final = """\
By itself it does not notice an image that shows no lesion, or one that is blurred or badly lit: it answers
all the same"""


def describe_shortcut(metrics: Mapping[str, Any]) -> str:
    """The data's main trap and what training did against it; empty where the trap was not among the data."""
    training = metrics["training"]
    if KAGGLE not in training["sources"]:
        return ""
    changes = training["augmentation"]
    measures = []
    if training["balance"] == "class_and_source":
        measures.append("showed the sources in the same mixture within both classes")
    if changes["black_corner_share"] > 0:
        share = f"{100 * changes['black_corner_share']:.0f}%"
        measures.append(f"put synthetic black corners on {share} of the images of both classes")
    if changes["brightness_fraction"] or changes["channel_gain_fraction"] or changes["hue_degrees"]:
        measures.append("varied light and colour")
    if changes["stretch_fraction"] or changes["compression_share"]:
        measures.append("varied shape and compression")
    if not measures:
        return f"{_SHORTCUT} Training did nothing against it: trust no in-source figure."
    elsewhere = "out-of-source" if has_out_of_source(metrics) else "left-out-source"
    advice = (
        f": compare the in-source with the {elsewhere} figures above, and trust the latter for a new clinic."
        if has_out_of_source(metrics) or metrics.get("left_out")
        else ": nothing above tells what is left of it."
    )
    return f"{_SHORTCUT} Training {_enumerate(measures)}, which weakens the shortcut and does not remove it{advice}"


def describe_limits(manifest: ModelManifest, metrics: Mapping[str, Any]) -> str:
    """The limits, one point each."""
    points = [
        _describe_malignant(metrics),
        _describe_prevalence(metrics),
        _NO_GATE
        + (
            "; quality.npz holds the limits by which a photograph is judged before it is stored. Do not rely on them "
            "to notice a picture that shows no skin."
            if manifest.quality_sha256
            else "."
        ),
        *_describe_missing_evidence(metrics),
    ]
    return "\n".join(f"- {point}".replace("\n", "\n  ") for point in points)


def has_out_of_source(metrics: Mapping[str, Any]) -> bool:
    """Whether any figure is of a collection that the model was not trained on."""
    return any(not one["in_source"] for one in metrics["sets"].values())


def _describe_malignant(metrics: Mapping[str, Any]) -> str:
    training = metrics["training"]
    if training["knows_melanoma_only"]:
        text = (
            "Malignant means melanoma: the training images know no other cancer. Basal cell carcinoma, "
            "actinic keratosis and all others are unknown to it"
        )
        if "ham10000" in metrics["sets"]:
            text += "; HAM10000, where the first two count as malignant, shows what it makes of them"
        return text + "."
    known = ", ".join(training["malignant_diagnoses"])
    return f"Malignant means what the training images call so: {known}. Other cancers are unknown to it."


def _describe_prevalence(metrics: Mapping[str, Any]) -> str:
    validation = metrics["sets"]["validation"]
    share = f"{validation['malignant'] / validation['images']:.0%} of the validation images"
    if metrics["calibration"]["method"] == "none":
        return (
            f"Its probabilities are the network's own, not calibrated. {share} are malignant; in a clinic far "
            "fewer are, so that a given probability means less there."
        )
    return (
        f"Its probabilities are calibrated for images like those of validation. {share} are malignant; in a "
        "clinic far fewer are, so that a given probability overstates the risk there. Calibrate again on the "
        "clinic's own images before reading a probability as a risk."
    )


def _describe_missing_evidence(metrics: Mapping[str, Any]) -> list[str]:
    points = []
    if not has_out_of_source(metrics):
        points.append(
            f"It was trained on every collection at hand ({_enumerate(_titles(metrics))}), so that no figure of "
            "this very network is out of source"
            + (
                "; networks trained in the same way with one collection left out stand in its place."
                if metrics.get("left_out")
                else ": how it does in another clinic is not known."
            )
        )
    sets = metrics["sets"]
    if any(key + TWINS in sets and sets[key]["auc"] is None for key in sets):
        points.append(
            "Some collections hold hardly a melanoma that is not also among the training images, so sensitivity "
            "out of source cannot be measured strictly there; see the note above the figures."
        )
    return points


def _titles(metrics: Mapping[str, Any]) -> list[str]:
    return [title_of(source) for source in metrics["training"]["sources"]]


def _enumerate(parts: list[str]) -> str:
    return " and ".join((", ".join(parts[:-1]), parts[-1])) if len(parts) > 1 else parts[0]
