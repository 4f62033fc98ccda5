"""What an evaluation writes is what the network says, calibrated and cut on validation images alone."""

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from ml.commands import evaluate_run
from ml.inference import DataNotice, ModelManifest, OperatingPoint
from ml.inference.calibration import Calibration
from ml.inference.manifest import UncertainBand
from ml.preprocessing import decode_image, scale_pixels, to_network_pixels
from ml.training import measures
from ml.training.config import STRONG_AUGMENTATION, TrainingConfig
from ml.training.datasets import LabelledImage, Split, read_manifest, split_sources
from ml.training.errors import BenchError
from ml.training.evaluation import evaluate, released_plots
from ml.training.model_card import write_card
from ml.training.run_state import RunState, digest_split, read_split, write_split, write_state
from ml.training.tasks import count_outputs

EPOCH = {
    "epoch": 1,
    **dict.fromkeys(("accuracy", "auc", "val_accuracy", "val_auc"), 0.5),
    **dict.fromkeys(("loss", "val_loss"), 0.7),
    "duration_s": 60.0,
    "data_wait_ms": 1.5,
}


@pytest.fixture(scope="module", autouse=True)
def little_arithmetic() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "BOOTSTRAP_ROUNDS", 20)
        patch.setattr(measures, "MIN_IMAGES_A_CLASS", 3)
        yield


def darkness_network(outputs: int) -> keras.Model:
    """It calls dark pictures malignant, those that are dark on the left above all, so that views differ."""
    activation = "sigmoid" if outputs == 1 else "softmax"
    layers = [keras.layers.Flatten(), keras.layers.Dense(outputs, activation=activation)]
    model = keras.Sequential([keras.Input((32, 32, 3)), *layers])
    slope = np.broadcast_to(np.linspace(2, 0, 32)[:, np.newaxis], (32, 32, 3)).reshape(-1, 1) / (32 * 32 * 3)
    leanings = np.array([[1.0]] if outputs == 1 else [[0.9, 1.1, -0.2, -1.0, 1.2, -0.9, -1.1]])
    model.set_weights([-12 * slope @ leanings, 7 * leanings[0]])
    return model


def make_run(folder: Path, config: TrainingConfig, images: tuple[LabelledImage, ...]) -> Path:
    """A run as training leaves it, with a network that nobody had to train."""
    split = split_sources(
        images,
        sources=config.sources,
        validation_fraction=0.5,
        test_fraction=0.4,
        left_out_source=config.left_out_source,
        seed=config.seed,
    )
    run = folder / config.name
    run.mkdir(parents=True)
    model = darkness_network(count_outputs(config))
    model.save(run / "last-001.keras")
    model.save(run / "best-001.keras")
    write_split(run, split)
    state = RunState(config, digest_split(split), history=(EPOCH,), best_epoch=1, finished=True)
    write_state(run, state)
    return run


@pytest.fixture(scope="module")
def images(data_folder: Path) -> tuple[LabelledImage, ...]:
    return read_manifest(data_folder)


@pytest.fixture(scope="module")
def several(
    tiny_config: TrainingConfig,
    images: tuple[LabelledImage, ...],
    data_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, Any]]:
    """A run of two sources with one left out, judged on eight views."""
    config = replace(
        tiny_config,
        sources=("kaggle_melanoma_10000", "ham10000"),
        left_out_source="isic2017",
        balance="class_and_source",
        augmentation=STRONG_AUGMENTATION,
    )
    run = make_run(tmp_path_factory.mktemp("several"), config, images)
    return run, evaluate(run, images, data_folder=data_folder, views=8, calibration="platt")


