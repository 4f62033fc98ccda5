"""Training leaves a run that can be continued, and refuses to mix it with another."""

import csv
import errno
import json
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import keras
import numpy as np
import pytest

from ml.training import training
from ml.training.batches import PixelBatches
from ml.training.config import AugmentationConfig, OptimizerName, TrainingConfig
from ml.training.datasets import LabelledImage, Split, labels_of, read_manifest, split_sources
from ml.training.errors import BenchError
from ml.training.pixels import load_pixels
from ml.training.run_state import RunState, last_checkpoint, read_split, read_state
from ml.training.tasks import count_outputs
from ml.training.training import TrainingOptions, load_best_model, train

RESUME = TrainingOptions(resume=True)


@pytest.fixture
def run_copy(tiny_run: Path, tmp_path: Path) -> Path:
    """The finished two-epoch run in a runs folder of its own."""
    shutil.copytree(tiny_run, tmp_path / "tiny")
    return tmp_path


def interrupt_after(
    epochs: int,
    config: TrainingConfig,
    split: Split,
    data_folder: Path,
    runs_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Start a run and break it off at the end of the epoch that follows, before anything of that is written."""
    real = training._save_epoch

    def failing(folder: Path, model: keras.Model, state: RunState) -> None:
        if state.epochs_done > epochs:
            raise KeyboardInterrupt
        real(folder, model, state)

    with monkeypatch.context() as patch:
        patch.setattr(training, "_save_epoch", failing)
        with pytest.raises(KeyboardInterrupt):
            train(config, split, data_folder=data_folder, runs_folder=runs_folder)
    assert read_state(runs_folder / config.name).epochs_done == epochs


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


def test_history_is_a_table_of_all_epochs_when_run_ends(tiny_run: Path) -> None:
    with (tiny_run / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {
        "loss",
        "accuracy",
        "auc",
        "val_loss",
        "val_accuracy",
        "val_auc",
        "duration_s",
        "data_wait_ms",
    } <= set(rows[0])
    assert read_state(tiny_run).history == tuple(
        {name: float(value) for name, value in row.items()} for row in rows
    )


def test_split_is_read_back_when_run_ends(tiny_run: Path, data_folder: Path, split: Split) -> None:
    assert read_split(tiny_run, read_manifest(data_folder)) == split


def test_split_is_refused_when_the_data_has_lost_an_image(tiny_run: Path, data_folder: Path) -> None:
    with pytest.raises(BenchError, match="made with other data"):
        read_split(tiny_run, read_manifest(data_folder)[5:])


def test_run_stops_and_keeps_the_best_epoch_when_validation_loss_no_longer_falls(
    tiny_config: TrainingConfig,
) -> None:
    config = replace(tiny_config, epochs=20, patience_epochs=3)
    state = RunState(config=config, split_sha256="")

    for loss in (0.9, 0.5, 0.6, 0.5, 0.7):
        assert not state.finished
        state = state.after_epoch({"val_loss": loss})

    assert state.finished
    assert (state.best_epoch, state.epochs_done) == (2, 5)


def test_best_epoch_has_the_highest_area_when_that_is_monitored(tiny_config: TrainingConfig) -> None:
    config = replace(tiny_config, epochs=20, patience_epochs=3, monitor="val_auc")
    state = RunState(config=config, split_sha256="")

    for area, loss in ((0.7, 0.5), (0.8, 0.9), (0.8, 0.4), (0.75, 0.3), (0.6, 0.2)):
        assert not state.finished
        state = state.after_epoch({"val_auc": area, "val_loss": loss})

    assert state.finished
    assert state.best_epoch == 2


def test_fine_tuning_has_its_turn_when_the_head_no_longer_learns(tiny_config: TrainingConfig) -> None:
    config = replace(tiny_config, epochs=20, patience_epochs=2, head_epochs=5)
    state = RunState(config=config, split_sha256="")

    for _ in range(7):
        assert not state.finished
        state = state.after_epoch({"val_loss": 0.5})

    assert state.finished
    assert state.best_epoch == 1


def test_batches_hold_every_image_once_when_shuffled(
    data_folder: Path, split: Split, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    config = replace(tiny_config, augmentation=AugmentationConfig())
    pixels = load_pixels(split.train, data_folder=data_folder, cache_folder=tmp_path, size_px=32)

    batches = PixelBatches(pixels, split.train, config=config, augment_seed=(1, 0))
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


def test_state_is_readable_json_when_written(tiny_run: Path) -> None:
    state = json.loads((tiny_run / "state.json").read_text())

    assert state["finished"] is True
    assert state["config"]["seed"] == 7


def few(images: Sequence[LabelledImage], per_class: int) -> tuple[LabelledImage, ...]:
    """The first images of each diagnosis."""
    names = sorted({image.diagnosis for image in images})
    return tuple(
        image for name in names for image in [one for one in images if one.diagnosis == name][:per_class]
    )


@pytest.fixture(scope="session")
def small_split(split: Split) -> Split:
    """Twelve training and four validation images."""
    return replace(split, train=few(split.train, 6), validation=few(split.validation, 2))


@pytest.fixture(scope="session")
def diagnosis_split(data_folder: Path) -> Split:
    """Pictures with diagnoses of HAM10000."""
    found = split_sources(
        read_manifest(data_folder),
        sources=("ham10000",),
        validation_fraction=0.3,
        test_fraction=0.2,
        seed=1,
    )
    return replace(found, train=few(found.train, 4), validation=few(found.validation, 1))


@pytest.fixture
def two_phases(small_backbone: None, tiny_config: TrainingConfig) -> TrainingConfig:
    """The head for an epoch, then from the second convolution on for two; without dropout nothing is chance."""
    return replace(
        tiny_config,
        name="two_phases",
        architecture="mobilenet_v2",
        epochs=3,
        head_epochs=1,
        head_learning_rate=0.05,
        learning_rate=0.01,
        fine_tune_from="second_conv",
        dropout=0.0,
        warmup_steps=2,
    )


Weights = dict[str, list[np.ndarray]]


def train_and_watch(
    config: TrainingConfig,
    split: Split,
    data_folder: Path,
    runs_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[RunState, list[Weights]]:
    """Train; the state at the end and every layer's weights after each epoch, those of the start first."""
    seen: list[Weights] = []
    real_start, real_save = training.build_with_start_weights, training._save_epoch

    def watch(model: keras.Model) -> None:
        seen.append({layer.name: layer.get_weights() for layer in model.layers if layer.weights})

    def start(*arguments: object) -> keras.Model:
        model = real_start(*arguments)
        watch(model)
        return model

    def save(folder: Path, model: keras.Model, state: RunState) -> None:
        watch(model)
        real_save(folder, model, state)

    with monkeypatch.context() as patch:
        patch.setattr(training, "build_with_start_weights", start)
        patch.setattr(training, "_save_epoch", save)
        state = train(config, split, data_folder=data_folder, runs_folder=runs_folder)
    return state, seen


def changed_layers(before: Weights, after: Weights) -> set[str]:
    return {
        name
        for name in before
        if any(not np.array_equal(*pair) for pair in zip(before[name], after[name], strict=True))
    }


def test_phases_change_their_layers_only_when_the_head_goes_first(
    two_phases: TrainingConfig,
    small_split: Split,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state, seen = train_and_watch(two_phases, small_split, data_folder, tmp_path, monkeypatch)

    assert state.epochs_done == 3
    assert changed_layers(seen[0], seen[1]) == {"probability"}, (
        "frozen normalisation keeps its statistics, too"
    )
    assert changed_layers(seen[1], seen[2]) == {"second_conv", "second_norm", "probability"}
    assert changed_layers(seen[2], seen[3]) == {"second_conv", "second_norm", "probability"}


def test_phases_change_their_layers_only_when_the_network_is_mobilenet(
    tiny_config: TrainingConfig,
    small_split: Split,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = replace(
        tiny_config, architecture="mobilenet_v2", head_epochs=1, fine_tune_from="block_16_project"
    )

    _, seen = train_and_watch(config, small_split, data_folder, tmp_path, monkeypatch)

    assert changed_layers(seen[0], seen[1]) == {"probability"}
    after = {"block_16_project", "block_16_project_BN", "Conv_1", "Conv_1_bn", "probability"}
    # A frozen network of random weights gives such even features that a layer's gradient may be nothing.
    assert changed_layers(seen[1], seen[2]) <= after
    assert "Conv_1_bn" in changed_layers(seen[1], seen[2])


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


def assert_same_figures(ours: RunState, theirs: RunState) -> None:
    """Equal but for the rounding of sums whose order the threads decide."""
    assert (ours.epochs_done, ours.best_epoch) == (theirs.epochs_done, theirs.best_epoch)
    for left, right in zip(ours.history, theirs.history, strict=True):
        times = {"duration_s", "data_wait_ms"}
        assert {name: value for name, value in left.items() if name not in times} == pytest.approx(
            {name: value for name, value in right.items() if name not in times}, rel=1e-5
        )


def test_runs_are_alike_to_the_figure_when_the_seed_is_the_same(
    tiny_config: TrainingConfig, small_split: Split, data_folder: Path, tmp_path: Path
) -> None:
    first, again = (
        train(
            tiny_config,
            small_split,
            data_folder=data_folder,
            runs_folder=tmp_path / str(workers),
            options=TrainingOptions(workers=workers),
        )
        for workers in (1, 3)
    )

    assert_same_figures(again, first)


def test_training_figures_are_of_the_whole_epoch_when_it_has_several_batches(
    two_phases: TrainingConfig, small_split: Split, data_folder: Path, tmp_path: Path
) -> None:
    # Hardly learning and without chance, the network answers in training as afterwards.
    config = replace(
        two_phases,
        epochs=2,
        batch_size=5,
        head_learning_rate=1e-12,
        learning_rate=1e-12,
        augmentation=AugmentationConfig(),
    )
    state = train(config, small_split, data_folder=data_folder, runs_folder=tmp_path)

    pixels = load_pixels(small_split.train, data_folder=data_folder, cache_folder=tmp_path, size_px=32)
    model = load_best_model(tmp_path / config.name)
    judged = model.evaluate(
        PixelBatches(pixels, small_split.train, config=config), verbose=0, return_dict=True
    )
    assert {name: state.history[0][name] for name in judged} == pytest.approx(judged, rel=1e-4)


@pytest.mark.parametrize(
    ("task", "loss", "optimizer"),
    [
        *(("malignancy", "binary_crossentropy", name) for name in get_args(OptimizerName)),
        ("malignancy", "categorical_crossentropy", "adam"),
        ("malignancy", "categorical_crossentropy", "sgd"),
        ("malignancy", "focal", "adamw"),
        ("malignancy", "focal", "rmsprop"),
        ("diagnosis", "categorical_crossentropy", "adamw"),
        ("diagnosis", "categorical_crossentropy", "rmsprop"),
        ("diagnosis", "focal", "adam"),
        ("diagnosis", "focal", "sgd"),
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


def test_run_is_refused_when_its_loss_is_no_number(
    tiny_config: TrainingConfig, small_split: Split, data_folder: Path, tmp_path: Path
) -> None:
    config = replace(tiny_config, learning_rate=1e30, optimizer="sgd")

    with pytest.raises(BenchError, match="not a number any more: lower the learning rate"):
        train(config, small_split, data_folder=data_folder, runs_folder=tmp_path)
    assert not (tmp_path / "tiny" / "state.json").exists()


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


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_answers_and_weights_are_float32_when_precision_is_mixed(
    float32_afterwards: None,
    tiny_config: TrainingConfig,
    small_split: Split,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
) -> None:
    config = replace(tiny_config, precision=precision)
    interrupt_after(1, config, small_split, data_folder, tmp_path, monkeypatch)

    state = train(config, small_split, data_folder=data_folder, runs_folder=tmp_path, options=RESUME)

    assert state.epochs_done == 2
    model = load_best_model(tmp_path / "tiny")
    assert model.get_layer("conv_1").compute_dtype == precision.removeprefix("mixed_")
    assert {weight.dtype for weight in model.weights} == {"float32"}
    answers = model.predict_on_batch(np.zeros((2, 32, 32, 3), dtype=np.float32))
    assert np.asarray(answers).dtype == np.float32


def test_event_files_hold_every_epoch_when_tensorboard_is_asked_for(
    tiny_config: TrainingConfig, small_split: Split, data_folder: Path, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    state = train(
        tiny_config,
        small_split,
        data_folder=data_folder,
        runs_folder=tmp_path,
        options=TrainingOptions(tensorboard=True),
    )

    files = sorted((tmp_path / "tiny" / "tensorboard").glob("events.out.tfevents.*"))
    assert files
    found = EventAccumulator(str(files[0].parent)).Reload()
    read = [(event.step, event.tensor_proto.float_val[0]) for event in found.Tensors("val_loss")]
    assert read == [(int(row["epoch"]), pytest.approx(row["val_loss"])) for row in state.history]


def test_network_is_refused_when_its_archive_holds_other_bytes(run_copy: Path) -> None:
    for path in (run_copy / "tiny").glob("best-*.keras"):
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 1000] = bytes(255 - byte for byte in content[middle : middle + 1000])
        path.write_bytes(content)

    with pytest.raises(BenchError, match=r"cannot be loaded .*: remove the run's folder"):
        load_best_model(run_copy / "tiny")
