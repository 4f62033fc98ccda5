"""python -m ml compare and python -m ml export: side by side, and out of the bench."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

from ml.inference import RELEASED_FOLDER, list_released_models
from ml.inference.manifest import Precision
from ml.training.errors import BenchError
from ml.training.results import RESULTS_FOLDER, read_metrics, read_results

if TYPE_CHECKING:
    from ml.training.datasets import LabelledImage
    from ml.training.export import ReleaseImages

_VALIDATION_SAMPLE: Final = 800  # images that choose what of an int8 network stays in float32
_TEST_SAMPLE: Final = 1000  # images that judge it beside the float32 network, as served


def add_release_commands(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",  # argparse has no public name for it
    *,
    page: Path,
) -> argparse.ArgumentParser:
    """Add `compare` and `export` to the command line.

    Args:
        commands: of the command line.
        page: where the comparison is written.

    Returns:
        `export`, which takes the folders of the data and the runs as the other commands do.
    """
    compare = commands.add_parser(
        "compare",
        help="write docs/models.md from the kept results of all runs",
        description="Write the comparison and the released models' cards again. Runs that are named are kept first: "
        "their metrics go into ml/experiments/results.",
    )
    compare.add_argument("run_names", nargs="*", metavar="RUN", help="evaluated runs to keep the results of")
    compare.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    compare.add_argument(
        "--results", type=Path, default=RESULTS_FOLDER, help="folder of the kept results, one file a run"
    )
    compare.add_argument("--out", type=Path, default=page, metavar="PAGE", help="Markdown page to write")
    compare.add_argument(
        "--released", type=Path, default=RELEASED_FOLDER, help="folder of the released models"
    )
    compare.set_defaults(run=_compare)

    export = commands.add_parser("export", help="release a finished and evaluated run as ONNX")
    export.add_argument("run_name", metavar="run")
    export.add_argument("--version", required=True, help="three numbers, such as 1.0.0")
    export.add_argument("--precision", choices=get_args(Precision), default="float32", help="of what serves")
    export.add_argument("--selection", default="", help="a sentence for the card: how this run was chosen")
    export.add_argument(
        "--released", type=Path, default=RELEASED_FOLDER, help="folder of the released models"
    )
    export.set_defaults(run=_export)
    return export


def _compare(options: argparse.Namespace) -> int:
    if options.run_names:
        _keep([options.runs / name for name in options.run_names], options.results)
    read_results(options.results)  # refused before the drawing library takes its seconds
    from ml.training.comparison import write_comparison
    from ml.training.released_cards import read_released, rewrite_card

    manifests = list_released_models(options.released)
    released = [(one, read_released(options.released / one.identifier)) for one in manifests]
    write_comparison(options.out, read_results(options.results), released)
    print(f"wrote {options.out}")
    for manifest in manifests:
        rewrite_card(options.released / manifest.identifier)
        print(f"wrote the card of {manifest.identifier}")
    return 0


def _keep(run_folders: list[Path], results_folder: Path) -> None:
    for folder in run_folders:
        read_metrics(folder)  # refused before Keras takes its seconds
    from ml.training.keep_results import keep_results

    for folder in run_folders:
        print(f"kept {keep_results(folder, results_folder=results_folder)}")


def _export(options: argparse.Namespace) -> int:
    from ml.training.run_state import read_state

    run_folder = options.runs / options.run_name
    read_state(run_folder)  # refused before Keras takes its seconds
    from ml.training.export import ReleaseOptions, export_release

    folder = export_release(
        run_folder,
        released_folder=options.released,
        options=ReleaseOptions(
            version=options.version, precision=options.precision, selection=options.selection
        ),
        images=_images_for(run_folder, options.data),
    )
    print(f"released {folder}")
    return 0


def _images_for(run_folder: Path, data_folder: Path) -> "ReleaseImages":
    """Images of the run to check its release with; drawn ones, and no int8, where the data is missing."""
    from ml.training.datasets import labels_of
    from ml.training.export import PARITY_IMAGES, ReleaseImages, drawn_pixels
    from ml.training.int8_release import Int8Images, LabelledPixels
    from ml.training.pixels import load_pixels
    from ml.training.quality_limits import draw_sample
    from ml.training.quantization import CALIBRATION_IMAGES
    from ml.training.run_data import images_of_run
    from ml.training.run_state import read_split, read_state

    state = read_state(run_folder)
    size_px, seed = state.config.input_size_px, state.config.seed
    try:
        images, folder = images_of_run(run_folder, data_folder)
    except BenchError:
        return ReleaseImages(parity=drawn_pixels(size_px), parity_kind="drawn")
    split = read_split(run_folder, images)
    cache_folder = run_folder.parent / "cache"

    def labelled(chosen: "tuple[LabelledImage, ...]") -> LabelledPixels:
        return LabelledPixels(
            pixels=load_pixels(chosen, data_folder=folder, cache_folder=cache_folder, size_px=size_px),
            positive=labels_of(chosen) > 0,
            groups=tuple(image.group for image in chosen),
        )

    test = labelled(draw_sample(split.test, count=_TEST_SAMPLE, seed=seed))
    ranges = labelled(draw_sample(split.train, count=CALIBRATION_IMAGES, seed=seed)).pixels
    validation = labelled(draw_sample(split.validation, count=_VALIDATION_SAMPLE, seed=seed))
    quality = [folder / image.path for image in draw_sample(split.train, seed=seed)]
    return ReleaseImages(
        parity=test.pixels[:: max(1, len(test.pixels) // PARITY_IMAGES)],
        parity_kind="test",
        int8=Int8Images(
            training=ranges,
            validation=validation,
            test=test,
            test_title="test images, evenly of each collection",
            seed=seed,
        ),
        quality=quality,
    )
