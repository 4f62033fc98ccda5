"""Drawings of an image collection for its report, as PNG bytes."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ml.preprocessing import UnreadableImageError, decode_image, to_network_pixels
from ml.training.dataset_check import Findings
from ml.training.errors import BenchError
from ml.training.fingerprints import Fingerprints

CLASSES: Final = ("benign", "malignant")
_COLOURS: Final = ("#3b6ea5", "#c8553d")  # benign, malignant: told apart by the colour-blind, too
_DPI: Final = 90
_TILE_PX: Final = 112
_BINS: Final = 32


def draw_balance(findings: Findings) -> bytes:
    """Images by source and class, side by side."""
    return _draw_bars(findings, "images", title=f"Images by source and class ({findings.images:,} images)")


def draw_black_corners(findings: Findings) -> bytes:
    """Share of images with black corners by source and class, in percent."""
    return _draw_bars(
        findings, "black corners (% of the class)", title="Black corners by source and class", share=True
    )


def draw_sizes(fingerprints: Fingerprints) -> bytes:
    """Width against height; the area of a dot grows with the number of images."""
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.set_title(f"Sizes as stored ({len(fingerprints.images):,} images)")
    for source, chosen in by_source(fingerprints).items():
        sizes, counts = np.unique(fingerprints.sizes_px[chosen], axis=0, return_counts=True)
        areas = 20 + 300 * counts / len(fingerprints.images)
        axes.scatter(sizes[:, 0], sizes[:, 1], s=areas, alpha=0.6, label=f"{source} ({counts.sum():,})")
    axes.set_xlabel("width in pixels")
    axes.set_ylabel("height in pixels")
    axes.margins(0.2)
    axes.legend(frameon=False, fontsize="small")
    return _png(figure)


def draw_colours(fingerprints: Fingerprints) -> bytes:
    """Histograms of red, green and blue by class, a row a source, over all thumbnails."""
    sources = by_source(fingerprints)
    malignant = np.array([image.malignant for image in fingerprints.images])
    figure = Figure(figsize=(10, 2.6 * len(sources)), layout="constrained")
    grid = figure.subplots(len(sources), 3, squeeze=False, sharex=True)
    edges = np.linspace(0, 256, _BINS + 1)
    for row, (source, chosen) in zip(grid, sources.items(), strict=True):
        for channel, (axes, name) in enumerate(zip(row, ("red", "green", "blue"), strict=True)):
            for is_malignant, label in enumerate(CLASSES):
                kept = fingerprints.thumbnails[chosen & (malignant == bool(is_malignant)), :, :, channel]
                if kept.size:
                    shares = np.histogram(kept, edges)[0] / kept.size
                    axes.stairs(shares * 100, edges, color=_COLOURS[is_malignant], label=label)
            axes.set_title(f"{source}: {name}", fontsize="small")
        row[0].set_ylabel("% of pixels")
        row[0].legend(frameon=False, fontsize="small")
    for axes in grid[-1]:
        axes.set_xlabel("value (0-255)")
    return _png(figure)


def draw_means(fingerprints: Fingerprints) -> bytes:
    """The mean image of each source and class."""
    strata = by_stratum(fingerprints)
    return draw_tiles(
        [
            [
                (
                    f"{source}\n{CLASSES[malignant]}, {len(chosen):,}",
                    fingerprints.thumbnails[chosen].mean(axis=0).round().astype(np.uint8),
                )
            ]
            for (source, malignant), chosen in strata.items()
        ],
        across=True,
    )


def draw_samples(fingerprints: Fingerprints, *, images_a_row: int, seed: int) -> bytes:
    """Random pictures, a row a source and class."""
    generator = np.random.default_rng(seed)
    rows = []
    for (source, malignant), chosen in by_stratum(fingerprints).items():
        drawn = generator.permutation(chosen)[:images_a_row]
        tiles = [("", _tile(fingerprints.images[index].path)) for index in drawn]
        rows.append([(f"{source}, {CLASSES[malignant]}", tiles[0][1]), *tiles[1:]])
    return draw_tiles(rows)


def draw_twins(clusters: Sequence[Sequence[str]], *, labels: dict[str, str]) -> bytes:
    """Twins, a row a picture.

    Args:
        clusters: paths of the twins.
        labels: what to write over each path.
    """
    return draw_tiles([[(labels[path], _tile(path)) for path in cluster] for cluster in clusters])


def draw_tiles(rows: Sequence[Sequence[tuple[str, NDArray[np.uint8]]]], *, across: bool = False) -> bytes:
    """Pictures in rows with a title each.

    Args:
        rows: of titles and uint8 (height, width, 3) pictures.
        across: whether the rows stand as columns.
    """
    lines = [list(column) for column in zip(*rows, strict=True)] if across else rows
    columns = max(len(line) for line in lines)
    figure = Figure(figsize=(1.8 * columns, 1.95 * len(lines)), layout="constrained")
    for axes, content in zip(
        figure.subplots(len(lines), columns, squeeze=False).flat,
        [one for line in lines for one in (*line, *[None] * (columns - len(line)))],
        strict=True,
    ):
        axes.axis("off")
        if content is not None:
            title, picture = content
            axes.imshow(picture)
            axes.set_title(title, fontsize=8, loc="left")
    return _png(figure)


def by_source(fingerprints: Fingerprints) -> dict[str, NDArray[np.bool_]]:
    """Bool (images,) of each source, in order of name."""
    sources = np.array([image.source for image in fingerprints.images])
    return {str(source): sources == source for source in np.unique(sources)}


def by_stratum(fingerprints: Fingerprints) -> dict[tuple[str, bool], NDArray[np.intp]]:
    """Indices of each source and class that has images, in order."""
    malignant = np.array([image.malignant for image in fingerprints.images])
    return {
        (source, value): np.flatnonzero(chosen & (malignant == value))
        for source, chosen in by_source(fingerprints).items()
        for value in (False, True)
        if (chosen & (malignant == value)).any()
    }


def _draw_bars(findings: Findings, what: str, *, title: str, share: bool = False) -> bytes:
    sources = sorted({one.source for one in findings.strata})
    figure = Figure(figsize=(1.5 + 2 * max(2, len(sources)), 3.8), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    for malignant, name in enumerate(CLASSES):
        heights = []
        for source in sources:
            of_class = [s for s in findings.strata if s.source == source and s.malignant == bool(malignant)]
            images = sum(one.images for one in of_class)
            dark = sum(one.black_corners for one in of_class)
            heights.append((100 * dark / images if images else 0.0) if share else float(images))
        places = np.arange(len(sources)) + (malignant - 0.5) * 0.4
        bars = axes.bar(places, heights, 0.38, color=_COLOURS[malignant], label=name)
        axes.bar_label(bars, fmt="{:.1f}%" if share else "{:,.0f}", fontsize="small")
    axes.set_xticks(range(len(sources)), sources)
    axes.set_ylabel(what)
    axes.legend(frameon=False)
    axes.margins(y=0.15)
    return _png(figure)


def _tile(path: str) -> NDArray[np.uint8]:
    try:
        return to_network_pixels(decode_image(Path(path).read_bytes()), size_px=_TILE_PX)
    except (OSError, UnreadableImageError) as error:
        raise BenchError(f"{path}: {error}") from error


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
