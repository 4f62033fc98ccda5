"""Training leaves a run that can be continued, and refuses to mix it with another."""

import csv
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ml.training import training
from ml.training.architectures import build
from ml.training.config import AugmentationConfig, TrainingConfig
from ml.training.datasets import Split, labels_of, read_manifest
from ml.training.errors import BenchError
from ml.training.pixels import load_pixels
from ml.training.run_state import RunState, read_split, read_state
from ml.training.training import PixelBatches, load_best_model, train
from tests.ml.drawn_lesions import TinyRelease


def test_custom_cnn_has_the_published_parameters_when_built() -> None:
    model = build("custom_cnn", input_size_px=128)

    assert model.count_params() == 3_304_769
    assert model.input_shape == (None, 128, 128, 3)
    assert [type(layer).__name__ for layer in model.layers] == [
        *("Conv2D", "MaxPooling2D") * 3,
        *("Flatten", "Dense", "Dropout", "Dense"),
    ]
    assert [layer.filters for layer in model.layers[:6:2]] == [32, 64, 128]


def test_network_is_refused_when_its_name_is_unknown() -> None:
    with pytest.raises(BenchError, match=r"'alexnet': choose one of custom_cnn"):
        build("alexnet", input_size_px=64)


@pytest.fixture
def run_copy(tiny_release: TinyRelease, tmp_path: Path) -> Path:
    """The finished two-epoch run in a runs folder of its own."""
    shutil.copytree(tiny_release.run_folder, tmp_path / "tiny")
    return tmp_path


