"""Runs that are broken off, watched, or compared."""

from pathlib import Path

import keras
import numpy as np
import pytest

from ml.training import training
from ml.training.config import TrainingConfig
from ml.training.datasets import Split
from ml.training.run_state import RunState, read_state
from ml.training.training import TrainingOptions, train

RESUME = TrainingOptions(resume=True)


Weights = dict[str, list[np.ndarray]]


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


def assert_same_figures(ours: RunState, theirs: RunState) -> None:
    """Equal but for the rounding of sums whose order the threads decide."""
    assert (ours.epochs_done, ours.best_epoch) == (theirs.epochs_done, theirs.best_epoch)
    for left, right in zip(ours.history, theirs.history, strict=True):
        times = {"duration_s", "data_wait_ms"}
        assert {name: value for name, value in left.items() if name not in times} == pytest.approx(
            {name: value for name, value in right.items() if name not in times}, rel=1e-5
        )
