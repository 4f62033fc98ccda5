"""The models under ml/released: they load, give what the Keras network gives, and say the truth about themselves."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.inference import (
    RELEASED_FOLDER,
    Classifier,
    ModelManifest,
    decode_image,
    find_released_model,
    list_released_models,
)
from ml.preprocessing import scale_pixels, to_network_pixels
from tests.ml.drawn_lesions import draw_lesion

CUSTOM_CNN = find_released_model("custom_cnn")
FOLDERS = [RELEASED_FOLDER / manifest.identifier for manifest in list_released_models()]
each_model = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def test_every_network_a_clinic_chooses_from_is_there_when_released_models_are_read() -> None:
    assert {"custom_cnn", "mobilenet_v2", "resnet50"} <= {
        manifest.name for manifest in list_released_models()
    }


@each_model
def test_model_answers_with_a_probability_when_given_a_photograph(folder: Path) -> None:
    classifier = Classifier.load(folder)

    answer = classifier.predict(draw_lesion(malignant=True, seed=1, side_px=300))

    assert 0.0 <= answer.probability <= 1.0
    assert answer.label == ("malignant" if answer.probability >= classifier.manifest.threshold else "benign")


def test_served_probability_equals_keras_when_weights_come_from_the_release(real_images: list[Path]) -> None:
    from ml.training.export import drawn_pixels
    from ml.training.onnx_models import keras_model_from_onnx

    classifier = Classifier.load(CUSTOM_CNN)
    size_px = classifier.manifest.input_size_px
    lesions = [draw_lesion(malignant=seed % 2 == 0, seed=seed, side_px=300) for seed in range(8)]
    lesions += [decode_image(path.read_bytes()) for path in real_images]
    pixels = np.concatenate(
        [drawn_pixels(size_px), np.stack([to_network_pixels(one, size_px=size_px) for one in lesions])]
    )

    model = keras_model_from_onnx(CUSTOM_CNN / "model.onnx", architecture="custom_cnn")
    expected = model.predict_on_batch(scale_pixels(pixels))[:, 0]

    assert model.count_params() == 3_304_769
    assert np.ptp(expected) > 0.5, "the images must not all look alike to the network"
    np.testing.assert_allclose(classifier.probabilities(scale_pixels(pixels)), expected, atol=1e-4, rtol=0)


@each_model
def test_sha256_is_that_of_the_file_when_read_another_way(folder: Path) -> None:
    with (folder / "model.onnx").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == ModelManifest.read(folder).sha256


def test_custom_cnn_reaches_what_it_promises_when_judged_on_the_test_split() -> None:
    test = json.loads((CUSTOM_CNN / "metrics.json").read_text())["sets"]["test"]

    assert test["images"] == 1000
    assert test["auc"]["value"] >= 0.95
    assert test["at_0.5"]["accuracy"]["value"] >= 0.90
    assert test["at_served"]["accuracy"]["value"] >= 0.88
    assert test["at_served"]["recall"]["value"] >= 0.93


@each_model
def test_manifest_agrees_with_metrics_when_both_are_read(folder: Path) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    manifest = ModelManifest.read(folder)

    point = metrics["operating_point"]
    assert manifest.threshold == point["threshold"] == metrics["sets"]["test"]["at_served"]["threshold"]
    assert manifest.operating_point.sensitivity == point["sensitivity"]
    assert manifest.metrics["test_auc"] == metrics["sets"]["test"]["auc"]["value"]
    assert manifest.data.counts["train_images"] == metrics["training"]["train_images"]


@each_model
def test_performance_follows_from_the_confusion_matrix_when_recalculated(folder: Path) -> None:
    sets = json.loads((folder / "metrics.json").read_text())["sets"]
    test = sets.get("test_all") or sets["test"]
    cells = test["at_served"]["confusion"]

    performance = ModelManifest.read(folder).test_performance

    assert performance is not None
    assert (performance.set, performance.images) == (test["title"], sum(cells.values()))
    for share, found, all_of_them in (
        (performance.sensitivity, cells["true_positive"], performance.malignant),
        (performance.specificity, cells["true_negative"], performance.benign),
    ):
        assert share.value == pytest.approx(found / all_of_them, abs=1e-4)
        assert share.low < share.value < share.high


@each_model
def test_figures_follow_from_the_confusion_matrix_when_recalculated(folder: Path) -> None:
    for measured in json.loads((folder / "metrics.json").read_text())["sets"].values():
        for place in ("at_0.5", "at_served"):
            cells = measured[place]["confusion"]
            right = cells["true_negative"] + cells["true_positive"]
            assert sum(cells.values()) == measured["images"] == measured["malignant"] + measured["benign"]
            assert measured[place]["accuracy"]["value"] == pytest.approx(right / measured["images"], abs=1e-4)
            specificity = cells["true_negative"] / measured["benign"]
            assert measured[place]["specificity"]["value"] == pytest.approx(specificity, abs=1e-4)
            if measured[place]["recall"]:
                recall = cells["true_positive"] / measured["malignant"]
                assert measured[place]["recall"]["value"] == pytest.approx(recall, abs=1e-4)


@each_model
def test_model_card_is_the_one_that_manifest_and_metrics_give_when_written_again(folder: Path) -> None:
    from ml.training.model_card import write_card

    metrics = json.loads((folder / "metrics.json").read_text())

    assert (folder / "MODEL_CARD.md").read_text() == write_card(ModelManifest.read(folder), metrics)


@each_model
def test_model_card_says_what_a_clinic_must_know_when_read(folder: Path) -> None:
    card = (folder / "MODEL_CARD.md").read_text()

    for phrase in (
        "never replaces",
        "Fitzpatrick types V-VI",
        "Out of source",
        "The label tells the source",
        "Credit",
    ):
        assert " ".join(phrase.split()) in " ".join(card.split())
    for plot in ("training_curves.png", "roc.png", "confusion_matrix.png", "calibration.png"):
        assert plot in card
        assert (folder / plot).is_file()


@each_model
def test_real_photographs_can_be_used_when_their_quality_is_judged(
    folder: Path, real_images: list[Path]
) -> None:
    classifier = Classifier.load(folder)
    verdicts = [classifier.assess(decode_image(path.read_bytes())) for path in real_images]

    unusable = [verdict for verdict in verdicts if verdict is None or not verdict.acceptable]
    assert len(unusable) <= 0.1 * len(real_images)


@each_model
def test_judgement_is_the_prediction_and_the_verdict_when_both_are_asked_for_at_once(
    folder: Path, real_images: list[Path]
) -> None:
    classifier = Classifier.load(folder)
    image = decode_image(real_images[0].read_bytes())

    prediction, verdict = classifier.judge(image)

    assert prediction.probability == pytest.approx(classifier.predict(image).probability, abs=1e-6)
    assessed = classifier.assess(image)
    assert verdict is not None
    assert assessed is not None
    assert verdict.findings == assessed.findings
    assert asdict(verdict.measures) == pytest.approx(asdict(assessed.measures), abs=1e-6)


@each_model
def test_grey_noise_is_not_taken_for_skin_when_its_quality_is_judged(folder: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 300, 1), dtype=np.uint8)

    verdict = Classifier.load(folder).assess(Image.fromarray(np.repeat(noise, 3, axis=2)))

    assert verdict is not None
    assert not verdict.acceptable
