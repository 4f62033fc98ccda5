"""python -m ml train: an experiment of ml/experiments, as it stands or with some of its values changed."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, get_args

from ml.training.config import (
    IMAGENET_WEIGHTS,
    NO_WEIGHTS,
    Balance,
    Loss,
    OptimizerName,
    Precision,
    TaskName,
    TrainingConfig,
)
from ml.training.errors import BenchError

_AUTO: Final = "auto"
_CHANGES: Final[dict[str, dict[str, Any]]] = {
    "name": {"help": "of the run and its folder; needed for a changed experiment"},
    "architecture": {"help": "custom_cnn, resnet50, vgg16, inception_v3 or mobilenet_v2"},
    "input_size_px": {"type": int},
    "task": {"choices": get_args(TaskName)},
    "epochs": {"type": int},
    "batch_size": {"type": int},
    "loss": {"choices": get_args(Loss)},
    "optimizer": {"choices": get_args(OptimizerName)},
    "learning_rate": {"type": float},
    "warmup_steps": {"type": int},
    "patience_epochs": {"type": int, "help": "epochs without progress before training stops"},
    "balance": {"choices": get_args(Balance)},
    "samples_an_epoch": {"type": int, "help": "0: every image once"},
    "head_epochs": {"type": int, "help": "first train the head alone for so many of the epochs"},
    "fine_tune_from": {"help": "first backbone layer that is trained afterwards"},
    "seed": {"type": int},
    "precision": {
        "choices": (_AUTO, *get_args(Precision)),
        "help": "auto: mixed where there is a GPU, else float32",
    },
}


def add_train_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",  # argparse has no public name for it
) -> argparse.ArgumentParser:
    """Add `train` to the command line."""
    train = commands.add_parser("train", help="train an experiment of ml/experiments")
    train.add_argument("experiment", help="its name, such as custom_cnn_kaggle")
    train.add_argument("--resume", action="store_true", help="go on after the last complete epoch")
    train.add_argument(
        "--weights", help="start from imagenet (downloaded), none (random) or a FILE (.keras, .weights.h5)"
    )
    own = train.add_argument_group("images of one's own, instead of the data folder")
    own.add_argument(
        "--source", nargs="+", metavar="SOURCE", default=[], help="as `python -m ml dataset` takes them"
    )
    own.add_argument("--split", type=Path, metavar="FILE", help="made by `python -m ml dataset split`")
    how = train.add_argument_group("how it is carried out")
    how.add_argument("--workers", type=int, default=1, help="threads that prepare images")
    how.add_argument("--tensorboard", action="store_true", help="write event files for TensorBoard, too")
    how.add_argument("--curves", type=Path, metavar="PNG", help="draw the curves here instead of in the run")
    changes = train.add_argument_group("values to change")
    for field, options in _CHANGES.items():
        changes.add_argument(f"--{field.replace('_', '-')}", dest=field, **options)
    train.set_defaults(run=_train)
    return train


def _train(options: argparse.Namespace) -> int:
    from ml.commands import find_experiment
    from ml.training.run_data import manifest_data, own_data, remember_data
    from ml.training.run_state import open_run

    if bool(options.source) != bool(options.split):
        raise BenchError("--source and --split go together: make the split with python -m ml dataset split")
    if options.workers < 1:
        raise BenchError(f"--workers must be 1 or more, not {options.workers}")
    config, weights_file = _choose_weights(_changed(find_experiment(options.experiment), options), options)
    if options.precision == _AUTO:
        config = replace(config, precision=_device_precision())
    data = (
        own_data(config, options.source, options.split)
        if options.split
        else manifest_data(config, options.data)
    )
    config, split = data.config, data.split
    print(
        f"{len(split.train):,} training, {len(split.validation):,} validation and {len(split.test):,} test images; "
        f"{len(split.dropped):,} left out, because their group stands among images that must not be seen",
        file=sys.stderr,
    )
    folder = options.runs / config.name
    open_run(folder, config, split, resume=options.resume)  # refused before Keras takes its seconds
    from ml.training.plots import draw_training_curves
    from ml.training.training import TrainingOptions, train

    remember_data(folder, data)
    state = train(
        config,
        split,
        data_folder=data.folder,
        runs_folder=options.runs,
        options=TrainingOptions(
            resume=options.resume,
            weights_file=weights_file,
            workers=options.workers,
            tensorboard=options.tensorboard,
        ),
    )
    draw_training_curves(
        state.history,
        options.curves or folder / "training_curves.png",
        name=config.name,
        train_images=len(split.train),
        validation_images=len(split.validation),
    )
    print(
        f"epoch {state.best_epoch} of {state.epochs_done} is the best; "
        f"next: python -m ml evaluate {config.name}"
    )
    return 0


def _changed(config: TrainingConfig, options: argparse.Namespace) -> TrainingConfig:
    """The experiment with the values that were given; under its own name it is never another run."""
    given = {field: getattr(options, field) for field in _CHANGES if getattr(options, field) is not None}
    if given.get("precision") == _AUTO:
        del given["precision"]
    changed = replace(config, **given)
    if options.split and "name" not in given:
        raise BenchError(
            "give the run on images of your own a --name: the experiment's stands for its images"
        )
    if changed != config and changed.name == config.name:
        raise BenchError(
            f"give the changed experiment a --name: {config.name} stands for the values in its file"
        )
    return changed


def _choose_weights(
    config: TrainingConfig, options: argparse.Namespace
) -> tuple[TrainingConfig, Path | None]:
    if options.weights is None:
        return config, None
    if options.weights in (NO_WEIGHTS, IMAGENET_WEIGHTS):
        return replace(config, weights=options.weights), None
    from ml.training.start_weights import describe_weights

    path = Path(options.weights)
    return replace(config, weights=describe_weights(path)), path


def _device_precision() -> Precision:
    """Mixed precision where a GPU computes: bfloat16 has the range of float32 and needs no loss scaling."""
    import keras

    if keras.backend.backend() == "torch":
        import torch

        has_gpu = bool(torch.cuda.is_available())
    else:
        try:
            has_gpu = bool(keras.distribution.list_devices("gpu"))
        except RuntimeError:  # JAX, when it finds none
            has_gpu = False
    return "mixed_bfloat16" if has_gpu else "float32"
