"""A run's folder: what survives an interruption, and whether a checkpoint is of the run that asks for it."""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from ml.training.config import TrainingConfig, config_from_json, first_difference
from ml.training.datasets import LabelledImage, Split
from ml.training.errors import BenchError
from ml.training.files import replacing, write_json

STATE_FILE: Final = "state.json"
SPLIT_FILE: Final = "split.json"
HISTORY_FILE: Final = "history.csv"
METRICS_FILE: Final = "metrics.json"
_PARTS: Final = ("train", "validation", "test", "dropped")


@dataclass(frozen=True)
class RunState:
    """Where a run stands after its last complete epoch.

    Attributes:
        config: of the run.
        split_sha256: digest of its images, labels and groups.
        history: one mapping an epoch: epoch (from 1), metrics of training and validation, seconds.
        best_epoch: the epoch with the best `config.monitor`, from 1; 0 before the first.
        finished: no epoch is left, or early stopping ended the run.
    """

    config: TrainingConfig
    split_sha256: str
    history: tuple[dict[str, float], ...] = ()
    best_epoch: int = 0
    finished: bool = False

    @property
    def epochs_done(self) -> int:
        """Complete epochs."""
        return len(self.history)

    def after_epoch(self, metrics: dict[str, float]) -> "RunState":
        """The state one epoch later.

        Args:
            metrics: of the epoch; must hold `config.monitor`.
        """
        epoch = self.epochs_done + 1
        improved = not self.history or self._is_better(metrics, self.history[self.best_epoch - 1])
        best_epoch = epoch if improved else self.best_epoch
        # The head's epochs do not count: however they go, fine-tuning has its turn.
        waited = epoch - max(best_epoch, self.config.head_epochs) >= self.config.patience_epochs
        return replace(
            self,
            history=(*self.history, {"epoch": epoch, **metrics}),
            best_epoch=best_epoch,
            finished=waited or epoch >= self.config.epochs,
        )

    def _is_better(self, metrics: dict[str, float], best: dict[str, float]) -> bool:
        monitor = self.config.monitor
        if monitor == "val_loss":
            return metrics[monitor] < best[monitor]
        return metrics[monitor] > best[monitor]


def last_checkpoint(folder: Path, state: RunState) -> Path:
    """Network and optimizer after the last complete epoch."""
    return folder / f"last-{state.epochs_done:03d}.keras"


def best_checkpoint(folder: Path, state: RunState) -> Path:
    """Network after the epoch with the best `config.monitor`."""
    return folder / f"best-{state.best_epoch:03d}.keras"


def digest_split(split: Split) -> str:
    """Sha256 over every image's part, path, label and group."""
    digest = hashlib.sha256()
    for part in _PARTS:
        for image in getattr(split, part):
            digest.update(f"{part} {image.path} {image.malignant:d} {image.group}\n".encode())
    return digest.hexdigest()


def write_state(folder: Path, state: RunState) -> None:
    """Write the history table and the state; from then on the older checkpoints are not needed and go."""
    write_history(folder / HISTORY_FILE, state.history)
    write_json(folder / STATE_FILE, asdict(state))
    keep = {last_checkpoint(folder, state), best_checkpoint(folder, state)}
    for checkpoint in [*folder.glob("last-*.keras"), *folder.glob("best-*.keras")]:
        if checkpoint not in keep:
            checkpoint.unlink()


def read_state(folder: Path) -> RunState:
    """Read a run's state.

    Raises:
        BenchError: there is no run in the folder, or its state is damaged.
    """
    path = folder / STATE_FILE
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        fields = raw | {"config": config_from_json(raw["config"]), "history": tuple(raw["history"])}
        return RunState(**fields)
    except FileNotFoundError as error:
        raise BenchError(f"no run in {folder}: start it with `python -m ml train`") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path} is damaged ({error}): remove the run's folder and start again") from error


def open_run(folder: Path, config: TrainingConfig, split: Split, *, resume: bool) -> RunState:
    """The state to go on from: the folder's, or that of a new run.

    Args:
        folder: of the run; need not exist.
        config: of the run.
        split: its images.
        resume: whether an earlier start of the same run may be continued.

    Raises:
        BenchError: the folder holds a run and `resume` is not set, or it holds another run; the message then
            names the first difference.
    """
    new = RunState(config=config, split_sha256=digest_split(split))
    if not (folder / STATE_FILE).is_file():
        return new
    if not resume:
        raise BenchError(f"{folder} already holds a run: add --resume to go on with it, or remove the folder")
    found = read_state(folder)
    _require_same_run(found, new, folder)
    return found


def _require_same_run(found: RunState, wanted: RunState, folder: Path) -> None:
    if difference := first_difference(found.config, wanted.config):
        field, theirs, ours = difference
        raise BenchError(
            f"{folder} holds the checkpoint of another run ({field} is {theirs} there, {ours} here): "
            "train under another name, or remove that folder"
        )
    if found.split_sha256 != wanted.split_sha256:
        raise BenchError(
            f"{folder} holds the checkpoint of another run (its images or labels differ): "
            "train under another name, or remove that folder"
        )


def write_split(folder: Path, split: Split) -> None:
    """Write which image went where, as paths."""
    write_json(folder / SPLIT_FILE, {part: [image.path for image in getattr(split, part)] for part in _PARTS})


def read_split(folder: Path, images: Sequence[LabelledImage]) -> Split:
    """Read a run's split back.

    Args:
        folder: of the run.
        images: the data's manifest.

    Raises:
        BenchError: the file is missing or damaged, or names an image that the manifest does not have.
    """
    path = folder / SPLIT_FILE
    by_path = {image.path: image for image in images}
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Split(**{part: tuple(by_path[name] for name in raw[part]) for part in _PARTS})
    except (OSError, ValueError, KeyError) as error:
        raise BenchError(
            f"{path} is missing, damaged or made with other data ({error}): train the run again"
        ) from error


def write_history(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Write the epochs as CSV, one row each; nothing before the first epoch."""
    if not history:
        return
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def write_tensorboard(folder: Path, epoch: dict[str, float]) -> None:
    """Add an epoch's figures to the event files that TensorBoard reads."""
    from tensorboard.summary import Writer  # takes seconds to load; few ask for it

    writer = Writer(str(folder))
    for name, value in epoch.items():
        writer.add_scalar(name, value, int(epoch["epoch"]))
    writer.close()
