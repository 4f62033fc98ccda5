"""Which images a run is judged on: in-source and out-of-source apart, nothing that it was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.training.datasets import LabelledImage, Split, without_groups_of
from ml.training.sources import SOURCES

KAGGLE: Final = "kaggle_melanoma_10000"
TWINS: Final = "_with_validation_twins"


@dataclass(frozen=True)
class EvaluationSet:
    """Images to judge a run on.

    Attributes:
        key: its name in metrics.json.
        title: for people.
        labels: what counts as malignant.
        in_source: whether the images come from collections that the run was trained on.
        images: in the order of `positive`.
        positive: bool (images,), what the network should call malignant.
    """

    key: str
    title: str
    labels: str
    in_source: bool
    images: tuple[LabelledImage, ...]
    positive: NDArray[np.bool_]

    @property
    def groups(self) -> tuple[str, ...]:
        """The group of each image."""
        return tuple(image.group for image in self.images)


def evaluation_sets(images: Sequence[LabelledImage], split: Split) -> tuple[EvaluationSet, ...]:
    """All sets for one run that have images: validation first, then the test part, then every other source.

    `test` is the official test split of the Kaggle set where the run was trained on it, for other work reports
    that, and else the whole test part; a run of several sources has a set a source and `test_all` besides.

    Of other sources no picture is taken whose group stands in training or validation. That leaves hardly a
    melanoma where the melanomas are twins of the training images (README of the data, trap 1), so there is a
    second set a source, "with validation twins", which also takes pictures whose group stands in validation:
    the network was never fitted to these, but they helped to choose its epoch and threshold. It is left out
    where it is the same, as with the source that a run left out.

    Args:
        images: all rows of the data's manifest.
        split: of the run.
    """
    trained_on = sources_of(split)
    sets = [*_validation_sets(split, trained_on), *_test_sets(images, split, trained_on)]
    for source in sorted({image.source for image in images} - set(trained_on)):
        candidates = [image for image in images if image.source == source]
        strict = without_groups_of(candidates, [*split.train, *split.validation])
        with_twins = without_groups_of(candidates, split.train)
        title = title_of(source)
        sets.append(_malignant(source, title, False, strict))
        mixed = any(image.malignant and not image.melanoma for image in candidates)
        if mixed:
            name = f"{title}, melanoma against benign"
            sets.append(_melanoma(f"{source}_melanoma", name, False, strict))
        if len(with_twins) > len(strict):
            name = f"{title}, all malignant" if mixed else title
            sets.append(_malignant(source + TWINS, f"{name}, with validation twins", False, with_twins))
            if mixed:
                name = f"{title}, melanoma against benign, with validation twins"
                sets.append(_melanoma(f"{source}_melanoma{TWINS}", name, False, with_twins))
    return tuple(one for one in sets if one.images)


def sources_of(split: Split) -> tuple[str, ...]:
    """The collections that a run was trained and tested on, by name."""
    return tuple(sorted({image.source for part in (split.train, split.test) for image in part}))


def title_of(source: str) -> str:
    """A collection's name in tables and plots; of one that the bench does not know, its own."""
    return SOURCES[source].title if source in SOURCES else source


def labels_of_sources(images: Sequence[LabelledImage]) -> str:
    """What "malignant" means among the images, a collection at a time."""
    sources = sorted({image.source for image in images})
    texts = [SOURCES[source].labels if source in SOURCES else "malignant as labelled" for source in sources]
    if len(sources) == 1:
        return texts[0]
    return "; ".join(f"{title_of(source)}: {text}" for source, text in zip(sources, texts, strict=True))


def _validation_sets(split: Split, sources: Sequence[str]) -> list[EvaluationSet]:
    title = " + ".join(title_of(source) for source in sources)
    remark = "validation part (chose epoch, calibration and thresholds)"
    sets = [_malignant("validation", f"{title}, {remark}", True, split.validation)]
    if len(sources) > 1:
        sets += [
            _malignant(
                f"validation_{source}",
                f"{title_of(source)}, validation part",
                True,
                _of_source(split.validation, source),
            )
            for source in sources
        ]
    return sets


def _test_sets(images: Sequence[LabelledImage], split: Split, sources: Sequence[str]) -> list[EvaluationSet]:
    several = len(sources) > 1
    reported = _of_source(split.test, KAGGLE) or split.test
    names = [title_of(source) for source in sorted({image.source for image in reported})]
    title = f"{' + '.join(names)}, {_describe_part(reported)}"
    sets = [_malignant("test", title, True, reported)]
    if len(names) == 1 and all(image.official_split == "test" for image in reported):
        paths = {image.path for image in reported}
        elsewhere = [image for image in images if image.path not in paths]
        alone = without_groups_of(reported, elsewhere)
        remark = "without images that have a twin elsewhere"
        sets.append(_malignant("test_without_twins", f"{title} {remark}", True, alone))
    for source in sources if several else ():
        part = _of_source(split.test, source)
        if source == KAGGLE or not part:
            continue
        name = title_of(source)
        sets.append(_malignant(f"test_{source}", f"{name}, {_describe_part(part)}", True, part))
        if any(image.malignant and not image.melanoma for image in part):
            remark = f"{_describe_part(part)}, melanoma against benign"
            sets.append(_melanoma(f"test_{source}_melanoma", f"{name}, {remark}", True, part))
    if several:
        names = [title_of(source) for source in sources]
        sets.append(_malignant("test_all", f"{' + '.join(names)}, all test images", True, split.test))
    return sets


def _describe_part(images: Sequence[LabelledImage]) -> str:
    official = all(image.official_split == "test" for image in images)
    return "test split" if official else "test part (drawn by group)"


def _of_source(images: Sequence[LabelledImage], source: str) -> tuple[LabelledImage, ...]:
    return tuple(image for image in images if image.source == source)


def _malignant(key: str, title: str, in_source: bool, images: tuple[LabelledImage, ...]) -> EvaluationSet:
    positive = np.array([image.malignant for image in images], dtype=np.bool_)
    return EvaluationSet(key, title, labels_of_sources(images) if images else "", in_source, images, positive)


def _melanoma(key: str, title: str, in_source: bool, images: tuple[LabelledImage, ...]) -> EvaluationSet:
    """Melanoma against benign: other malignant lesions are left out, being neither."""
    kept = tuple(image for image in images if image.melanoma or not image.malignant)
    positive = np.array([image.melanoma for image in kept], dtype=np.bool_)
    return EvaluationSet(key, title, "malignant = melanoma, others left out", in_source, kept, positive)
