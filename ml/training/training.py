"""Train a network: epochs, checkpoints, early stopping, and going on after an interruption."""

import math
import sys
import time
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ml.preprocessing import scale_pixels
from ml.training.architectures import build
from ml.training.augmentation import augment
from ml.training.config import TrainingConfig
from ml.training.datasets import Split, labels_of
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
)

_FINAL_RATE_FRACTION: Final = 0.01  # the cosine ends at this part of the first learning rate
_LOG_EVERY_S: Final = 30.0  # the progress line in a log file; on a terminal it moves all the time


class PixelBatches(keras.utils.PyDataset):
    """Batches of scaled pixels and labels; shuffled and augmented when a seed is given.

    What an image looks like depends on the seed and its number alone, not on the order in which batches are
    asked for.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.float32],
        *,
        config: TrainingConfig,
        augment_seed: tuple[int, ...] | None = None,
    ) -> None:
        """Take uint8 (images, size, size, 3) and float32 (images,), 0 or 1."""
        super().__init__(workers=1)
        self._pixels, self._labels, self._config, self._seed = pixels, labels, config, augment_seed
        indices = np.arange(len(labels))
        self._order = (
            indices if augment_seed is None else np.random.default_rng(augment_seed).permutation(indices)
        )

    def __len__(self) -> int:
        """Batches an epoch."""
        return math.ceil(len(self._labels) / self._config.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """One batch: float32 (batch, size, size, 3), 0 to 1, and float32 (batch, 1), 0 or 1."""
        size = self._config.batch_size
        chosen = self._order[index * size : (index + 1) * size]
        pixels = self._pixels[chosen]
        if self._seed is not None:
            pixels = np.stack(
                [
                    augment(
                        one,
                        config=self._config.augmentation,
                        generator=np.random.default_rng((*self._seed, int(number))),
                    )
                    for one, number in zip(pixels, chosen, strict=True)
                ]
            )
        return scale_pixels(pixels), self._labels[chosen, np.newaxis]


class _Progress(keras.callbacks.Callback):
    """A progress bar over all steps of the run, with the time left."""

    def __init__(self, bar: "tqdm[Any]") -> None:
        super().__init__()
        self._bar = bar

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._bar.update()


def train(
    config: TrainingConfig, split: Split, *, data_folder: Path, runs_folder: Path, resume: bool = False
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
        resume: go on from the last complete epoch of the same run, if there is one.

    Returns:
        The state at the end.

    Raises:
        BenchError: the folder holds a run and `resume` is not set, or holds another run; an image is
            unreadable; the loss is not a number any more.
    """
    folder = runs_folder / config.name
    state = open_run(folder, config, split, resume=resume)
    keras.utils.set_random_seed(config.seed)
    if state.finished:
        return state
    model = _load(last_checkpoint(folder, state)) if state.epochs_done else _compile(config, len(split.train))
    train_pixels, validation_pixels = (
        load_pixels(
            part, data_folder=data_folder, cache_folder=runs_folder / "cache", size_px=config.input_size_px
        )
        for part in (split.train, split.validation)
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_split(folder, split)
    steps = math.ceil(len(split.train) / config.batch_size)
    interval = 0.5 if sys.stderr.isatty() else _LOG_EVERY_S
    with tqdm(
        total=config.epochs * steps,
        initial=state.epochs_done * steps,
        unit="step",
        mininterval=interval,
        ncols=100,
    ) as bar:
        while not state.finished:
            metrics = _fit_one_epoch(
                model,
                PixelBatches(
                    train_pixels,
                    labels_of(split.train),
                    config=config,
                    augment_seed=(config.seed, state.epochs_done),
                ),
                PixelBatches(validation_pixels, labels_of(split.validation), config=config),
                _Progress(bar),
            )
            state = state.after_epoch(metrics)
            _save_epoch(folder, model, state)
            bar.write(_describe_epoch(state), file=sys.stderr)
    return state


def load_best_model(folder: Path) -> keras.Model:
    """Load the best network of a run, in Keras' safe mode (no code from the file runs).

    Raises:
        BenchError: the run has no complete epoch, or its file is damaged.
    """
    state = read_state(folder)
    return _load(best_checkpoint(folder, state))


def _compile(config: TrainingConfig, train_images: int) -> keras.Model:
    model = build(config.architecture, input_size_px=config.input_size_px)
    steps = math.ceil(train_images / config.batch_size) * config.epochs
    rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps, alpha=_FINAL_RATE_FRACTION)
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.BinaryCrossentropy(),
        metrics=[keras.metrics.BinaryAccuracy(name="accuracy"), keras.metrics.AUC(name="auc")],
    )
    return model


def _fit_one_epoch(
    model: keras.Model, training: PixelBatches, validation: PixelBatches, progress: _Progress
) -> dict[str, float]:
    """Train one epoch; loss, accuracy, auc and the same with val_, and the seconds it took."""
    started = time.monotonic()
    result = model.fit(training, validation_data=validation, epochs=1, verbose=0, callbacks=[progress])
    metrics = {name: float(values[-1]) for name, values in result.history.items()}
    if not all(math.isfinite(value) for value in metrics.values()):
        raise BenchError("the loss is not a number any more: lower the learning rate and start again")
    return metrics | {"duration_s": round(time.monotonic() - started, 1)}


def _save_epoch(folder: Path, model: keras.Model, state: RunState) -> None:
    """Keep the epoch: the networks first, the state that refers to them last."""
    wanted = [last_checkpoint(folder, state)]
    if state.best_epoch == state.epochs_done:
        wanted.append(best_checkpoint(folder, state))
    for path in wanted:
        with replacing(path) as temporary:
            model.save(temporary)
    write_state(folder, state)


def _load(path: Path) -> keras.Model:
    try:
        return keras.saving.load_model(path, safe_mode=True)
    except (OSError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise BenchError(
            f"{path} cannot be loaded ({first_line}): remove the run's folder and train again"
        ) from error


def _describe_epoch(state: RunState) -> str:
    last = state.history[-1]
    mark = "  best so far" if state.best_epoch == state.epochs_done else ""
    return (
        f"epoch {state.epochs_done}/{state.config.epochs}  loss {last['loss']:.4f}  "
        f"accuracy {last['accuracy']:.4f}  val_loss {last['val_loss']:.4f}  "
        f"val_accuracy {last['val_accuracy']:.4f}  val_auc {last['val_auc']:.4f}  "
        f"{last['duration_s']:.0f} s{mark}"
    )
