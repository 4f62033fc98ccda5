"""Drawings of what the probabilities are worth: calibration before and after, and residuals by kind of image."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ml.training.plots import SET_COLOURS, label_axes, save_figure
from ml.training.residuals import CLASS_NAMES

_MARKERS: Final = ("o", "s", "^", "D", "v", "P")
_CLASS_STYLES: Final = {"all": ("black", "D"), "benign": ("#3b6ea5", "o"), "malignant": ("#c8553d", "^")}
_ROW_INCHES: Final = 0.34


def draw_calibration(
    validation: Mapping[str, Sequence[Mapping[str, float]]],
    judged: Mapping[str, Sequence[Mapping[str, float]]],
    path: Path,
    *,
    name: str,
    method: str,
) -> None:
    """Draw how often images of each stated probability are malignant: before and after, and elsewhere.

    Args:
        validation: title to bins, as `ml.training.measures.reliability` gives them, of validation images before
            and after calibration.
        judged: the same of other sets, after it.
        path: of the PNG.
        name: of the model.
        method: of the calibration.
    """
    figure = Figure(figsize=(12, 7), layout="constrained")
    figure.suptitle(f"Calibration of {name} (method: {method}); bins of equally many images, 30 or more")
    left, right = figure.subplots(1, 2)
    left.set_title("Validation images", fontsize="medium")
    right.set_title("Test images and other collections, as served", fontsize="medium")
    _draw_reliability(left, validation)
    _draw_reliability(right, judged)
    save_figure(figure, path)


def draw_residuals(tables: Mapping[str, Sequence[Mapping[str, Any]]], path: Path, *, name: str) -> None:
    """Draw mean residuals with their intervals, a row a kind of image, a panel a table.

    A property of which all images are of one kind has no row, unless it is the source: it would repeat the first.

    Args:
        tables: title to the rows of `ml.training.residuals.residual_table`.
        path: of the PNG.
        name: of the model.
    """
    shown = {title: _by_kind(rows) for title, rows in tables.items() if rows}
    tallest = max(len(kinds) for kinds in shown.values())
    figure = Figure(figsize=(7.2 * len(shown), 2 + _ROW_INCHES * tallest), layout="constrained")
    figure.suptitle(f"Residuals of {name}\ncalibrated probability minus outcome, mean with 95% interval")
    for axes, (title, kinds) in zip(
        figure.subplots(1, len(shown), squeeze=False).flat, shown.items(), strict=True
    ):
        _draw_kinds(axes, kinds)
        axes.set_title(title, fontsize="medium")
    figure.legend(handles=_class_signs(), loc="outside lower center", ncols=len(CLASS_NAMES), frameon=False)
    save_figure(figure, path)


def _class_signs() -> list[Line2D]:
    return [
        Line2D([], [], color=colour, marker=marker, label="all images" if name == "all" else f"{name} alone")
        for name, (colour, marker) in _CLASS_STYLES.items()
    ]


def _draw_reliability(axes: Axes, curves: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfect")
    for (title, bins), colour, marker in zip(curves.items(), SET_COLOURS, _MARKERS, strict=False):
        images = int(sum(one["images"] for one in bins))
        axes.plot(
            [one["predicted"] for one in bins],
            [one["malignant"] for one in bins],
            color=colour,
            marker=marker,
            markersize=5,
            label=f"{title} ({images:,} images)",
        )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    label_axes(axes, "stated probability (mean of the bin)", "share that is malignant")


def _by_kind(
    rows: Sequence[Mapping[str, Any]],
) -> "dict[tuple[str, str], dict[str, Mapping[str, Any]]]":
    """Rows by property and kind, and there by class, in the table's order."""
    kinds: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        kinds.setdefault((row["property"], row["kind"]), {})[row["class"]] = row
    several = Counter(name for name, _ in kinds)
    return {
        (name, kind): found
        for (name, kind), found in kinds.items()
        if name in ("", "source") or several[name] > 1
    }


def _draw_kinds(axes: Axes, kinds: "Mapping[tuple[str, str], Mapping[str, Mapping[str, Any]]]") -> None:
    axes.axvline(0, color="0.5", linewidth=1)
    labels = []
    for place, ((name, kind), of_class) in enumerate(kinds.items()):
        images = of_class["all"]["images"]
        labels.append(f"{name + ': ' if name else ''}{kind} ({images:,})")
        for offset, class_name in zip((-0.22, 0.0, 0.22), CLASS_NAMES, strict=True):
            mean = of_class.get(class_name, {}).get("mean")
            if mean is None:
                continue
            colour, marker = _CLASS_STYLES[class_name]
            height = place + offset
            axes.plot([mean["low"], mean["high"]], [height, height], color=colour, linewidth=1.2)
            axes.plot([mean["value"]], [height], color=colour, marker=marker, markersize=4)
    axes.set_yticks(range(len(labels)), labels, fontsize="small")
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(-1, 1)
    axes.set_xticks(np.linspace(-1, 1, 9))
    axes.set_xlabel("mean residual; right: more cancer stated than there is, left: less")
    axes.grid(axis="x", alpha=0.3)
