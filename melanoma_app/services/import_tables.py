"""The CSV files of an import: checked as a whole before anything is written, then read row by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO, TypeVar

from melanoma_app.errors import InvalidInputError
from melanoma_app.services.text import tidy_text

LONGEST_LINE: Final = 1_000_000
"""Characters; a longer line is no row of a table, and would fill the memory."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column that an import reads.

    Args:
        name: What the import calls it.
        aliases: Other names for it; the first that a file has is read, the others are passed over.
        is_required: Whether a file must have it.
    """

    name: str
    aliases: tuple[str, ...] = ()
    is_required: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All names, the one that is preferred first."""
        return (self.name, *self.aliases)


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A row of a table.

    Args:
        number: As a spreadsheet counts: the row of column names is 1.
        cells: As they stand in the file.
        values: The tidied cell of each column that is read; empty where the file has no such column.
    """

    number: int
    cells: Sequence[str]
    values: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ImportTable:
    """A CSV file that was read once from end to end and can be read.

    Args:
        path: Where it is; for one that came over the network: what it is called.
        header: The column names as they stand in the file.
        positions: Where each column that is read stands.
        ignored: The names of the columns that are not read.
        row_count: How many rows there are below the column names.
        content: Its bytes, where it came over the network; else they are read from the path.
    """

    path: Path
    header: Sequence[str]
    positions: Mapping[str, int]
    ignored: Sequence[str]
    row_count: int
    content: bytes | None = None

    def rows(self) -> Iterator[TableRow]:
        """The rows one by one; rows of empty cells are passed over."""
        for number, cells in _records(self.path, self.content):
            if number > 1 and any(cells):
                values = {
                    name: tidy_text(cells[place]) if place < len(cells) else ""
                    for name, place in self.positions.items()
                }
                yield TableRow(number=number, cells=cells, values=values)

    def check_width(self, row: TableRow) -> None:
        """Refuse a row whose cells do not stand under their column names.

        Raises:
            InvalidInputError: It has more or fewer cells than there are columns.
        """
        if len(row.cells) != len(self.header):
            raise InvalidInputError(
                f"The row has {len(row.cells)} cells and the table has {len(self.header)} columns. "
                "Put a text that holds a comma in quotes, and leave no cell out."
            )

    def field_name(self, name: str) -> str:
        """What the file calls a column."""
        return self.header[self.positions[name]] if name in self.positions else name


def open_table(
    *, path: Path, columns: Sequence[Column], takes_others: bool = False, content: bytes | None = None
) -> ImportTable:
    """Read a table once to check it, without keeping it in memory.

    Args:
        path: A CSV file: UTF-8 with or without byte order mark, cells between commas, column names in the first row.
        columns: Those that are read.
        takes_others: Whether it may have other columns, too.
        content: The file's bytes, where it came over the network; the path is then what messages call it.

    Raises:
        InvalidInputError: It cannot be read, is empty, or has not the columns that are needed.
    """
    records = _records(path, content)
    _, first = next(records, (1, []))
    if not any(cell.strip() for cell in first):
        raise InvalidInputError(f"{path.name} is empty. Its first row holds the column names.")
    names = [tidy_text(cell).lower() for cell in first]
    positions = _find_columns(path, names, columns)
    read = set(positions.values())
    ignored = [name or f"column {place + 1}" for place, name in enumerate(names) if place not in read]
    if ignored and not takes_others:
        known = ", ".join(column.name for column in columns)
        raise InvalidInputError(
            f"{path.name} has columns that are not known: {', '.join(ignored)}. Take them out; known are {known}."
        )
    row_count = sum(1 for _, cells in records if any(cells))
    if not row_count:
        raise InvalidInputError(f"{path.name} has column names and no rows below them.")
    return ImportTable(
        path=path, header=first, positions=positions, ignored=ignored, row_count=row_count, content=content
    )


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of up to `size` items."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _find_columns(path: Path, names: Sequence[str], columns: Sequence[Column]) -> dict[str, int]:
    if repeated := sorted({name for name in names if name and names.count(name) > 1}):
        raise InvalidInputError(f"{path.name} has two columns of one name: {', '.join(repeated)}.")
    positions = {}
    for column in columns:
        if found := next((name for name in column.names if name in names), None):
            positions[column.name] = names.index(found)
    missing = [
        " or ".join(column.names) for column in columns if column.is_required and column.name not in positions
    ]
    if missing:
        hint = " Put commas between the cells, not semicolons." if any(";" in name for name in names) else ""
        raise InvalidInputError(f"{path.name} has no column {', no column '.join(missing)}.{hint}")
    return positions


def _records(path: Path, content: bytes | None) -> Iterator[tuple[int, list[str]]]:
    """The rows with their numbers.

    Raises:
        InvalidInputError: The file cannot be read to its end.
    """
    number = 0
    try:
        source = path.open("rb") if content is None else io.BytesIO(content)
        with io.TextIOWrapper(source, encoding="utf-8-sig", newline="") as file:
            for number, cells in enumerate(csv.reader(_lines(file), strict=True), start=1):
                yield number, cells
    except OSError as error:
        raise InvalidInputError(f"{path.name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{path.name} is not UTF-8 text (after row {number}). Save it as “CSV UTF-8” and try again."
        ) from error
    except csv.Error as error:
        raise InvalidInputError(
            f"{path.name} is no table after row {number} ({error}). Look for a quote that is not closed."
        ) from error


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise csv.Error("a line without end")
        yield line
