"""Labelled images: the data folder's manifest.csv, and splits in which no group stands on two sides."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.training.errors import BenchError

MANIFEST_FILE: Final = "manifest.csv"
_COLUMNS: Final = ("path", "source", "official_split", "diagnosis", "melanoma", "malignant", "group")


@dataclass(frozen=True)
class LabelledImage:
    """One row of the data's manifest.

    Attributes:
        path: relative to the data folder.
        source: the collection it comes from.
        official_split: the part its publisher put it in ("train", "test", ...), or empty.
        diagnosis: as the collection names it.
        melanoma: whether it is one.
        malignant: melanoma, basal cell carcinoma or actinic keratosis / intraepithelial carcinoma.
        group: the same for pictures of one lesion (or patient) and for near-identical pictures, across all
            sources; empty where nobody knows, until `ml.training.twins.join_groups` has named it.
        sex: of the patient as the collection writes it, or empty.
        age_years: of the patient at the photograph, or None.
        site: where on the body, as the collection writes it, or empty.
    """

    path: str
    source: str
    official_split: str
    diagnosis: str
    melanoma: bool
    malignant: bool
    group: str
    sex: str = ""
    age_years: float | None = None
    site: str = ""


@dataclass(frozen=True)
class Split:
    """Training and validation images of one run, and the test images that were kept apart from both.

    Attributes:
        train: images the weights are fitted to.
        validation: images that choose the epoch and the threshold.
        test: the sources' official test splits, or what was drawn of them.
        dropped: images left out because their group stands among the test images or in a left-out source.
    """

    train: tuple[LabelledImage, ...]
    validation: tuple[LabelledImage, ...]
    test: tuple[LabelledImage, ...]
    dropped: tuple[LabelledImage, ...]


def read_manifest(folder: Path) -> tuple[LabelledImage, ...]:
    """Read all rows of a data folder's manifest.csv.

    Raises:
        BenchError: the folder or file is missing, a column is missing, or a label is not 0 or 1.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise BenchError(
            f"no {MANIFEST_FILE} in {folder}: point --data or MELANOMA_DATA to the folder of the images"
        )
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        missing = [column for column in _COLUMNS if column not in (rows.fieldnames or ())]
        if missing:
            raise BenchError(f"{path} lacks the columns {', '.join(missing)}: see the README beside it")
        images = tuple(_parse_row(row, f"{path} line {rows.line_num}") for row in rows)
    if not images:
        raise BenchError(f"{path} has no rows: it must name at least one image")
    return images


def labels_of(images: Sequence[LabelledImage]) -> NDArray[np.float32]:
    """Malignant as float32 (images,), 0 or 1."""
    return np.array([image.malignant for image in images], dtype=np.float32)


def without_groups_of(
    images: Iterable[LabelledImage], held_out: Iterable[LabelledImage]
) -> tuple[LabelledImage, ...]:
    """Images whose group does not occur among `held_out`."""
    groups = {image.group for image in held_out}
    return tuple(image for image in images if image.group not in groups)


