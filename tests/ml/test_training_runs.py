"""What training does to a network, and the figures it leaves."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.training.batches import PixelBatches
from ml.training.config import AugmentationConfig, TrainingConfig
from ml.training.datasets import Split, labels_of, read_manifest
from ml.training.errors import BenchError
from ml.training.pixels import load_pixels
from ml.training.run_state import RunState, read_split, read_state
from ml.training.training import TrainingOptions, load_best_model, train
from tests.ml.watched_runs import RESUME, Weights, assert_same_figures, interrupt_after, train_and_watch


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


def test_run_is_refused_when_its_loss_is_no_number(
    tiny_config: TrainingConfig, small_split: Split, data_folder: Path, tmp_path: Path
) -> None:
    config = replace(tiny_config, learning_rate=1e30, optimizer="sgd")

    with pytest.raises(BenchError, match="not a number any more: lower the learning rate"):
        train(config, small_split, data_folder=data_folder, runs_folder=tmp_path)
    assert not (tmp_path / "tiny" / "state.json").exists()


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
