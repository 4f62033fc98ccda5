"""The bench's command line: python -m ml dataset|train|evaluate|export|predict. Bad input: one line, status 1."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ml.commands import predict_images
from ml.dataset_commands import add_dataset_commands
from ml.inference import RELEASED_FOLDER, ModelIntegrityError
from ml.training.errors import BenchError

REPOSITORY: Final = Path(__file__).resolve().parents[1]
_INTERRUPTED: Final = 130  # what shells report for Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: instead of the process's own.

    Returns:
        The exit status: 0, 1 on bad input, 130 when interrupted (argparse itself ends with 2).
    """
    options = _parser().parse_args(arguments)
    os.environ.setdefault(
        "TF_CPP_MIN_LOG_LEVEL", "2"
    )  # TensorFlow's start-up notes are not about the user's input
    try:
        return int(options.run(options))
    except (BenchError, ModelIntegrityError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: `python -m ml train` goes on with --resume", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ml", description="Train, judge, release and use the networks."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add_dataset_commands(commands)

    train = commands.add_parser("train", help="train an experiment of ml/experiments")
    train.add_argument("experiment", help="its name, such as custom_cnn_kaggle")
    train.add_argument("--resume", action="store_true", help="go on after the last complete epoch")
    train.set_defaults(run=_train)

    evaluate = commands.add_parser(
        "evaluate", help="judge a trained run: metrics.json and plots in its folder"
    )
    evaluate.add_argument("run_name", metavar="run")
    evaluate.set_defaults(run=_evaluate)

    export = commands.add_parser("export", help="release a finished and evaluated run as ONNX")
    export.add_argument("run_name", metavar="run")
    export.add_argument("--version", required=True, help="three numbers, such as 1.0.0")
    export.add_argument(
        "--released", type=Path, default=RELEASED_FOLDER, help="folder of the released models"
    )
    export.set_defaults(run=_export)

    predict = commands.add_parser("predict", help="score images: one CSV row an image")
    predict.add_argument("--model", required=True, help="name, name-version, or folder of a released model")
    predict.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    predict.set_defaults(run=lambda options: predict_images(options.model, options.images))

    data = Path(os.environ.get("MELANOMA_DATA") or REPOSITORY.parent / "shared" / "data")
    for command in (train, evaluate, export):
        command.add_argument(
            "--data", type=Path, default=data, help="folder of the images; or set MELANOMA_DATA"
        )
        command.add_argument("--runs", type=Path, default=REPOSITORY / "runs", help="folder of the runs")
    return parser


def _train(options: argparse.Namespace) -> int:
    from ml.commands import find_experiment, train_experiment

    train_experiment(
        find_experiment(options.experiment),
        data_folder=options.data,
        runs_folder=options.runs,
        curves=REPOSITORY / "static" / "training_curves.png",
        resume=options.resume,
    )
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from ml.commands import evaluate_run

    evaluate_run(options.runs / options.run_name, data_folder=options.data)
    return 0


def _export(options: argparse.Namespace) -> int:
    from ml.commands import export_run

    export_run(
        options.runs / options.run_name,
        version=options.version,
        released_folder=options.released,
        data_folder=options.data,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