def split_by_group(
    images: Sequence[LabelledImage], *, validation_fraction: float, seed: int
) -> tuple[tuple[LabelledImage, ...], tuple[LabelledImage, ...]]:
    """Split into training and validation images, whole groups at a time, stratified by label and source.

    Groups are drawn at random within each stratum (a group with one malignant picture counts as malignant; one
    with pictures of several sources belongs to these sources together) and go to validation as long as they
    bring it nearer to its share. So validation misses its share of a stratum by at most half of the stratum's
    largest group.

    Args:
        images: any order; the result depends on their paths and the seed only.
        validation_fraction: part of each stratum's images that goes to validation, between 0 and 1.
        seed: of the draw.

    Returns:
        Training and validation images, each in order of path.
    """
    groups: defaultdict[str, list[LabelledImage]] = defaultdict(list)
    for image in sorted(images, key=lambda image: image.path):
        groups[image.group].append(image)
    generator = np.random.default_rng(seed)
    validation_groups: set[str] = set()
    strata: defaultdict[tuple[bool, tuple[str, ...]], list[str]] = defaultdict(list)
    for name, members in groups.items():
        sources = tuple(sorted({member.source for member in members}))
        strata[any(member.malignant for member in members), sources].append(name)
    for _, stratum in sorted(strata.items()):
        wanted = validation_fraction * sum(len(groups[name]) for name in stratum)
        taken = 0
        for name in generator.permutation(np.array(sorted(stratum), dtype=object)):
            size = len(groups[name])
            if abs(taken + size - wanted) < abs(taken - wanted):
                validation_groups.add(name)
                taken += size
    ordered = [image for members in groups.values() for image in members]
    ordered.sort(key=lambda image: image.path)
    return (
        tuple(image for image in ordered if image.group not in validation_groups),
        tuple(image for image in ordered if image.group in validation_groups),
    )


def split_sources(
    images: Sequence[LabelledImage],
    *,
    sources: Sequence[str],
    validation_fraction: float,
    test_fraction: float,
    left_out_source: str = "",
    seed: int,
) -> Split:
    """Split collections into training, validation and test images; no group stands in two of the parts.

    The official test split of a source is its test part; of a source without one, a part is drawn by group.

    Args:
        images: all rows of the data's manifest.
        sources: to train on.
        validation_fraction: part of what is not tested on that is held out, between 0 and 1.
        test_fraction: part of a source without official test split that is tested on, between 0 and 1.
        left_out_source: images that share a group with this collection are dropped from training and
            validation; empty: none.
        seed: of the draws.

    Raises:
        BenchError: a source is unknown, or a part lacks a class.
    """
    known = sorted({image.source for image in images})
    for source in (*sources, *([left_out_source] if left_out_source else [])):
        if source not in known:
            raise BenchError(f"no source {source!r} in the manifest (sources: {', '.join(known)})")
    test: list[LabelledImage] = []
    rest: list[LabelledImage] = []
    for source in sources:
        of_source = [image for image in images if image.source == source]
        official = [image for image in of_source if image.official_split == "test"]
        if official:
            test += official
            rest += [image for image in of_source if image.official_split != "test"]
        else:
            kept, drawn = split_by_group(of_source, validation_fraction=test_fraction, seed=seed)
            test += drawn
            rest += kept
    left_out = [image for image in images if image.source == left_out_source]
    kept_apart = without_groups_of(rest, [*test, *left_out])
    train, validation = split_by_group(kept_apart, validation_fraction=validation_fraction, seed=seed)
    paths = {image.path for image in kept_apart}
    split = Split(
        train=train,
        validation=validation,
        test=tuple(test),
        dropped=tuple(image for image in rest if image.path not in paths),
    )
    require_both_classes(split)
    return split


def require_both_classes(split: Split) -> None:
    """Refuse a split of which a part lacks a class.

    Raises:
        BenchError: it does; the message names the part.
    """
    for name, part in (("training", split.train), ("validation", split.validation), ("test", split.test)):
        if len({image.malignant for image in part}) < 2:
            raise BenchError(f"the {name} part lacks a class: it needs benign and malignant images")


def _parse_row(row: dict[str, str], where: str) -> LabelledImage:
    for column in ("melanoma", "malignant"):
        if row[column] not in ("0", "1"):
            raise BenchError(f"{where}: {column} must be 0 or 1, not {row[column]!r}")
    if not row["path"] or not row["group"]:
        raise BenchError(f"{where}: path and group must not be empty")
    return LabelledImage(
        path=row["path"],
        source=row["source"],
        official_split=row["official_split"] or "",
        diagnosis=row["diagnosis"],
        melanoma=row["melanoma"] == "1",
        malignant=row["malignant"] == "1",
        group=row["group"],
    )
