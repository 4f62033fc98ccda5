"""The networks side by side: a table, a plot and a page, written from the kept metrics of their runs alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from ml.inference import ModelManifest
from ml.training.errors import BenchError
from ml.training.evaluation_sets import title_of
from ml.training.files import replacing
from ml.training.results import RESULTS_FOLDER, all_sources, left_out_results

PLOT_SUFFIX: Final = ".png"
_EARLIER_SIZE_PX: Final = 224  # the earlier systems' ResNet50
_DRAWN_SETS: Final = ("test_without_twins", "test_ham10000", "test_isic2017")
_COLOURS: Final = ("#0f766e", "#3b6ea5", "#c8553d")
_LEFT_OUT_NOTE: Final = """\
Each run saw nothing of the source it is judged on. A picture that stands in both (the collections share most of their
melanomas) counts on one side only: it is kept out of training, or, where nearly all melanomas would go, out of the
judgement."""
_RELEASED_NOTE: Final = """\
On the Kaggle test split without the images that have a twin elsewhere. Earlier systems claim 93.17% and 92.4% accuracy
from ResNet50 on images of that set, without saying which were held out. The set's own threshold is the most accurate
one on validation images of the same collection; what is served is another, chosen for sensitivity. The calibration
error is cross-validated; int8 loses what it loses on 1,000 test images, evenly of each collection; times are of one
view on one core."""
_AT_HALF: Final = (("accuracy", "Accuracy"), ("precision", "Precision"), ("recall", "Recall"), ("f1", "F1"))


def write_comparison(
    page: Path,
    results: Sequence[Mapping[str, Any]],
    released: Sequence[tuple[ModelManifest, Mapping[str, Any]]] = (),
) -> None:
    """Write the page and the plot beside it, of the same name.

    Args:
        page: Markdown file.
        results: kept metrics of all runs.
        released: manifest and metrics of each released model.

    Raises:
        BenchError: the runs were not trained on the same images.
    """
    whole = all_sources(results)
    networks = [one for one in results if set(one["training"]["sources"]) == whole]
    networks.sort(key=lambda one: -_value(one["sets"]["test"]["auc"]))
    plot = page.with_suffix(PLOT_SUFFIX)
    _draw(networks, plot)
    parts = [
        "# The networks compared",
        "<!-- Written by `python -m ml compare` from ml/experiments/results: change those. -->",
        _describe_split(networks),
        _network_table(networks),
        _remarks(networks),
        f"![AUC with 95% intervals, by network and test set]({plot.name})",
        "## Other sources' images",
        _sets_table(networks),
        "## Leave one source out",
        _LEFT_OUT_NOTE,
        _left_out_table(results),
        *(("## Released models", _RELEASED_NOTE, _released_table(released)) if released else ()),
    ]
    with replacing(page) as temporary:
        temporary.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def _describe_split(networks: Sequence[Mapping[str, Any]]) -> str:
    sizes = {
        (one["training"]["train_images"], one["training"]["validation_images"], one["split_sha256"])
        for one in networks
    }
    if len(sizes) != 1:
        names = ", ".join(one["run"] for one in networks)
        raise BenchError(
            f"{names} were not trained on the same images: compare runs of one split (remove the others from "
            f"{RESULTS_FOLDER.name}/)"
        )
    (train, validation, _), test = next(iter(sizes)), networks[0]["sets"]["test"]
    sources = ", ".join(title_of(source) for source in sorted(all_sources(networks)))
    return (
        f"All networks saw the same split of {sources}: {train:,} images to train on, {validation:,} to choose "
        f"epoch, calibration and threshold. The first table judges them on {test['title']} ({test['images']:,} "
        f"images, {test['malignant']:,} malignant) at a calibrated probability of 0.5; values in brackets are 95% "
        "intervals; a dash: too few images of a class. Training time is that of these runs on 2 CPU cores that other "
        "work shared."
    )


def _network_table(networks: Sequence[Mapping[str, Any]]) -> str:
    heads = ["Network", "Run", "Input px", *(title for _, title in _AT_HALF), "AUC"]
    heads += ["Parameters", "MB", "Images seen", "Training min", "ms an image"]
    rows = [
        [
            one["training"]["architecture"],
            one["run"],
            str(one["training"]["input_size_px"]),
            *(_number(one["sets"]["test"]["at_0.5"][figure]) for figure, _ in _AT_HALF),
            _interval(one["sets"]["test"]["auc"]),
            f"{one['cost']['parameters']:,}",
            f"{one['cost']['onnx_mb']:.1f}",
            f"{one['training']['images_seen']:,}",
            f"{one['training']['duration_s'] / 60:.0f}",
            f"{one['cost']['ms_an_image']:.1f}",
        ]
        for one in networks
    ]
    return _table(heads, rows, left=2)


def _remarks(networks: Sequence[Mapping[str, Any]]) -> str:
    """What made a run smaller than the earlier systems', a line a run."""
    lines = []
    for one in networks:
        training = one["training"]
        start = {"none": "random weights"}.get(training["weights"], "weights of an earlier training")
        passes = training["images_seen"] / training["train_images"]
        smaller = (
            f"; smaller than the earlier systems' {_EARLIER_SIZE_PX} px"
            if training["input_size_px"] < _EARLIER_SIZE_PX
            else ""
        )
        lines.append(
            f"- **{one['run']}**: {training['input_size_px']} px{smaller}; {training['epochs']} epochs, in all "
            f"{passes:.1f} passes over the training images, from {start}; the time of one image is that of "
            f"{one['cost']['threads']} core, float32, one view (its figures are the mean of {one['views']})."
        )
    return "\n".join(lines)


