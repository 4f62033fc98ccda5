"""The figures of a model card: tables of a metrics file, none of them typed by hand."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ml.training.evaluation_sets import title_of

_AT_THRESHOLD: Final = (
    ("accuracy", "Accuracy"),
    ("precision", "Precision"),
    ("recall", "Recall (sensitivity)"),
    ("specificity", "Specificity"),
    ("f1", "F1"),
)
_WITHOUT_THRESHOLD: Final = (
    ("auc", "AUC-ROC"),
    ("average_precision", "average precision"),
    ("specificity_at_90_sensitivity", "specificity at 90% sensitivity"),
    ("specificity_at_95_sensitivity", "specificity at 95% sensitivity"),
    ("brier", "Brier"),
    ("calibration_error", "calibration error"),
)
_COLUMNS: Final = {
    "at_0.5": "",
    "at_served": " (served)",
    "at_most_accurate": " (most accurate on validation images of the same collections)",
}


def interval(figure: Mapping[str, float] | None, *, signed: bool = False) -> str:
    """A figure with its 95% interval, or a dash where there are too few images."""
    if figure is None:
        return "-"
    form = "+.3f" if signed else ".3f"
    joint = " to " if signed else "-"
    return f"{figure['value']:{form}} ({figure['low']:{form}}{joint}{figure['high']:{form}})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def describe_set(measured: Mapping[str, Any]) -> str:
    """One set of images: counts, figures at both thresholds, figures without, and the uncertain band."""
    known = {place: remark for place, remark in _COLUMNS.items() if place in measured}
    columns = [measured[place] for place in known]
    heads = [f"at {measured[place]['threshold']:.4f}{remark}" for place, remark in known.items()]
    rows = [
        *([title, *(interval(column[key]) for column in columns)] for key, title in _AT_THRESHOLD),
        ["Benign called benign / malignant", *(_calls(column, "negative", "positive") for column in columns)],
        [
            "Malignant called malignant / benign",
            *(_calls(column, "positive", "negative") for column in columns),
        ],
    ]
    unsure = measured["uncertain"]
    return "\n\n".join(
        (
            f"### {measured['title']}",
            f"{measured['images']:,} images: {measured['malignant']:,} malignant, {measured['benign']:,} "
            f"benign ({measured['labels']}).",
            table(["", *heads], rows),
            "; ".join(f"{title} {interval(measured[key])}" for key, title in _WITHOUT_THRESHOLD) + ".",
            f"In the uncertain band: {interval(unsure['share'])} of the images; accuracy outside of it "
            f"{interval(unsure['accuracy_outside'])}.",
        )
    )


def describe_calibration(metrics: Mapping[str, Any]) -> str:
    """How the calibration was chosen, and what it changed."""
    fit, sets = metrics["calibration"], metrics["sets"]
    numbers = {
        "none": "The network's probabilities are served as they are",
        "temperature": "The logit of the network's probability is divided by {temperature:.4f} (temperature)",
        "platt": "The logit of the network's probability times {slope:.4f}, plus {offset:.4f} (Platt)",
        "isotonic": "The network's probability is read off a rising line of {knots} knots (isotonic regression)",
    }[fit["method"]].format_map({**fit, "knots": len(fit.get("knots", ()))})
    fitted = "" if fit["method"] == "none" else f" Fitted on {fit['fitted_on']}, never on test images."
    parts = [f"{numbers}: {fit['chosen_by']}.{fitted}"]
    if fit["cross_validated"]:
        rows = [
            [name, f"{scores['log_loss']:.4f}", f"{scores['calibration_error']:.4f}"]
            for name, scores in fit["cross_validated"].items()
        ]
        parts.append(table(["method", "log loss (cross-validated)", "calibration error"], rows))
    rows = [
        [
            f"{sets[key]['title']}{' - after: cross-validated' if key == 'validation' else ''}",
            *(interval(fit[when][key]["calibration_error"]) for when in ("before", "after")),
            *(interval(fit[when][key]["brier"]) for when in ("before", "after")),
        ]
        for key in fit["before"]
    ]
    head = ["", "calibration error before", "after", "Brier before", "after"]
    return "\n\n".join([*parts, table(head, rows)])


def describe_points(metrics: Mapping[str, Any]) -> str:
    """The operating points and the uncertain band."""
    test, band = metrics["sets"]["test"], metrics["uncertain_band"]
    places = {
        "sensitivity_90": ("at_sensitivity_90", "sensitivity 0.90"),
        "sensitivity_95": ("at_served", "sensitivity 0.95 (served)"),
        "specificity_95": ("at_specificity_95", "specificity 0.95"),
    }
    rows = [
        [
            title,
            f"{metrics['operating_points'][name]['threshold']:.4f}",
            *(f"{metrics['operating_points'][name][key]:.4f}" for key in ("sensitivity", "specificity")),
            *(interval(test[place][key]) for key in ("recall", "specificity")),
        ]
        for name, (place, title) in places.items()
    ]
    head = ["chosen for", "threshold", "sensitivity on validation", "specificity on validation"]
    return "\n\n".join(
        (
            "Chosen on validation images only, on calibrated probabilities.",
            table([*head, "sensitivity on test", "specificity on test"], rows),
            f"**Uncertain band** {band['low']:.4f} to below {band['high']:.4f}: {band['meaning']}. "
            f"{interval(test['uncertain']['share'])} of the test images lie in it ({test['title']}); outside of "
            f"it the accuracy is {interval(test['uncertain']['accuracy_outside'])}.",
        )
    )


def describe_left_out(rows: Sequence[Mapping[str, Any]]) -> str:
    """Networks of the same architecture that were not trained on what they are judged on.

    Args:
        rows: run, trained_on (sources) and what `ml.training.measures.measure` gives for a set with its title.
    """
    head = ["run", "trained on", "judged on", "images", "malignant", "AUC-ROC", "sensitivity", "specificity"]
    return table(
        [*head, "specificity at 95% sensitivity", "calibration error"],
        [
            [
                f"`{row['run']}`",
                ", ".join(title_of(source) for source in row["trained_on"]),
                row["title"],
                f"{row['images']:,}",
                f"{row['malignant']:,}",
                interval(row["auc"]),
                *(interval(row["at_served"][key]) for key in ("recall", "specificity")),
                interval(row["specificity_at_95_sensitivity"]),
                interval(row["calibration_error"]),
            ]
            for row in rows
        ],
    )


def describe_int8(found: Mapping[str, Any]) -> str:
    """What 8-bit arithmetic costs and saves, or why it does not serve."""
    if "failed" in found:
        return f"Not possible: {found['failed']}."
    both = ("float32", "int8")
    rows = [
        ["AUC-ROC", *(interval(found[f"auc_{name}"]) for name in both)],
        *(
            [f"{title} as served", *(interval(found[f"at_served_{name}"][key]) for name in both)]
            for key, title in (("recall", "sensitivity"), ("specificity", "specificity"))
        ),
        ["one picture through the network, ms", *(f"{found[f'ms_{name}']:.1f}" for name in both)],
        ["file, MB", *(f"{found[f'mb_{name}']:.1f}" for name in both)],
    ]
    return (
        f"{table(['', *both], rows)}\n\n"
        f"On {found['images']:,} images ({found['set']}). The AUC falls by {found['auc_loss']:.4f}; the largest "
        f"difference of one calibrated probability is {found['max_difference']:.4f}."
    )


def describe_diagnoses(measured: Mapping[str, Any]) -> str:
    """A network that names diagnoses: overall, a class, and who is taken for whom."""
    few = [row["name"] for row in measured["per_class"] if row["recall"] is None]
    rows = [
        [
            row["name"],
            f"{row['images']:,}",
            "-" if row["precision"] is None else f"{row['precision']:.3f}",
            interval(row["recall"]),
            interval(row["auc"]),
        ]
        for row in measured["per_class"]
    ]
    confusion = [
        [f"**{name}**", *(f"{count:,}" for count in counts)]
        for name, counts in zip(measured["classes"], measured["confusion"], strict=True)
    ]
    return "\n\n".join(
        (
            f"{measured['title']}: {measured['images']:,} images. Accuracy {interval(measured['accuracy'])}, "
            f"balanced accuracy {interval(measured['balanced_accuracy'])}, macro AUC (each class against the "
            f"rest) {interval(measured['macro_auc'])}. These probabilities are not calibrated."
            + (f" Too few images for figures of their own: {', '.join(few)}." if few else ""),
            table(["diagnosis", "images", "precision", "recall", "AUC-ROC"], rows),
            table(["is \\ called", *measured["classes"]], confusion),
        )
    )


def describe_subgroups(metrics: Mapping[str, Any]) -> str:
    """Subgroups of the test part; where nobody knows who is in them, that."""
    parts, unknown = [], []
    for name, found in metrics["subgroups"].items():
        if not found["known"]:
            unknown.append(name)
            continue
        rows = [
            [
                row["name"],
                f"{row['images']:,}",
                f"{row['malignant']:,}",
                interval(row["auc"]),
                *(interval(row["at_served"][key]) for key in ("recall", "specificity")),
                interval(row["calibration_error"]),
                row["remark"],
            ]
            for row in found["rows"]
        ]
        head = ["images", "malignant", "AUC-ROC", "sensitivity", "specificity", "calibration error", ""]
        parts.append(table([name, *head], rows))
    if unknown:
        parts.append(f"{', '.join(unknown).capitalize()}: not known for these images.")
    return "\n\n".join(parts)


def describe_residuals(metrics: Mapping[str, Any]) -> str:
    """Mean residuals over all images, by source and by black corners; the rest is in the drawing."""
    rows = [
        [
            place,
            f"{row['property']}: {row['kind']}".removeprefix(": "),
            f"{row['images']:,}",
            interval(row["mean"], signed=True),
        ]
        for place, found in (("in source", "in_source"), ("out of source", "out_of_source"))
        for row in metrics["residuals"][found]
        if row["class"] == "all" and row["property"] in ("", "source", "black corners")
    ]
    return table(["", "images of the kind", "images", "probability minus outcome, mean"], rows)


def _calls(column: Mapping[str, Any], right: str, wrong: str) -> str:
    """Right and wrong calls of the images of one class."""
    cells = column["confusion"]
    return f"{cells[f'true_{right}']:,} / {cells[f'false_{wrong}']:,}"
