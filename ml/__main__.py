"""The bench's commands: python -m ml dataset|train|evaluate|compare|export|predict. Bad input: one line, status 1."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

from ml.commands import predict_images
from ml.dataset_commands import add_dataset_commands
from ml.inference import ModelIntegrityError
from ml.inference.calibration import CalibrationMethod
from ml.inference.views import VIEW_COUNTS
from ml.release_commands import add_release_commands
from ml.train_command import add_train_command
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

    train = add_train_command(commands)

    evaluate = commands.add_parser(
        "evaluate", help="judge a trained run: metrics.json and plots in its folder"
    )
    evaluate.add_argument("run_name", metavar="run")
    evaluate.add_argument(
        "--views",
        type=int,
        choices=VIEW_COUNTS,
        default=1,
        help="8: the mean over all flips and quarter turns",
    )
    evaluate.add_argument(
        "--calibration",
        choices=("auto", *get_args(CalibrationMethod)),
        default="auto",
        help="fitted on validation images; auto: the best of them, cross-validated",
    )
    evaluate.set_defaults(run=_evaluate)

    export = add_release_commands(commands, page=REPOSITORY / "docs" / "models.md")

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


def _evaluate(options: argparse.Namespace) -> int:
    from ml.commands import evaluate_run

    evaluate_run(
        options.runs / options.run_name,
        data_folder=options.data,
        views=options.views,
        calibration=options.calibration,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
