"""Where a network is too sure or not sure enough: calibrated probability minus outcome, a kind of image at a time."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ml.training.measures import enough, mean_with_interval

CLASS_NAMES: Final = ("all", "benign", "malignant")


def residual_table(
    *,
    positive: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    groups: Sequence[str],
    kinds: Mapping[str, NDArray[np.str_]],
    seed: int,
) -> list[dict[str, Any]]:
    """Mean residuals.

    Of a calibrated network the mean over both classes is 0 for every kind of image; above 0 it promises more
    cancer than there is. The means of one class alone never are 0, and tell how two kinds of image differ
    when the share of malignant ones is put aside.

    Args:
        positive: bool (images,).
        probabilities: float64 (images,), 0 to 1, calibrated.
        groups: one an image.
        kinds: property to str (images,), the kind of each image.
        seed: of the bootstrap.

    Returns:
        A row a property, kind and class that has images: property, kind, class, images, malignant, and the
        mean residual with its interval, or None where there are too few images.
    """
    residuals = probabilities - positive
    named = np.asarray(groups)
    rows = []
    for name, values in {"": np.full(len(positive), "all images"), **kinds}.items():
        for kind in sorted(set(values.tolist()), key=_order):
            for class_name, of_class in zip(
                CLASS_NAMES, (np.ones_like(positive), ~positive, positive), strict=True
            ):
                chosen = (values == kind) & of_class
                images = int(chosen.sum())
                if not images:
                    continue
                mean = (
                    mean_with_interval(residuals[chosen], positive[chosen], named[chosen].tolist(), seed=seed)
                    if enough(images)
                    else None
                )
                rows.append(
                    {
                        "property": name,
                        "kind": kind,
                        "class": class_name,
                        "images": images,
                        "malignant": int(positive[chosen].sum()),
                        "mean": mean,
                    }
                )
    return rows


def _order(kind: str) -> tuple[int, str]:
    """Quarters and sizes from low to high, other kinds by name."""
    ranks = ("lowest", "second", "third", "highest", "up to", "257", "above")
    return next((index for index, start in enumerate(ranks) if kind.startswith(start)), -1), kind