def predictions_of(run: Path) -> dict[str, dict[str, str]]:
    with (run / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def rows_of(part: tuple[LabelledImage, ...], run: Path) -> tuple[np.ndarray, np.ndarray]:
    found = predictions_of(run)
    probabilities = [float(found[one.path]["probability"]) for one in part]
    return np.array([one.malignant for one in part]), np.array(probabilities)


def split_of(run: Path, images: tuple[LabelledImage, ...]) -> Split:
    return read_split(run, images)


def test_predictions_are_the_calibrated_mean_of_all_views_when_eight_are_asked_for(
    several: tuple[Path, dict[str, Any]], data_folder: Path
) -> None:
    run, metrics = several
    model = keras.saving.load_model(run / "best-001.keras")
    calibration = Calibration.from_json(
        {name: metrics["calibration"][name] for name in ("method", "slope", "offset")}
    )

    for path, row in list(predictions_of(run).items())[::19]:
        one = to_network_pixels(decode_image((data_folder / path).read_bytes()), size_px=32)
        views = [np.rot90(side, quarter) for side in (one, one[:, ::-1]) for quarter in range(4)]
        raw = model.predict_on_batch(scale_pixels(np.stack(views))).mean()
        assert float(row["raw_probability"]) == pytest.approx(raw, abs=1e-6)
        assert float(row["probability"]) == pytest.approx(calibration.apply(np.array([raw]))[0], abs=1e-6)
        malignant = Path(path).stem.startswith(("mel", "bcc"))
        assert row["label"] == ("malignant" if malignant else "benign")


def test_thresholds_follow_from_validation_images_when_recalculated(
    several: tuple[Path, dict[str, Any]], images: tuple[LabelledImage, ...]
) -> None:
    run, metrics = several
    positive, probabilities = rows_of(split_of(run, images).validation, run)

    point = metrics["operating_point"]
    assert point["sensitivity"] == pytest.approx(np.mean(probabilities[positive] >= point["threshold"]))
    assert point["sensitivity"] >= 0.95
    assert np.mean(probabilities[positive] >= point["threshold"] + 1e-4) < 0.95
    assert point["threshold"] == metrics["sets"]["test"]["at_served"]["threshold"]
    other = metrics["operating_points"]["specificity_95"]
    assert np.mean(probabilities[~positive] < other["threshold"]) >= 0.95
    band = metrics["uncertain_band"]
    assert (band["low"], band["high"]) == tuple(sorted((point["threshold"], other["threshold"])))


def test_sets_are_measured_on_the_written_predictions_when_recalculated(
    several: tuple[Path, dict[str, Any]], images: tuple[LabelledImage, ...]
) -> None:
    run, metrics = several
    positive, probabilities = rows_of(split_of(run, images).test, run)
    measured = metrics["sets"]["test_all"]

    assert measured["images"] == len(positive)
    assert measured["brier"]["value"] == pytest.approx(np.mean((probabilities - positive) ** 2), abs=1e-4)
    cells = measured["at_0.5"]["confusion"]
    assert cells["true_positive"] == np.sum(positive & (probabilities >= 0.5))
    residual = metrics["residuals"]["in_source"][0]["mean"]["value"]
    assert residual == pytest.approx(np.mean(probabilities - positive), abs=1e-4)
    whole = [one for one in images if one.source == "isic2017"]
    assert metrics["sets"]["isic2017"]["images"] == len(whole)
    assert metrics["sets"]["isic2017"]["in_source"] is False


def test_validation_is_not_judged_by_its_own_fit_when_calibrated(
    several: tuple[Path, dict[str, Any]], images: tuple[LabelledImage, ...]
) -> None:
    run, metrics = several
    positive, probabilities = rows_of(split_of(run, images).validation, run)

    refitted = np.mean((probabilities - positive) ** 2)
    told = metrics["sets"]["validation"]["brier"]["value"]
    assert told != pytest.approx(refitted, abs=1e-4)
    assert told == metrics["calibration"]["after"]["validation"]["brier"]["value"]


def test_files_are_whole_and_tell_nothing_of_the_machine_when_written(
    several: tuple[Path, dict[str, Any]], data_folder: Path
) -> None:
    run, metrics = several
    written = (run / "metrics.json").read_text()

    assert json.loads(written) == json.loads(json.dumps(metrics, allow_nan=False))
    for name in (*released_plots(metrics), "worst_mistakes.png"):
        with Image.open(run / name) as picture:
            assert min(picture.size) > 300
    assert "worst_mistakes.png" not in released_plots(metrics)
    assert str(run.parent) not in written
    assert str(data_folder) not in written


def test_training_is_described_when_evaluated(
    several: tuple[Path, dict[str, Any]], images: tuple[LabelledImage, ...]
) -> None:
    run, metrics = several
    split, training = split_of(run, images), metrics["training"]

    assert metrics["views"] == 8
    assert training["sources"] == ["ham10000", "kaggle_melanoma_10000"]
    assert training["left_out_source"] == "isic2017"
    assert training["train_images"] == len(split.train)
    assert training["dropped_images"] == len(split.dropped)
    assert training["images_seen"] == training["samples_an_epoch"] * training["epochs"]
    assert training["parameters"] == keras.saving.load_model(run / "best-001.keras").count_params()
    assert training["augmentation"]["name"] == "strong"
    assert training["knows_melanoma_only"] is False
    assert training["malignant_diagnoses"] == ["bcc", "mel", "melanoma"]
    assert training["data_wait_ms"] == 1.5


@pytest.fixture(scope="module")
def of_diagnoses(
    tiny_config: TrainingConfig,
    images: tuple[LabelledImage, ...],
    data_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, Any]]:
    """A run that names diagnoses."""
    config = replace(tiny_config, sources=("ham10000",), task="diagnosis", loss="focal", name="diagnoses")
    run = make_run(tmp_path_factory.mktemp("diagnoses"), config, images)
    return run, evaluate(run, images, data_folder=data_folder)


