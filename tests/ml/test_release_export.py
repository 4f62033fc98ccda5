"""What the bench releases is what it trained, or nothing."""

import csv
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from ml.inference import Classifier, ModelIntegrityError, decode_image
from ml.preprocessing import scale_pixels, to_network_pixels
from ml.training import export
from ml.training.datasets import Split
from ml.training.errors import BenchError
from ml.training.export import (
    ReleaseImages,
    ReleaseOptions,
    drawn_pixels,
    export_release,
    largest_difference,
)
from ml.training.onnx_models import keras_model_from_onnx
from ml.training.training import load_best_model
from tests.ml.drawn_lesions import TinyRelease


def release(run_folder: Path, released_folder: Path, version: str = "0.2.0") -> Path:
    return export_release(
        run_folder,
        released_folder=released_folder,
        options=ReleaseOptions(version=version),
        images=ReleaseImages(parity=drawn_pixels(32), parity_kind="drawn"),
    )


@pytest.fixture
def run_copy(tiny_release: TinyRelease, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_release.run_folder, tmp_path / "runs" / "tiny")


def test_folder_holds_all_that_a_release_needs_when_exported(tiny_release: TinyRelease) -> None:
    assert sorted(path.name for path in tiny_release.folder.iterdir()) == [
        "MODEL_CARD.md",
        "calibration.png",
        "confusion_matrix.png",
        "manifest.json",
        "metrics.json",
        "model.onnx",
        "precision_recall.png",
        "residuals.png",
        "roc.png",
        "training_curves.png",
    ]
    assert tiny_release.folder.name == "custom_cnn-0.1.0"
    assert len(list(tiny_release.folder.parent.iterdir())) == 1


def test_served_probability_equals_keras_when_exported(
    tiny_release: TinyRelease, data_folder: Path, split: Split
) -> None:
    model, classifier = load_best_model(tiny_release.run_folder), Classifier.load(tiny_release.folder)
    lesions = [decode_image((data_folder / one.path).read_bytes()) for one in split.test]
    pixels = np.stack([to_network_pixels(one, size_px=32) for one in lesions])

    answers = model.predict_on_batch(scale_pixels(pixels))[:, 0]
    expected = classifier.manifest.calibration.apply(answers)

    np.testing.assert_allclose([classifier.predict(one).probability for one in lesions], expected, atol=2e-4)


def test_keras_network_is_rebuilt_when_read_from_onnx(tiny_release: TinyRelease) -> None:
    rebuilt = keras_model_from_onnx(tiny_release.folder / "model.onnx", architecture="custom_cnn")

    for ours, theirs in zip(rebuilt.weights, load_best_model(tiny_release.run_folder).weights, strict=False):
        np.testing.assert_array_equal(ours, theirs)


def test_predictions_in_the_run_are_the_served_ones_when_evaluated(
    tiny_release: TinyRelease, data_folder: Path
) -> None:
    classifier = Classifier.load(tiny_release.folder)
    with (tiny_release.run_folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    for row in rows[::7]:
        served = classifier.predict(decode_image((data_folder / row["path"]).read_bytes())).probability
        assert served == pytest.approx(float(row["probability"]), abs=2e-4)


def test_nothing_is_released_when_networks_differ(
    run_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = export.write_onnx

    def export_another(model: keras.Model, path: Path) -> None:
        other = keras.models.clone_model(model)
        other.set_weights([weight * 1.01 for weight in model.get_weights()])
        real(other, path)

    monkeypatch.setattr(export, "write_onnx", export_another)

    with pytest.raises(BenchError, match=r"differs from the Keras network by .* nothing was released"):
        release(run_copy, tmp_path / "released")
    assert not list((tmp_path / "released").iterdir())


def test_nothing_is_released_when_version_is_no_version(run_copy: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelIntegrityError, match="version"):
        release(run_copy, tmp_path / "released", version="new")
    assert not list((tmp_path / "released").iterdir())


def test_release_is_refused_when_version_exists(tiny_release: TinyRelease) -> None:
    with pytest.raises(BenchError, match="exists already"):
        release(tiny_release.run_folder, tiny_release.folder.parent, version="0.1.0")


def test_release_is_refused_when_run_is_not_finished(run_copy: Path, tmp_path: Path) -> None:
    state = json.loads((run_copy / "state.json").read_text()) | {"finished": False}
    (run_copy / "state.json").write_text(json.dumps(state))

    with pytest.raises(BenchError, match="train tiny --resume"):
        release(run_copy, tmp_path / "released")


@pytest.mark.parametrize("content", [None, "{", '{"training": {}}', '{"training": {"best_epoch": 99}}'])
def test_release_is_refused_when_run_is_not_evaluated(
    run_copy: Path, tmp_path: Path, content: str | None
) -> None:
    (run_copy / "metrics.json").unlink()
    if content is not None:
        (run_copy / "metrics.json").write_text(content)

    with pytest.raises(BenchError, match="evaluate tiny"):
        release(run_copy, tmp_path / "released")


def test_drawn_images_spread_over_flat_and_fine_when_made(tiny_release: TinyRelease) -> None:
    pixels = drawn_pixels(32)

    assert pixels.shape == (32, 32, 32, 3)
    assert np.ptp(pixels[0], axis=(0, 1)).max() == 0
    assert (
        largest_difference(
            load_best_model(tiny_release.run_folder), Classifier.load(tiny_release.folder), pixels
        )
        <= 1e-4
    )
