"""An interrupted run goes on as if nothing had happened, and is never mixed with another."""

import errno
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ml.training.config import AugmentationConfig, TrainingConfig
from ml.training.datasets import Split, read_manifest
from ml.training.errors import BenchError
from ml.training.run_state import last_checkpoint, read_split, read_state
from ml.training.tasks import count_outputs
from ml.training.training import load_best_model, train
from tests.ml.watched_runs import RESUME, assert_same_figures, interrupt_after, train_and_watch


@pytest.fixture
def run_copy(tiny_run: Path, tmp_path: Path) -> Path:
    """The finished two-epoch run in a runs folder of its own."""
    shutil.copytree(tiny_run, tmp_path / "tiny")
    return tmp_path


def test_run_goes_on_as_if_uninterrupted_when_resumed(
    tiny_run: Path,
    tiny_config: TrainingConfig,
    split: Split,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupt_after(1, tiny_config, split, data_folder, tmp_path, monkeypatch)

    resumed = train(tiny_config, split, data_folder=data_folder, runs_folder=tmp_path, options=RESUME)

    whole = read_state(tiny_run)
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

    state = train(tiny_config, split, data_folder=data_folder, runs_folder=run_copy, options=RESUME)

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
            replace(tiny_config, **changes),
            split,
            data_folder=data_folder,
            runs_folder=run_copy,
            options=RESUME,
        )


def test_checkpoint_is_refused_when_it_is_of_other_images(
    run_copy: Path, tiny_config: TrainingConfig, split: Split, data_folder: Path
) -> None:
    fewer = replace(split, train=split.train[1:])

    with pytest.raises(BenchError, match=r"another run \(its images or labels differ"):
        train(tiny_config, fewer, data_folder=data_folder, runs_folder=run_copy, options=RESUME)


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


def test_split_is_refused_when_the_data_has_lost_an_image(tiny_run: Path, data_folder: Path) -> None:
    with pytest.raises(BenchError, match="made with other data"):
        read_split(tiny_run, read_manifest(data_folder)[5:])


@pytest.mark.parametrize("epochs", [1, 2], ids=["at the border of the phases", "in the second phase"])
def test_run_is_equal_to_an_uninterrupted_one_when_resumed(
    two_phases: TrainingConfig,
    small_split: Split,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    epochs: int,
) -> None:
    whole, seen = train_and_watch(two_phases, small_split, data_folder, tmp_path / "whole", monkeypatch)
    interrupt_after(epochs, two_phases, small_split, data_folder, tmp_path, monkeypatch)

    resumed = train(two_phases, small_split, data_folder=data_folder, runs_folder=tmp_path, options=RESUME)

    assert_same_figures(resumed, whole)
    last = keras.saving.load_model(last_checkpoint(tmp_path / two_phases.name, resumed))
    for layer in last.layers:
        for ours, theirs in zip(layer.get_weights(), seen[-1].get(layer.name, []), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("task", "loss", "optimizer"),
    [
        # Every loss with every task that it may have, and every optimizer, each at least once.
        ("malignancy", "binary_crossentropy", "adam"),
        ("malignancy", "categorical_crossentropy", "sgd"),
        ("malignancy", "focal", "adamw"),
        ("diagnosis", "categorical_crossentropy", "rmsprop"),
        ("diagnosis", "focal", "adamw"),
    ],
)
def test_run_can_be_resumed_when_losses_outputs_and_optimizers_are_combined(
    tiny_config: TrainingConfig,
    small_split: Split,
    diagnosis_split: Split,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    loss: str,
    optimizer: str,
) -> None:
    config = replace(tiny_config, input_size_px=22, task=task, loss=loss, optimizer=optimizer)
    images = diagnosis_split if task == "diagnosis" else small_split
    interrupt_after(1, config, images, data_folder, tmp_path, monkeypatch)

    state = train(config, images, data_folder=data_folder, runs_folder=tmp_path, options=RESUME)

    assert [row["epoch"] for row in state.history] == [1, 2]
    best = load_best_model(tmp_path / config.name)
    assert type(best.optimizer).__name__.lower() == optimizer
    assert best.output_shape == (None, count_outputs(config))


@pytest.mark.parametrize("place", ["network", "history", "state"])
def test_run_goes_on_when_the_disk_was_full(
    tiny_config: TrainingConfig,
    small_split: Split,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    name = {"network": "last-002.keras", "history": "history.csv", "state": "state.json"}[place]
    real = Path.replace

    def full(path: Path, target: Path) -> Path:
        if target.name == name and (tmp_path / "tiny" / "last-001.keras").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        if place != "network":  # both are written in the first epoch, after its network
            interrupt = r"epoch 1 cannot be kept in .*tiny \(No space left on device\)"
        else:
            interrupt = r"epoch 2 cannot be kept in .*tiny \(No space left on device\): make room there"
        with pytest.raises(BenchError, match=interrupt) as refusal:
            train(tiny_config, small_split, data_folder=data_folder, runs_folder=tmp_path)
    assert "\n" not in str(refusal.value)
    assert not list((tmp_path / "tiny").glob(".*")), "nothing half-written stays"
    if place == "network":
        assert read_state(tmp_path / "tiny").epochs_done == 1

    state = train(tiny_config, small_split, data_folder=data_folder, runs_folder=tmp_path, options=RESUME)

    assert state.finished
    assert [row["epoch"] for row in read_state(tmp_path / "tiny").history] == [1, 2]


def test_network_is_refused_when_its_archive_holds_other_bytes(run_copy: Path) -> None:
    for path in (run_copy / "tiny").glob("best-*.keras"):
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 1000] = bytes(255 - byte for byte in content[middle : middle + 1000])
        path.write_bytes(content)

    with pytest.raises(BenchError, match=r"cannot be loaded .*: remove the run's folder"):
        load_best_model(run_copy / "tiny")