def interrupt_after_one_epoch(
    config: TrainingConfig,
    split: Split,
    data_folder: Path,
    runs_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Start a run and break it off at the end of its second epoch, before anything of it is written."""
    real = training._save_epoch

    def failing(folder: Path, model: keras.Model, state: RunState) -> None:
        if state.epochs_done == 2:
            raise KeyboardInterrupt
        real(folder, model, state)

    with monkeypatch.context() as patch:
        patch.setattr(training, "_save_epoch", failing)
        with pytest.raises(KeyboardInterrupt):
            train(config, split, data_folder=data_folder, runs_folder=runs_folder)


def test_run_goes_on_as_if_uninterrupted_when_resumed(
    tiny_release: TinyRelease,
    tiny_config: TrainingConfig,
    split: Split,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupt_after_one_epoch(tiny_config, split, data_folder, tmp_path, monkeypatch)
    assert read_state(tmp_path / "tiny").epochs_done == 1

    resumed = train(tiny_config, split, data_folder=data_folder, runs_folder=tmp_path, resume=True)

    whole = read_state(tiny_release.run_folder)
    assert resumed.finished
    assert resumed.epochs_done == 2
    assert resumed.history[0]["loss"] == pytest.approx(whole.history[0]["loss"], rel=1e-4)
    # Dropout draws other numbers after a restart, so the second epoch is alike, not equal.
    assert resumed.history[1]["val_loss"] == pytest.approx(whole.history[1]["val_loss"], rel=0.25)
    last = keras.saving.load_model(tmp_path / "tiny" / "last-002.keras")
    steps_an_epoch = math.ceil(len(split.train) / tiny_config.batch_size)
    assert int(last.optimizer.iterations) == 2 * steps_an_epoch, "the optimizer went on counting"
    assert [path.name for path in sorted((tmp_path / "tiny").glob("last-*"))] == ["last-002.keras"]


def test_finished_run_is_left_alone_when_resumed(
    run_copy: Path, tiny_config: TrainingConfig, split: Split, data_folder: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in run_copy.rglob("*")}

    state = train(tiny_config, split, data_folder=data_folder, runs_folder=run_copy, resume=True)

    assert state.finished
    assert {path: path.stat().st_mtime_ns for path in run_copy.rglob("*")} == before


def test_run_is_refused_when_its_folder_holds_one_and_resume_is_not_asked(
    run_copy: Path, tiny_config: TrainingConfig, split: Split, data_folder: Path
) -> None:
    with pytest.raises(BenchError, match="add --resume"):
        train(tiny_config, split, data_folder=data_folder, runs_folder=run_copy)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"learning_rate": 0.5}, r"learning_rate is 0\.001 there, 0\.5 here"),
        ({"epochs": 3}, "epochs is 2 there, 3 here"),
        ({"augmentation": AugmentationConfig(rotation_degrees=21)}, r"rotation_degrees is 20 there, 21 here"),
    ],
    ids=["rate", "epochs", "augmentation"],
)
def test_checkpoint_is_refused_when_it_is_of_another_configuration(
    run_copy: Path,
    tiny_config: TrainingConfig,
    split: Split,
    data_folder: Path,
    changes: dict[str, object],
    difference: str,
) -> None:
    with pytest.raises(BenchError, match=rf"another run \({difference}"):
        train(
            replace(tiny_config, **changes), split, data_folder=data_folder, runs_folder=run_copy, resume=True
        )


def test_checkpoint_is_refused_when_it_is_of_other_images(
    run_copy: Path, tiny_config: TrainingConfig, split: Split, data_folder: Path
) -> None:
    fewer = replace(split, train=split.train[1:])

    with pytest.raises(BenchError, match=r"another run \(its images or labels differ"):
        train(tiny_config, fewer, data_folder=data_folder, runs_folder=run_copy, resume=True)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"config": 1}'])
def test_run_is_refused_when_its_state_is_damaged(run_copy: Path, content: str) -> None:
    (run_copy / "tiny" / "state.json").write_text(content)

    with pytest.raises(BenchError, match=r"state\.json is damaged"):
        read_state(run_copy / "tiny")


def test_network_is_refused_when_its_file_is_damaged(run_copy: Path) -> None:
    for path in (run_copy / "tiny").glob("best-*.keras"):
        path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(BenchError, match="cannot be loaded"):
        load_best_model(run_copy / "tiny")


def test_history_is_a_table_of_all_epochs_when_run_ends(tiny_release: TinyRelease) -> None:
    with (tiny_release.run_folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {"loss", "accuracy", "auc", "val_loss", "val_accuracy", "val_auc", "duration_s"} <= set(rows[0])
    assert read_state(tiny_release.run_folder).history == tuple(
        {name: float(value) for name, value in row.items()} for row in rows
    )


def test_split_is_read_back_when_run_ends(tiny_release: TinyRelease, data_folder: Path, split: Split) -> None:
    assert read_split(tiny_release.run_folder, read_manifest(data_folder)) == split


def test_split_is_refused_when_the_data_has_lost_an_image(
    tiny_release: TinyRelease, data_folder: Path
) -> None:
    with pytest.raises(BenchError, match="made with other data"):
        read_split(tiny_release.run_folder, read_manifest(data_folder)[5:])


def test_run_stops_and_keeps_the_best_epoch_when_validation_loss_no_longer_falls(
    tiny_config: TrainingConfig,
) -> None:
    config = replace(tiny_config, epochs=20, patience_epochs=3)
    state = RunState(config=config, split_sha256="")

    for loss in (0.9, 0.5, 0.6, 0.5, 0.7):
        assert not state.finished
        state = state.after_epoch({"val_loss": loss})

    assert state.finished
    assert (state.best_epoch, state.best_loss, state.epochs_done) == (2, 0.5, 5)


def test_batches_hold_every_image_once_when_shuffled(
    data_folder: Path, split: Split, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    config = replace(tiny_config, augmentation=AugmentationConfig())
    pixels = load_pixels(split.train, data_folder=data_folder, cache_folder=tmp_path, size_px=32)

    batches = PixelBatches(pixels, labels_of(split.train), config=config, augment_seed=(1, 0))
    drawn = [batches[index] for index in range(len(batches))]

    values = np.concatenate([values for values, _ in drawn])
    labels = np.concatenate([labels for _, labels in drawn])[:, 0]
    assert values.dtype == np.float32
    assert values.max() <= 1.0
    found = sorted(
        (np.rint(one * 255).astype(np.uint8).tobytes(), label)
        for one, label in zip(values, labels, strict=True)
    )
    assert found == sorted(
        (one.tobytes(), float(image.malignant)) for one, image in zip(pixels, split.train, strict=True)
    )
    assert not np.array_equal(labels, labels_of(split.train)), "the order is another"


def test_state_is_readable_json_when_written(tiny_release: TinyRelease) -> None:
    state = json.loads((tiny_release.run_folder / "state.json").read_text())

    assert state["finished"] is True
    assert state["config"]["seed"] == 7
