"""Train a network: phases, epochs, checkpoints, early stopping, and going on after an interruption."""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
from tqdm import tqdm

from ml.training.batches import PixelBatches
from ml.training.config import TrainingConfig
from ml.training.datasets import Split
from ml.training.errors import BenchError
from ml.training.files import replacing
from ml.training.pixels import load_pixels
from ml.training.run_state import (
    RunState,
    best_checkpoint,
    last_checkpoint,
    open_run,
    read_state,
    write_split,
    write_state,
    write_tensorboard,
)
from ml.training.sampling import images_an_epoch
from ml.training.start_weights import (
    UNREADABLE,
    build_with_start_weights,
    choose_trained_layers,
    first_line,
)
from ml.training.tasks import count_outputs

_FINAL_RATE_FRACTION: Final = 0.01  # the cosine ends at this part of the first learning rate
_LOG_EVERY_S: Final = 30.0  # the progress line in a log file; on a terminal it moves all the time
_MOMENTUM: Final = 0.9


@dataclass(frozen=True)
class TrainingOptions:
    """How a run is carried out; nothing here changes what it computes.

    Attributes:
        resume: go on from the last complete epoch of the same run, if there is one.
        weights_file: that the configuration's `weights` names.
        workers: threads that prepare batches.
        tensorboard: write the epochs for TensorBoard into the run's folder, too.
    """

    resume: bool = False
    weights_file: Path | None = None
    workers: int = 1
    tensorboard: bool = False


def train(
    config: TrainingConfig,
    split: Split,
    *,
    data_folder: Path,
    runs_folder: Path,
    options: TrainingOptions = TrainingOptions(),
) -> RunState:
    """Train one run to its end, writing everything under runs_folder / config.name.

    After each epoch the folder holds the network and its optimizer (last-NNN.keras), the best network so far
    (best-NNN.keras), state.json and history.csv; each file is replaced whole, the state last, so
    that an interruption at any moment loses the running epoch only.

    Args:
        config: of the run.
        split: its images.
        data_folder: the images' paths are relative to it.
        runs_folder: of all runs; decoded images are cached in its `cache`.
        options: how it is carried out.

    Returns:
        The state at the end.

    Raises:
        BenchError: the folder holds a run and `resume` is not set, or holds another run; an image is
            unreadable; the start weights do not fit; the loss is not a number any more; an epoch cannot be
            kept.
    """
    folder = runs_folder / config.name
    state = open_run(folder, config, split, resume=options.resume)
    if state.finished:
        return state
    keras.utils.set_random_seed(config.seed)
    keras.mixed_precision.set_dtype_policy(config.precision)
    steps = math.ceil(images_an_epoch(split.train, config) / config.batch_size)
    if state.epochs_done:
        model = _load(last_checkpoint(folder, state))
    else:
        model = build_with_start_weights(config, options.weights_file)
    if state.epochs_done in (0, config.head_epochs):
        _compile(model, config, steps, head_only=state.epochs_done < config.head_epochs)
    train_pixels, validation_pixels = (
        load_pixels(
            part, data_folder=data_folder, cache_folder=runs_folder / "cache", size_px=config.input_size_px
        )
        for part in (split.train, split.validation)
    )
    validation = PixelBatches(validation_pixels, split.validation, config=config)
    folder.mkdir(parents=True, exist_ok=True)
    write_split(folder, split)
    with tqdm(
        total=config.epochs * steps,
        initial=state.epochs_done * steps,
        unit="step",
        mininterval=0.5 if sys.stderr.isatty() else _LOG_EVERY_S,
        ncols=100,
    ) as bar:
        while not state.finished:
            if state.epochs_done and state.epochs_done == config.head_epochs:
                _compile(model, config, steps, head_only=False)
            training = PixelBatches(
                train_pixels, split.train, config=config, augment_seed=(config.seed, state.epochs_done)
            )
            metrics = _train_one_epoch(model, training, validation, workers=options.workers, bar=bar)
            state = state.after_epoch(metrics)
            _save_epoch(folder, model, state)
            if options.tensorboard:
                write_tensorboard(folder / "tensorboard", state.history[-1])
            bar.write(_describe_epoch(state), file=sys.stderr)
    return state


def load_best_model(folder: Path) -> keras.Model:
    """Load the best network of a run, in Keras' safe mode (no code from the file runs).

    Raises:
        BenchError: the run has no complete epoch, or its file is damaged.
    """
    state = read_state(folder)
    return _load(best_checkpoint(folder, state))