def _sets_table(networks: Sequence[Mapping[str, Any]]) -> str:
    keys = [key for key in _DRAWN_SETS if all(key in one["sets"] for one in networks)]
    first = networks[0]["sets"]
    heads = ["Run", *(f"{first[key]['title']}: AUC" for key in keys), "validation: calibration error"]
    rows = [
        [
            one["run"],
            *(_interval(one["sets"][key]["auc"]) for key in keys),
            _interval(one["sets"]["validation"]["calibration_error"]),
        ]
        for one in networks
    ]
    return _table(heads, rows, left=1)


def _left_out_table(results: Sequence[Mapping[str, Any]]) -> str:
    architectures = sorted({one["training"]["architecture"] for one in results})
    rows = [
        [
            row["run"],
            ", ".join(title_of(source) for source in row["trained_on"]),
            f"{row['title']} ({row['images']:,}, {row['malignant']:,} malignant)",
            _interval(row["auc"]),
            _interval(row["specificity_at_95_sensitivity"]),
        ]
        for architecture in architectures
        for row in left_out_results(results, architecture=architecture)
    ]
    if not rows:
        return "No run has left a source out."
    heads = ["Run", "Trained on", "Judged on", "AUC", "Specificity at 95% sensitivity"]
    return _table(heads, rows, left=3)


def _released_table(released: Sequence[tuple[ModelManifest, Mapping[str, Any]]]) -> str:
    heads = ["Model", "Run", "Views", "Accuracy at 0.5", "Accuracy at the set's own threshold"]
    heads += ["AUC", "Specificity at 95% sensitivity"]
    heads += [
        "Calibration error on validation",
        "int8: AUC lost",
        "int8: ms",
        "float32: ms",
        "int8: MB",
        "float32: MB",
    ]
    rows = []
    for manifest, metrics in released:
        test = metrics["sets"].get("test_without_twins") or metrics["sets"]["test"]
        int8 = metrics.get("int8") or {}
        measured = "auc_loss" in int8
        rows.append(
            [
                f"{manifest.identifier} ({manifest.precision})",
                metrics["run"],
                str(manifest.views),
                _interval(test["at_0.5"]["accuracy"]),
                _interval(test.get("at_most_accurate", {}).get("accuracy")),
                _interval(test["auc"]),
                _interval(test["specificity_at_95_sensitivity"]),
                _interval(metrics["sets"]["validation"]["calibration_error"]),
                *(
                    [
                        f"{int8['auc_loss']:.4f}",
                        *(f"{int8[key]:.1f}" for key in ("ms_int8", "ms_float32", "mb_int8", "mb_float32")),
                    ]
                    if measured
                    else ["-"] * 5
                ),
            ]
        )
    return _table(heads, rows, left=2)


def _draw(networks: Sequence[Mapping[str, Any]], path: Path) -> None:
    """AUC with its interval, a row a run, a mark a test set."""
    figure = Figure(figsize=(9, 2.4 + 0.6 * len(networks)), layout="constrained")
    axes = figure.subplots()
    axes.set_title("AUC with 95% interval, by run and test set", fontsize="medium")
    known = {key for one in networks for key, measured in one["sets"].items() if measured["auc"]}
    drawn = [key for key in _DRAWN_SETS if key in known] or [key for key in ("test",) if key in known]
    for offset, (key, colour) in enumerate(zip(drawn, _COLOURS, strict=False)):
        chosen = [
            (row, one["sets"][key]["auc"])
            for row, one in enumerate(reversed(networks))
            if one["sets"].get(key, {}).get("auc")
        ]
        places = [row + 0.2 * (1 - offset) for row, _ in chosen]
        values = np.array([auc["value"] for _, auc in chosen])
        errors = np.array(
            [[auc["value"] - auc["low"], auc["high"] - auc["value"]] for _, auc in chosen]
        ).T.clip(0)
        measured = next(one["sets"][key] for one in networks if key in one["sets"])
        label = f"{measured['title']} ({measured['images']:,} images)"
        axes.errorbar(values, places, xerr=errors, fmt="o", color=colour, capsize=3, label=label)
    axes.set_yticks(range(len(networks)), [one["run"] for one in reversed(networks)])
    axes.set_xlabel("AUC-ROC")
    axes.grid(axis="x", alpha=0.3)
    if drawn:
        figure.legend(loc="outside lower center", fontsize="small", frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100, metadata={"Software": None})


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> str:
    """Markdown table whose first columns are words and the others numbers."""
    rule = ["---"] * left + ["---:"] * (len(heads) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, rule, *rows))


def _value(figure: Mapping[str, float] | None) -> float:
    """For ordering; what could not be measured comes last."""
    return -1.0 if figure is None else figure["value"]


def _number(figure: Mapping[str, float] | None) -> str:
    return "-" if figure is None else f"{figure['value']:.3f}"


def _interval(figure: Mapping[str, float] | None) -> str:
    if figure is None:
        return "-"
    return f"{figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"