def test_diagnoses_are_judged_besides_malignancy_when_taught(
    of_diagnoses: tuple[Path, dict[str, Any]], images: tuple[LabelledImage, ...], data_folder: Path
) -> None:
    run, metrics = of_diagnoses
    test = split_of(run, images).test
    found = metrics["diagnosis"]

    pixels = [
        to_network_pixels(decode_image((data_folder / one.path).read_bytes()), size_px=32) for one in test
    ]
    outputs = keras.saving.load_model(run / "best-001.keras").predict_on_batch(scale_pixels(np.stack(pixels)))
    called = [found["classes"][index] for index in outputs.argmax(axis=1)]
    right = np.mean([one.diagnosis == name for one, name in zip(test, called, strict=True)])
    assert found["accuracy"]["value"] == pytest.approx(right, abs=1e-4)
    assert sum(map(sum, found["confusion"])) == len(test) == found["images"]
    malignancy = outputs[:, [0, 1, 4]].sum(axis=1)
    raw = [float(predictions_of(run)[one.path]["raw_probability"]) for one in test]
    np.testing.assert_allclose(raw, malignancy, atol=1e-6)
    assert "diagnosis_confusion.png" in released_plots(metrics)
    assert (run / "diagnosis_confusion.png").is_file()


def test_figures_are_the_same_and_printed_a_line_a_set_when_evaluated_again(
    of_diagnoses: tuple[Path, dict[str, Any]], data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, metrics = of_diagnoses
    before = (run / "metrics.json").read_bytes()

    evaluate_run(run, data_folder=data_folder, views=1, calibration="auto")

    assert (run / "metrics.json").read_bytes() == before
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(metrics["sets"]) + 1
    assert lines[1].startswith("test (")
    error = metrics["sets"]["test"]["calibration_error"]["value"]
    assert f"calibration error {error:.3f}" in lines[1]
    assert lines[-1].startswith(f"calibration: {metrics['calibration']['method']} (lowest log loss of")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": 4}, "--views 4: choose one of 1, 8"),
        ({"calibration": "magic"}, "--calibration magic: choose one of auto, none, temperature"),
    ],
)
def test_option_is_refused_when_unknown(
    several: tuple[Path, dict[str, Any]], data_folder: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        evaluate(several[0], (), data_folder=data_folder, **options)


def manifest_of(metrics: dict[str, Any]) -> ModelManifest:
    point, band = metrics["operating_point"], metrics["uncertain_band"]
    return ModelManifest(
        name="custom_cnn",
        version="9.0.0",
        sha256="0" * 64,
        quality_sha256=None,
        precision="float32",
        input_size_px=32,
        preprocessing_version="1",
        views=metrics["views"],
        calibration=Calibration(),
        threshold=point["threshold"],
        operating_point=OperatingPoint(point["name"], point["sensitivity"], point["specificity"]),
        test_performance=None,
        uncertain_band=UncertainBand(band["low"], band["high"]),
        trained_on="Two collections.",
        data=DataNotice(name="two", counts={}, terms="research only", credit=("Somebody 2020",)),
        metrics={},
        created=datetime(2026, 1, 2, tzinfo=UTC),
        command="python -m ml train",
        libraries={"keras": "3"},
    )


def card_of(metrics: dict[str, Any], **more: Any) -> str:
    exported = metrics | {"export": {"max_difference": 1e-7, "images": 32, "kind": "drawn"}} | more
    return " ".join(write_card(manifest_of(metrics), exported).split())


def test_card_tells_what_is_true_when_several_sources_were_trained_on(
    several: tuple[Path, dict[str, Any]],
) -> None:
    card = card_of(several[1])

    for phrase in (
        "never replaces",
        "research only; the model is under the same terms",
        "Somebody 2020",
        "stands in the test part or in ISIC 2017, which was left out",
        "It is the mean over 8 flips and quarter turns",
        "showed the sources in the same mixture within both classes, put synthetic black corners on 30%",
        "Malignant means what the training images call so: bcc, mel, melanoma.",
        "(Platt): asked for. Fitted on",
        "calibrated for images like those of validation",
        "sensitivity 0.95 (served)",
        "**Uncertain band**",
        "Sex, age, site: not known for these images.",
        "Fitzpatrick types V-VI",
        "| in source | all images |",
        "![Residuals](residuals.png)",
    ):
        assert phrase in card, phrase
    for phrase in (
        "not calibrated",
        "One source left out",
        "8-bit",
        "How this run was chosen",
        "trained on every",
    ):
        assert phrase not in card, phrase
    interval = several[1]["sets"]["isic2017"]["auc"]
    assert f"AUC-ROC {interval['value']:.3f} ({interval['low']:.3f}-{interval['high']:.3f})" in card


def test_card_has_the_further_sections_when_their_figures_are_there(
    of_diagnoses: tuple[Path, dict[str, Any]],
) -> None:
    metrics = json.loads((of_diagnoses[0] / "metrics.json").read_text())
    auc = {"value": 0.8, "low": 0.75, "high": 0.85}
    served = {"recall": auc, "specificity": None}
    elsewhere = metrics["sets"]["isic2017"] | {"title": "ISIC 2017", "images": 2750, "malignant": 521}
    card = card_of(
        metrics | {"sets": {key: one for key, one in metrics["sets"].items() if one["in_source"]}},
        selection="The second of three.",
        left_out=[
            elsewhere | {"run": "without", "trained_on": ["ham10000"], "auc": auc, "at_served": served}
        ],
        int8={
            "auc_float32": auc,
            "auc_int8": auc | {"value": 0.798},
            "at_served_float32": served,
            "at_served_int8": served,
            "auc_loss": 0.002,
            "max_difference": 0.01,
            "set": "test",
            "images": 100,
            **dict.fromkeys(("ms_float32", "ms_int8", "mb_float32", "mb_int8"), 8.0),
        },
    )

    for phrase in (
        "## How this run was chosen The second of three.",
        "| `without` | HAM10000 | ISIC 2017 | 2,750 | 521 | 0.800 (0.750-0.850) | 0.800 (0.750-0.850) | - |",
        "| AUC-ROC | 0.800 (0.750-0.850) | 0.798 (0.750-0.850) |",
        "The AUC falls by 0.0020",
        "## Diagnoses Diagnoses of the test part",
        "![Diagnoses](diagnosis_confusion.png)",
        "Malignant means what the training images call so: bcc, mel.",
        "trained on every collection at hand (HAM10000), so that no figure of this very network is out of",
        "with one collection left out stand in its place",
    ):
        assert phrase in card, phrase
    assert "The label tells the source" not in card
    assert "with validation twins" not in card


def test_card_owns_up_when_not_calibrated_and_taught_melanoma_alone(
    several: tuple[Path, dict[str, Any]],
) -> None:
    metrics = json.loads(json.dumps(several[1]))
    metrics["calibration"] |= {"method": "none"}
    metrics["training"] |= {"knows_melanoma_only": True}

    card = card_of(metrics)

    assert "The network's probabilities are served as they are" in card
    assert "Its probabilities are the network's own, not calibrated." in card
    assert "Fitted on" not in card
    assert "Malignant means melanoma: the training images know no other cancer." in card
