"""The manifest of a bulk upload: checked as a whole, so that nobody sends photographs in vain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from melanoma_app.errors import ClinicError, InvalidInputError
from melanoma_app.services.actor import Actor
from melanoma_app.services.image_import_record import read_record
from melanoma_app.services.image_manifest import MANIFEST_COLUMNS, ListedPhotograph, read_listed
from melanoma_app.services.import_errors import describe_problem
from melanoma_app.services.import_tables import ImportTable, batches, open_table
from melanoma_app.services.upload_staging import ENDINGS, fold_name

MOST_ROWS: Final = 10_000
"""A manifest of so many rows is about as large as a form's texts may be."""
PROBLEMS_NAMED: Final = 20
_ROWS_A_QUERY: Final = 500
_CALLED: Final = Path("The manifest")


@dataclass(frozen=True, kw_only=True)
class CheckedRow:
    """A row of a manifest that was found to be right.

    Args:
        number: As a spreadsheet counts.
        folded_name: Of the photograph's file, as names are compared.
        patient_id: Whose it is.
        cells: What the row says of the photograph, without MRN and file name.
    """

    number: int
    folded_name: str
    patient_id: int
    cells: Mapping[str, str]


def read_manifest(content: bytes, *, default_day: date | None, actor: Actor) -> list[CheckedRow]:
    """Read a manifest, and hold every row to the rules that need no photograph.

    Args:
        content: A CSV file with MANIFEST_COLUMNS.
        default_day: When photographs were taken whose row does not say.
        actor: Who uploads.

    Raises:
        InvalidInputError: It cannot be right; `fields["manifest"]` names the rows, up to PROBLEMS_NAMED.
    """
    try:
        table = open_table(path=_CALLED, columns=MANIFEST_COLUMNS, takes_others=True, content=content)
    except InvalidInputError as error:
        raise InvalidInputError(error.message, fields={"manifest": [error.message]}) from error
    if table.row_count > MOST_ROWS:
        message = f"The manifest has {table.row_count:,} rows; up to {MOST_ROWS:,} are taken at once. Send it in parts."
        raise InvalidInputError(message, fields={"manifest": [message]})
    problems: dict[int, str] = {}
    listed = _read_rows(table, default_day, actor, problems)
    _check_names(listed, problems)
    patients = _find_patients(listed, actor, problems)
    if problems:
        raise _refused(problems)
    return [
        CheckedRow(
            number=one.row.number,
            folded_name=fold_name(one.file_name),
            patient_id=patients[one.row.number],
            cells={name: text for name, text in one.row.values.items() if name not in ("image", "mrn")},
        )
        for one in listed
    ]


def _read_rows(
    table: ImportTable, default_day: date | None, actor: Actor, problems: dict[int, str]
) -> list[ListedPhotograph]:
    listed = []
    for row in table.rows():
        try:
            table.check_width(row)
            listed.append(read_listed(row, default_day=default_day, actor=actor))
        except ClinicError as error:
            problems[row.number] = describe_problem(error)[1]
    return listed


def _check_names(listed: Sequence[ListedPhotograph], problems: dict[int, str]) -> None:
    """Refuse names by which a file could not be told from another: it would come to the wrong patient."""
    names = {one.file_name for one in listed}
    folded: dict[str, set[str]] = {}
    for name in names:
        folded.setdefault(fold_name(name), set()).add(name)
    for one in listed:
        name = fold_name(one.file_name)
        stem, _, ending = name.rpartition(".")
        if "/" in name or "\\" in name:
            problems[one.row.number] = (
                "A browser sends files without their folders. Give the file's name alone."
            )
        elif len(folded[name]) > 1 or (ending in ENDINGS and stem in folded):
            problems[one.row.number] = (
                "Another row has nearly the same file name. Give each file a name of its own."
            )


def _find_patients(
    listed: Iterable[ListedPhotograph], actor: Actor, problems: dict[int, str]
) -> dict[int, int]:
    """The patient of each row, by the row's number, as far as the record takes the photograph now."""
    found = {}
    for some in batches(listed, _ROWS_A_QUERY):
        record = read_record(batch=[(one, "") for one in some], actor=actor)
        for one in some:
            try:
                record.check(one)
                found[one.row.number] = record.find_patient(one).id
            except ClinicError as error:
                problems.setdefault(one.row.number, describe_problem(error)[1])
    return found


def _refused(problems: Mapping[int, str]) -> InvalidInputError:
    named = [f"Row {number}: {problems[number]}" for number in sorted(problems)[:PROBLEMS_NAMED]]
    if len(problems) > PROBLEMS_NAMED:
        named.append(f"And {len(problems) - PROBLEMS_NAMED:,} more rows.")
    rows = "1 row needs" if len(problems) == 1 else f"{len(problems):,} rows need"
    return InvalidInputError(
        f"{rows} another look, so nothing was kept. Correct the manifest and send it again.",
        fields={"manifest": named},
    )
