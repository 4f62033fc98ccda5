"""Loaders of image collections in the layouts that people have: all give the same records."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ml.training.datasets import LabelledImage, read_manifest
from ml.training.errors import BenchError

IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png"})
_CLASSES: Final = ("benign", "malignant")
_HAM10000_MALIGNANT: Final = {  # Tschandl, Rosendahl, Kittler 2018, table 1
    "akiec": True,  # pre-malignant or in situ: must not be taught as benign
    "bcc": True,
    "bkl": False,
    "df": False,
    "mel": True,
    "nv": False,
    "vasc": False,
}


def load_sources(sources: Sequence[str]) -> tuple[LabelledImage, ...]:
    """Read the records of all collections; image files are not opened.

    Args:
        sources: each KIND:FOLDER, or KIND:FOLDER,FILE.csv where the table lies elsewhere; KIND is a key of
            `LOADERS`.

    Returns:
        Records with paths that hold the folder as it was given.

    Raises:
        BenchError: an unknown kind, a missing folder or file, a folder without images, a missing column, a
            bad label, an image that is named twice, or no image of one class.
    """
    images = [image for source in sources for image in _load_source(source)]
    seen: set[str] = set()
    for image in images:
        if image.path in seen:
            raise BenchError(f"{image.path} is named twice: give every image and every SOURCE once")
        seen.add(image.path)
    for malignant, name in enumerate(_CLASSES):
        if not any(image.malignant == bool(malignant) for image in images):
            raise BenchError(f"no {name} image in {', '.join(sources)}: both classes are needed")
    return tuple(images)


def _load_source(source: str) -> list[LabelledImage]:
    kind, _, place = source.partition(":")
    if kind not in LOADERS or not place:
        raise BenchError(f"SOURCE {source!r} is not KIND:FOLDER with KIND one of {', '.join(LOADERS)}")
    folder, table = Path(place), None
    if place.lower().endswith(".csv") and "," in place:
        before, _, after = place.rpartition(",")
        folder, table = Path(before), Path(after)
    if table and kind not in _WITH_TABLE:
        raise BenchError(f"SOURCE {source!r}: only {' and '.join(_WITH_TABLE)} take a CSV file")
    if not folder.is_dir():
        raise BenchError(f"SOURCE {source!r}: there is no folder {folder}")
    return _WITH_TABLE[kind](folder, table) if kind in _WITH_TABLE else LOADERS[kind](folder)


def _load_folder(folder: Path) -> list[LabelledImage]:
    """benign/ and malignant/: nobody knows the diagnoses, the lesions or the patients."""
    return _load_classes(folder, source=folder.resolve().name, split="", diagnoses=("benign", "malignant"))


def _load_kaggle(folder: Path) -> list[LabelledImage]:
    """train/ and test/ of the Kaggle set, where malignant means melanoma (data README, trap 4)."""
    return [
        image
        for split in ("train", "test")
        for image in _load_classes(
            folder / split,
            source="kaggle_melanoma_10000",
            split=split,
            diagnoses=("benign_unspecified", "melanoma"),
        )
    ]


def _load_classes(
    folder: Path, *, source: str, split: str, diagnoses: tuple[str, str]
) -> list[LabelledImage]:
    images = []
    for name, diagnosis in zip(_CLASSES, diagnoses, strict=True):
        if not (folder / name).is_dir():
            raise BenchError(f"{folder} has no folder {name}/: put the images into benign/ and malignant/")
        images += [
            LabelledImage(
                path=str(path),
                source=source,
                official_split=split,
                diagnosis=diagnosis,
                melanoma=diagnosis == "melanoma",
                malignant=name == "malignant",
                group="",
            )
            for path in _image_files(folder / name)
        ]
    return images


def _load_isic2020(folder: Path, table: Path | None) -> list[LabelledImage]:
    """The challenge's training part: a patient's pictures are one group."""
    columns = ("image_name", "patient_id", "target", "diagnosis")
    files = _files_by_name(folder)
    images = []
    for row, where in _read_table(folder, table, columns):
        if row["target"] not in ("0", "1"):
            raise BenchError(f"{where}: target must be 0 or 1, not {row['target']!r}")
        images.append(
            LabelledImage(
                path=str(files.get(row["image_name"], folder / f"{row['image_name']}.jpg")),
                source="isic2020",
                official_split="train",
                diagnosis=row["diagnosis"],
                melanoma=row["diagnosis"] == "melanoma",
                malignant=row["target"] == "1",
                group=f"isic2020 patient {row['patient_id']}" if row["patient_id"] else "",
                sex=row.get("sex") or "",
                age_years=_age(row.get("age_approx"), where),
                site=row.get("anatom_site_general_challenge") or "",
            )
        )
    return images


def _load_ham10000(folder: Path, table: Path | None) -> list[LabelledImage]:
    """Seven diagnoses: a lesion's pictures are one group."""
    columns = ("lesion_id", "image_id", "dx")
    files = _files_by_name(folder)
    images = []
    for row, where in _read_table(folder, table, columns):
        if row["dx"] not in _HAM10000_MALIGNANT:
            raise BenchError(
                f"{where}: dx must be one of {', '.join(_HAM10000_MALIGNANT)}, not {row['dx']!r}"
            )
        images.append(
            LabelledImage(
                path=str(files.get(row["image_id"], folder / f"{row['image_id']}.jpg")),
                source="ham10000",
                official_split="",
                diagnosis=row["dx"],
                melanoma=row["dx"] == "mel",
                malignant=_HAM10000_MALIGNANT[row["dx"]],
                group=f"ham10000 lesion {row['lesion_id']}" if row["lesion_id"] else "",
                sex=row.get("sex") or "",
                age_years=_age(row.get("age"), where),
                site=row.get("localization") or "",
            )
        )
    return images


