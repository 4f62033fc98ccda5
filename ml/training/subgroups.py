"""The same figures for parts of the test images: by source, sex, age and site, where these are known."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ml.training.datasets import LabelledImage
from ml.training.evaluation_sets import title_of
from ml.training.measures import MIN_IMAGES_A_CLASS, enough, measure

AGE_BANDS: Final = ((0, 29), (30, 44), (45, 59), (60, 74), (75, None))  # years
SUBGROUPS: Final = ("source", "sex", "age", "site")
UNKNOWN: Final = "unknown"
_KEPT: Final = ("auc", "average_precision", "brier", "calibration_error", "at_served")


def subgroup_table(
    images: Sequence[LabelledImage],
    positive: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    *,
    thresholds: Mapping[str, float],
    seed: int,
) -> dict[str, Any]:
    """Measure every subgroup of one set of images.

    Args:
        images: of the set.
        positive: bool (images,).
        probabilities: float64 (images,), 0 to 1, calibrated.
        thresholds: name to value; must hold at_served.
        seed: of the bootstrap.

    Returns:
        A mapping for each of `SUBGROUPS`: `known`, the number of images for which it is, and `rows`, one a
        value: name, images, malignant, benign and figures; those that need more images than there are, are
        None, and `remark` says which class lacks them.
    """
    return {
        name: _measure_subgroup(
            np.array([_value(image, name) for image in images]),
            images,
            positive,
            probabilities,
            thresholds=thresholds,
            seed=seed,
        )
        for name in SUBGROUPS
    }


def age_band(age_years: float | None) -> str:
    """The band of an age in whole years, such as "30-44"."""
    if age_years is None:
        return ""
    for low, high in AGE_BANDS:
        if high is None or age_years < high + 1:
            return f"{low}-{high}" if high is not None else f"{low}+"
    raise AssertionError("the last band has no end")


def _value(image: LabelledImage, name: str) -> str:
    if name == "source":
        return title_of(image.source)
    return {"sex": image.sex, "age": age_band(image.age_years), "site": image.site}[name]


def _measure_subgroup(
    values: NDArray[np.str_],
    images: Sequence[LabelledImage],
    positive: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    *,
    thresholds: Mapping[str, float],
    seed: int,
) -> dict[str, Any]:
    known = int(np.sum(values != ""))
    rows = []
    for value in sorted(set(values.tolist())) if known else ():
        chosen = np.flatnonzero(values == value)
        measured = measure(
            positive[chosen],
            probabilities[chosen],
            [images[index].group for index in chosen.tolist()],
            thresholds={"at_served": thresholds["at_served"]},
            seed=seed,
        )
        few = [name for name in ("malignant", "benign") if not enough(measured[name])]
        rows.append(
            {"name": value or UNKNOWN}
            | {name: measured[name] for name in ("images", "malignant", "benign")}
            | {name: measured[name] for name in _KEPT}
            | {"remark": f"fewer than {MIN_IMAGES_A_CLASS} {' and '.join(few)} images" if few else ""}
        )
    return {"known": known, "rows": rows}
