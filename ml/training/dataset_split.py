"""A split written to a file: parts by group, stratified by class and source, and a reader that trusts nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ml.training.datasets import LabelledImage, split_by_group
from ml.training.errors import BenchError
from ml.training.files import write_json

PART_NAMES: Final = {2: ("train", "test"), 3: ("train", "validation", "test")}
_WHOLE: Final = 100  # percent

Parts = Mapping[str, Sequence[LabelledImage]]


def parse_fractions(text: str) -> tuple[int, ...]:
    """Percentages such as 70/15/15 (train, validation, test) or 80/20 (train, test).

    Raises:
        BenchError: not two or three whole numbers from 1 on that add up to 100.
    """
    numbers = text.split("/")
    percents = tuple(int(one) for one in numbers if one.isascii() and one.isdigit())
    if len(percents) != len(numbers) or len(percents) not in PART_NAMES:
        raise BenchError(f"--fractions {text!r} is not two or three whole numbers, such as 70/15/15 or 80/20")
    if min(percents) < 1 or sum(percents) != _WHOLE:
        raise BenchError(f"--fractions {text!r} must be 1 or more each and add up to {_WHOLE}")
    return percents


def split_into_parts(
    images: Sequence[LabelledImage], *, percents: tuple[int, ...], seed: int
) -> dict[str, tuple[LabelledImage, ...]]:
    """Split into train, (validation,) test by group; the publishers' official splits are not looked at.

    Args:
        images: with a group each.
        percents: of the parts, in their order, as `parse_fractions` gives them.
        seed: of the draw; the result depends on it, the paths and the groups only.

    Raises:
        BenchError: a part would lack a class.
    """
    names = PART_NAMES[len(percents)]
    parts: dict[str, tuple[LabelledImage, ...]] = {}
    rest: Sequence[LabelledImage] = images
    left = _WHOLE
    for name, percent in reversed(list(zip(names[1:], percents[1:], strict=True))):
        rest, parts[name] = split_by_group(rest, validation_fraction=percent / left, seed=seed)
        left -= percent
    parts[names[0]] = tuple(rest)
    for name in names:
        if len({image.malignant for image in parts[name]}) < 2:
            raise BenchError(
                f"the {name} part would lack a class: more groups of benign and malignant images are needed"
            )
    return {name: parts[name] for name in names}


def write_split_file(
    path: Path, parts: Parts, *, sources: Sequence[str], percents: Sequence[int], seed: int
) -> None:
    """Write a split as JSON, whole or not at all."""
    write_json(
        path,
        {
            "sources": list(sources),
            "percents": list(percents),
            "seed": seed,
            "parts": {
                name: [{"path": image.path, "group": image.group} for image in images]
                for name, images in parts.items()
            },
        },
    )


def read_split_file(path: Path, images: Sequence[LabelledImage]) -> dict[str, tuple[LabelledImage, ...]]:
    """Read a split's parts.

    Args:
        path: of the file.
        images: of the same SOURCEs; their groups give way to those in the file, which know the twins.

    Raises:
        BenchError: no split file, an image that is not among `images` or stands twice, a group in two parts.
    """
    known = {image.path: image for image in images}
    parts: dict[str, tuple[LabelledImage, ...]] = {}
    part_of_group: dict[str, str] = {}
    seen: set[str] = set()
    for name, rows in _read_rows(path).items():
        for row_path, group in rows:
            if row_path not in known:
                raise BenchError(
                    f"{path}: {row_path} is not among the images: give the SOURCEs it was made of"
                )
            if row_path in seen:
                raise BenchError(f"{path}: {row_path} stands twice: make the split again")
            seen.add(row_path)
            if part_of_group.setdefault(group, name) != name:
                raise BenchError(
                    f"{path}: group {group!r} stands in {part_of_group[group]} and in {name}: make the split again"
                )
        parts[name] = tuple(replace(known[row_path], group=group) for row_path, group in rows)
    return parts


def _read_rows(path: Path) -> dict[str, list[tuple[str, str]]]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        rows = {
            str(name): [(str(row["path"]), str(row["group"])) for row in part]
            for name, part in content["parts"].items()
        }
    except FileNotFoundError as error:
        raise BenchError(
            f"there is no split file {path}: make one with python -m ml dataset split"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchError(f"{path} is no split file: make one with python -m ml dataset split") from error
    if tuple(rows) not in PART_NAMES.values():
        raise BenchError(f"{path} has the parts {', '.join(rows)}, which no split of this bench has")
    return rows
