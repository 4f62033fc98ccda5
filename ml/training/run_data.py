"""The images of a run: the data folder's manifest, or collections of one's own with a split file."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ml.training.config import TrainingConfig
from ml.training.dataset_split import read_split_file
from ml.training.datasets import (
    LabelledImage,
    Split,
    read_manifest,
    require_both_classes,
    split_by_group,
    split_sources,
)
from ml.training.errors import BenchError
from ml.training.files import replacing, write_json
from ml.training.loaders import load_sources

_SOURCES_FILE: Final = "sources.json"
_SPLIT_FILE: Final = "split_file.json"


@dataclass(frozen=True)
class RunData:
    """What a run is trained and judged on.

    Attributes:
        images: all that are known, those of other sources included.
        split: those of the run.
        folder: the images' paths are relative to it.
        config: the run's, with the sources that these images really come from.
        sources: as `ml.training.loaders.load_sources` takes them; empty for the manifest.
        split_file: that divides these sources, or None.
    """

    images: tuple[LabelledImage, ...]
    split: Split
    folder: Path
    config: TrainingConfig
    sources: tuple[str, ...] = ()
    split_file: Path | None = None


def manifest_data(config: TrainingConfig, data_folder: Path) -> RunData:
    """The images of the data folder, divided as the configuration says.

    Raises:
        BenchError: no manifest, a source is unknown, or a part lacks a class.
    """
    images = read_manifest(data_folder)
    split = split_sources(
        images,
        sources=config.sources,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        left_out_source=config.left_out_source,
        seed=config.seed,
    )
    return RunData(images=images, split=split, folder=data_folder, config=config)


def own_data(config: TrainingConfig, sources: Sequence[str], split_file: Path) -> RunData:
    """Images of one's own, divided by a file of `python -m ml dataset split`.

    A file without validation part (80/20) has it cut from the training part, by group.

    Raises:
        BenchError: a source or the file cannot be read, a group stands twice, or a part lacks a class.
    """
    parts = read_split_file(split_file, load_sources(sources))
    if "validation" in parts:
        train, validation = parts["train"], parts["validation"]
    else:
        train, validation = split_by_group(
            parts["train"], validation_fraction=config.validation_fraction, seed=config.seed
        )
    split = Split(train=tuple(train), validation=tuple(validation), test=tuple(parts["test"]), dropped=())
    require_both_classes(split)
    images = (*split.train, *split.validation, *split.test)
    return RunData(
        images=images,
        split=split,
        folder=Path(),
        config=replace(config, sources=tuple(sorted({image.source for image in images})), left_out_source=""),
        sources=tuple(sources),
        split_file=split_file,
    )


def remember_data(run_folder: Path, data: RunData) -> None:
    """Keep in the run's folder where images of one's own come from, for `images_of_run`."""
    if data.split_file is None:
        return
    with replacing(run_folder / _SPLIT_FILE) as temporary:
        shutil.copyfile(data.split_file, temporary)
    write_json(run_folder / _SOURCES_FILE, {"sources": list(data.sources)})


def images_of_run(run_folder: Path, data_folder: Path) -> tuple[tuple[LabelledImage, ...], Path]:
    """All images a run may be judged on, and the folder that their paths are relative to.

    Args:
        run_folder: of the run.
        data_folder: with manifest.csv, for runs on it.

    Raises:
        BenchError: they cannot be read any more.
    """
    path = run_folder / _SOURCES_FILE
    if not path.is_file():
        return read_manifest(data_folder), data_folder
    try:
        sources = [str(source) for source in json.loads(path.read_text(encoding="utf-8"))["sources"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path} is damaged ({error}): train the run again") from error
    parts = read_split_file(run_folder / _SPLIT_FILE, load_sources(sources))
    return tuple(image for part in parts.values() for image in part), Path()
