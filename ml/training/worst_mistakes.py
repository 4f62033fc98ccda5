"""The images that a network is most wrong about, for people to look at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ml.training.datasets import LabelledImage
from ml.training.evaluation_sets import title_of
from ml.training.plots import save_figure

WORST_A_CLASS: Final = 12
_COLUMNS: Final = 6
_PITCH, _ROW_PITCH = 1.05, 1.25  # from picture to picture, of one's side: below there is room for two lines


def worst_mistakes(
    images: Sequence[LabelledImage], probabilities: NDArray[np.float64]
) -> tuple[list[int], list[int]]:
    """Find the malignant images with the lowest probability and the benign ones with the highest.

    Args:
        images: of the test part.
        probabilities: float64 (images,), 0 to 1, calibrated.

    Returns:
        Indices of up to 12 malignant and up to 12 benign images, the worst first.
    """
    ranked = sorted(range(len(images)), key=lambda index: (probabilities[index], images[index].path))
    missed = [index for index in ranked if images[index].malignant]
    alarms = [index for index in reversed(ranked) if not images[index].malignant]
    return missed[:WORST_A_CLASS], alarms[:WORST_A_CLASS]


def describe_mistakes(
    images: Sequence[LabelledImage], probabilities: NDArray[np.float64], *, data_folder: Path
) -> dict[str, list[dict[str, Any]]]:
    """The worst mistakes as a list for metrics.json; paths relative to the data folder."""
    missed, alarms = worst_mistakes(images, probabilities)
    return {
        name: [
            {
                "path": _relative(images[index].path, data_folder),
                "source": images[index].source,
                "diagnosis": images[index].diagnosis,
                "probability": round(float(probabilities[index]), 4),
            }
            for index in chosen
        ]
        for name, chosen in (("missed", missed), ("false_alarms", alarms))
    }


def draw_mistakes(
    images: Sequence[LabelledImage],
    probabilities: NDArray[np.float64],
    pixels: NDArray[np.uint8],
    rows: NDArray[np.intp],
    path: Path,
    *,
    name: str,
) -> None:
    """Draw the worst mistakes as a grid. It shows images of the data: it stays in the run's folder.

    Args:
        images: of the test part.
        probabilities: float64 (images,), 0 to 1, calibrated.
        pixels: uint8 (any, size, size, 3), RGB, as the network sees them.
        rows: intp (images,), where each image stands in `pixels`.
        path: of the PNG.
        name: of the model.
    """
    missed, alarms = worst_mistakes(images, probabilities)
    blocks = [
        (f"Malignant, lowest probability ({len(missed)} of {sum(i.malignant for i in images):,})", missed),
        (f"Benign, highest probability ({len(alarms)} of {sum(not i.malignant for i in images):,})", alarms),
    ]
    heights = [max(1, -(-len(chosen) // _COLUMNS)) for _, chosen in blocks]
    figure = Figure(figsize=(2.0 * _COLUMNS, 2.45 * sum(heights) + 1.2), layout="constrained")
    figure.suptitle(f"Worst mistakes of {name} among {len(images):,} test images")
    grid = figure.subplots(2, 1, squeeze=False, height_ratios=heights)
    for axes, (title, chosen), height in zip(grid.flat, blocks, heights, strict=True):
        axes.set_title(title, fontsize="medium")
        for place, index in enumerate(chosen):
            row, column = divmod(place, _COLUMNS)
            left, top = column * _PITCH, row * _ROW_PITCH
            axes.imshow(pixels[rows[index]], extent=(left, left + 1, top + 1, top))
            text = f"{probabilities[index]:.3f}  {images[index].diagnosis}\n{title_of(images[index].source)}"
            axes.text(left + 0.5, top + 1.03, text, ha="center", va="top", fontsize="x-small")
        axes.set_xlim(0, _COLUMNS * _PITCH)
        axes.set_ylim(height * _ROW_PITCH, 0)
        axes.set_axis_off()
    save_figure(figure, path)


def _relative(path: str, data_folder: Path) -> str:
    """The path within the data folder, or the file's name: metrics say nothing of the machine."""
    if not Path(path).is_absolute():
        return path
    folder = data_folder.resolve()
    return str(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else Path(path).name