def _compile(model: keras.Model, config: TrainingConfig, steps_an_epoch: int, *, head_only: bool) -> None:
    """Make a phase's layers trainable and give it a fresh optimizer."""
    choose_trained_layers(model, head_only=head_only, fine_tune_from=config.fine_tune_from)
    categorical = count_outputs(config) > 1
    area = keras.metrics.AUC(name="auc", multi_label=categorical)
    accuracy = keras.metrics.CategoricalAccuracy if categorical else keras.metrics.BinaryAccuracy
    model.compile(
        optimizer=_optimizer(config, steps_an_epoch, head_only=head_only),
        loss=_loss(config),
        metrics=[accuracy(name="accuracy"), area],
    )


def _optimizer(config: TrainingConfig, steps_an_epoch: int, *, head_only: bool) -> keras.optimizers.Optimizer:
    steps = steps_an_epoch * (config.epochs - config.head_epochs)
    rate: float | keras.optimizers.schedules.LearningRateSchedule = config.head_learning_rate
    if not head_only and config.warmup_steps:
        rate = keras.optimizers.schedules.CosineDecay(
            0.0,
            max(1, steps - config.warmup_steps),
            alpha=_FINAL_RATE_FRACTION,
            warmup_target=config.learning_rate,
            warmup_steps=config.warmup_steps,
        )
    elif not head_only:
        rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps, alpha=_FINAL_RATE_FRACTION)
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=_MOMENTUM)
    return {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "rmsprop": keras.optimizers.RMSprop,
    }[config.optimizer](rate)


def _loss(config: TrainingConfig) -> keras.losses.Loss:
    categorical = count_outputs(config) > 1
    if config.loss == "focal":
        return (
            keras.losses.CategoricalFocalCrossentropy()
            if categorical
            else keras.losses.BinaryFocalCrossentropy()
        )
    return keras.losses.CategoricalCrossentropy() if categorical else keras.losses.BinaryCrossentropy()


def _train_one_epoch(
    model: keras.Model, training: PixelBatches, validation: PixelBatches, *, workers: int, bar: "tqdm[Any]"
) -> dict[str, float]:
    """Train one epoch; loss, accuracy, auc, the same with val_, the seconds, and what a step waited for data."""
    started = time.monotonic()
    measured: dict[str, float] = {}
    waited_s = 0.0
    with _metrics_of_all_batches(model):
        for pixels, targets, waited in training.prepared(workers):
            measured = model.train_on_batch(pixels, targets, return_dict=True)
            waited_s += waited
            bar.update()
    judged = model.evaluate(validation, verbose=0, return_dict=True)
    metrics = {name: float(value) for name, value in measured.items()}
    metrics |= {f"val_{name}": float(value) for name, value in judged.items()}
    if not all(math.isfinite(value) for value in metrics.values()):
        raise BenchError("the loss is not a number any more: lower the learning rate and start again")
    return metrics | {
        "duration_s": round(time.monotonic() - started, 1),
        "data_wait_ms": round(1000 * waited_s / len(training), 2),
    }


@contextmanager
def _metrics_of_all_batches(model: keras.Model) -> Iterator[None]:
    """Let the metrics run on from batch to batch: `train_on_batch` starts them anew before each."""
    model.reset_metrics()
    model.reset_metrics = lambda: None
    try:
        yield
    finally:
        del model.reset_metrics


def _save_epoch(folder: Path, model: keras.Model, state: RunState) -> None:
    """Keep the epoch: the networks first, the state that refers to them last.

    Raises:
        BenchError: the disk is full, say; the epoch before is still there to go on from.
    """
    wanted = [last_checkpoint(folder, state)]
    if state.best_epoch == state.epochs_done:
        wanted.append(best_checkpoint(folder, state))
    try:
        for path in wanted:
            with replacing(path) as temporary:
                model.save(temporary)
        write_state(folder, state)
    except OSError as error:
        raise BenchError(
            f"epoch {state.epochs_done} cannot be kept in {folder} ({error.strerror or first_line(error)}): "
            "make room there, then go on with --resume"
        ) from error


def _load(path: Path) -> keras.Model:
    try:
        return keras.saving.load_model(path, safe_mode=True)
    except UNREADABLE as error:
        raise BenchError(
            f"{path} cannot be loaded ({first_line(error)}): remove the run's folder and train again"
        ) from error


def _describe_epoch(state: RunState) -> str:
    last = state.history[-1]
    mark = "  best so far" if state.best_epoch == state.epochs_done else ""
    return (
        f"epoch {state.epochs_done}/{state.config.epochs}  loss {last['loss']:.4f}  "
        f"accuracy {last['accuracy']:.4f}  val_loss {last['val_loss']:.4f}  "
        f"val_accuracy {last['val_accuracy']:.4f}  val_auc {last['val_auc']:.4f}  "
        f"{last['duration_s']:.0f} s  waited {last['data_wait_ms']:.1f} ms a step for data{mark}"
    )
