"""Which images a run is judged on: in-source and out-of-source apart, nothing that it was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.training.datasets import LabelledImage, Split, without_groups_of
from ml.training.sources import describe_source


@dataclass(frozen=True)
class EvaluationSet:
    """Images to judge a run on.

    Attributes:
        key: its name in metrics.json.
        title: for people.
        labels: what counts as malignant.
        in_source: whether the images come from the collection that the run was trained on.
        images: in the order of `positive`.
        positive: bool (images,), what the network should call malignant.
    """

    key: str
    title: str
    labels: str
    in_source: bool
    images: tuple[LabelledImage, ...]
    positive: NDArray[np.bool_]


def evaluation_sets(images: Sequence[LabelledImage], split: Split) -> tuple[EvaluationSet, ...]:
    """All sets for one run: its validation and test parts, then every other source.

    Of other sources no picture is taken whose group stands in training or validation. That leaves hardly a
    melanoma (README of the data, trap 1), so there is a second set a source, "with validation twins", which
    also takes pictures whose group stands in validation: the network was never fitted to these, but they
    helped to choose its epoch and threshold.

    Args:
        images: all rows of the data's manifest.
        split: of the run.
    """
    source = split.test[0].source
    title = describe_source(source).title
    test_paths = {image.path for image in split.test}
    elsewhere = [image for image in images if image.path not in test_paths]
    sets = [
        _malignant(
            "validation", f"{title}, validation part (chose epoch and threshold)", True, split.validation
        ),
        _malignant("test", f"{title}, test split", True, split.test),
        _malignant(
            "test_without_twins",
            f"{title}, test split without images that have a twin elsewhere",
            True,
            without_groups_of(split.test, elsewhere),
        ),
    ]
    for other in sorted({image.source for image in images} - {source}):
        candidates = [image for image in images if image.source == other]
        strict = without_groups_of(candidates, [*split.train, *split.validation])
        with_twins = without_groups_of(candidates, split.train)
        sets += _sets_of_source(other, strict, with_twins)
    return tuple(sets)


def _sets_of_source(
    source: str, strict: tuple[LabelledImage, ...], with_twins: tuple[LabelledImage, ...]
) -> list[EvaluationSet]:
    about = describe_source(source)
    sets = [_malignant(source, about.title, False, strict)]
    suffix, scope = "_with_validation_twins", "with validation twins"
    if any(image.malignant and not image.melanoma for image in strict):
        sets.append(_malignant(source + suffix, f"{about.title}, all malignant, {scope}", False, with_twins))
        sets.append(_melanoma(f"{source}_melanoma", f"{about.title}, melanoma against benign", strict))
        suffix, scope = f"_melanoma{suffix}", f"melanoma against benign, {scope}"
        sets.append(_melanoma(source + suffix, f"{about.title}, {scope}", with_twins))
    else:
        sets.append(_malignant(source + suffix, f"{about.title}, {scope}", False, with_twins))
    return sets


def _malignant(key: str, title: str, in_source: bool, images: tuple[LabelledImage, ...]) -> EvaluationSet:
    positive = np.array([image.malignant for image in images], dtype=np.bool_)
    labels = describe_source(images[0].source).labels if images else ""
    return EvaluationSet(key, title, labels, in_source, images, positive)


def _melanoma(key: str, title: str, images: tuple[LabelledImage, ...]) -> EvaluationSet:
    """Melanoma against benign: other malignant lesions are left out, being neither."""
    kept = tuple(image for image in images if image.melanoma or not image.malignant)
    positive = np.array([image.melanoma for image in kept], dtype=np.bool_)
    return EvaluationSet(key, title, "malignant = melanoma, others left out", False, kept, positive)
