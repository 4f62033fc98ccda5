"""The manifest of an image import: ISIC's columns, and what a row says of a photograph."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from melanoma_app.errors import InvalidInputError
from melanoma_app.models.vocabulary import AnatomSiteGeneral, ImageType
from melanoma_app.services.actor import Actor
from melanoma_app.services.examinations import captured_on_day
from melanoma_app.services.import_cells import parse_day, parse_word
from melanoma_app.services.import_tables import Column, TableRow
from melanoma_app.services.photographs import check_size
from melanoma_app.services.text import tidy_mrn

MANIFEST_COLUMNS: Final = (
    Column(name="image", aliases=("image_name", "isic_id"), is_required=True),
    Column(name="mrn", aliases=("patient_id",), is_required=True),
    Column(name="anatom_site_general", aliases=("anatom_site_general_challenge",), is_required=True),
    Column(name="lesion_id"),
    Column(name="image_type"),
    Column(name="captured_on", aliases=("acquisition_day",)),
    Column(name="clin_size_long_diam_mm"),
)
LONGEST_LESION_ID: Final = 100
"""Characters."""
_COUNT: Final = re.compile(r"\d+(\.0+)?", re.ASCII)
_SITES: Final = ", ".join(AnatomSiteGeneral)


@dataclass(frozen=True, kw_only=True)
class ListedPhotograph:
    """What a row of the manifest says.

    Args:
        row: The row.
        file_name: Of the photograph, with or without its ending.
        mrn: Whose it is.
        source_lesion: What the source calls the lesion; empty where it does not say.
        site: Where the lesion is.
        image_type: How it was taken.
        captured_at: When; None for today.
        size_mm: The lesion's longest diameter.
    """

    row: TableRow
    file_name: str
    mrn: str
    source_lesion: str
    site: AnatomSiteGeneral
    image_type: ImageType
    captured_at: datetime | None
    size_mm: float | None


def read_listed(row: TableRow, *, default_day: date | None, actor: Actor) -> ListedPhotograph:
    """Read a row of the manifest.

    Args:
        row: The row.
        default_day: When photographs were taken whose row does not say.
        actor: Who imports; days are those of the clinic's time zone.

    Raises:
        InvalidInputError: Some cells cannot be right; `fields` names every one.
    """
    problems: dict[str, list[str]] = {}

    def attempt(parse: Callable[[Mapping[str, str]], Any]) -> Any:
        try:
            return parse(row.values)
        except InvalidInputError as error:
            problems.update(error.fields)

    file_name = attempt(lambda values: _needed(values, "image"))
    mrn = attempt(lambda values: _needed(values, "mrn"))
    site = attempt(_parse_site)
    lesion = attempt(_parse_lesion)
    image_type = attempt(_parse_type)
    day = attempt(lambda values: _parse_captured_on(values, default_day))
    size_mm = attempt(_parse_size)
    if problems:
        raise InvalidInputError("Some values need another look.", fields=problems)
    return ListedPhotograph(
        row=row,
        file_name=file_name,
        mrn=tidy_mrn(mrn),
        source_lesion=lesion,
        site=site,
        image_type=image_type,
        captured_at=captured_on_day(day, actor=actor),
        size_mm=size_mm,
    )


def _needed(values: Mapping[str, str], field: str) -> str:
    if text := values[field]:
        return text
    raise _refused(field, "The cell is empty.")


def _parse_site(values: Mapping[str, str]) -> AnatomSiteGeneral:
    field = "anatom_site_general"
    text = values[field]
    if text.lower() == "torso":
        raise _refused(
            field,
            "“torso” does not say which side of it. "
            "Write anterior torso (front), posterior torso (back) or lateral torso.",
        )
    if text.lower() in ("", "nan", "unknown"):
        raise _refused(field, f"The record needs to know where the lesion is. Write one of: {_SITES}.")
    return parse_word(text, vocabulary=AnatomSiteGeneral, field=field)


def _parse_lesion(values: Mapping[str, str]) -> str:
    text = values.get("lesion_id", "")
    if len(text) > LONGEST_LESION_ID:
        raise _refused("lesion_id", f"The name of a lesion has up to {LONGEST_LESION_ID} characters.")
    return "" if text.lower() == "nan" else text


def _parse_type(values: Mapping[str, str]) -> ImageType:
    text = values.get("image_type", "")
    return parse_word(text, vocabulary=ImageType, field="image_type") if text else ImageType.DERMOSCOPIC


def _parse_captured_on(values: Mapping[str, str], default_day: date | None) -> date:
    text = values.get("captured_on", "")
    # ISIC's acquisition_day is a number: it counts from a day that nobody is told.
    if text.lower() not in ("", "nan") and not _COUNT.fullmatch(text):
        return parse_day(text, field="captured_on")
    if default_day is not None:
        return default_day
    raise _refused(
        "captured_on",
        f"“{text[:20]}” counts days from one that is not known. Write the date, or give one day for all such rows."
        if text
        else "Write the day on which the photograph was taken, or give one day for all such rows.",
    )


def _parse_size(values: Mapping[str, str]) -> float | None:
    text = values.get("clin_size_long_diam_mm", "")
    if text.lower() in ("", "nan"):
        return None
    try:
        return check_size(float(text))
    except ValueError:
        return check_size(math.nan)


def _refused(field: str, message: str) -> InvalidInputError:
    return InvalidInputError(message, fields={field: [message]})