def _load_manifest(folder: Path) -> list[LabelledImage]:
    return [replace(image, path=str(folder / image.path)) for image in read_manifest(folder)]


def _image_files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise BenchError(f"{folder} has no images: JPEG and PNG files are taken")
    return files


def _files_by_name(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in _image_files(folder)}


def _read_table(folder: Path, table: Path | None, columns: Sequence[str]) -> list[tuple[dict[str, str], str]]:
    """Rows, each with its place for messages.

    Without `table`, the only CSV file of the folder is taken.
    """
    if table is None:
        tables = sorted(folder.glob("*.csv"))
        if len(tables) != 1:
            raise BenchError(
                f"{folder} has {len(tables)} CSV files instead of one: name it, KIND:{folder},FILE.csv"
            )
        table = tables[0]
    if not table.is_file():
        raise BenchError(f"there is no file {table}")
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = [column for column in columns if column not in (rows.fieldnames or ())]
            if missing:
                raise BenchError(f"{table} lacks the columns {', '.join(missing)}")
            read = [
                ({key: value or "" for key, value in row.items() if key}, f"{table} line {rows.line_num}")
                for row in rows
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"{table} is no CSV file in UTF-8: {error}") from error
    if not read:
        raise BenchError(f"{table} has no rows")
    return read


def _age(text: str | None, where: str) -> float | None:
    if not text or text.lower() in ("na", "nan", "unknown"):
        return None
    try:
        age = float(text)
    except ValueError as error:
        raise BenchError(f"{where}: age must be a number of years, not {text!r}") from error
    return age if 0 <= age <= 120 else None  # ISIC's tables write 0 to 90 in steps of 5


_WITH_TABLE: Final[dict[str, Callable[[Path, Path | None], list[LabelledImage]]]] = {
    "isic2020": _load_isic2020,
    "ham10000": _load_ham10000,
}
LOADERS: Final[dict[str, Callable[[Path], list[LabelledImage]]]] = {
    "folder": _load_folder,
    "kaggle": _load_kaggle,
    "isic2020": lambda folder: _load_isic2020(folder, None),
    "ham10000": lambda folder: _load_ham10000(folder, None),
    "manifest": _load_manifest,
}
