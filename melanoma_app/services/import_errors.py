"""What an import could not take: a CSV file beside the input, one line a row."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Protocol, Self

from melanoma_app.errors import ClinicError, InvalidInputError
from melanoma_app.services.import_tables import ImportTable, TableRow
from melanoma_app.services.record_export import neutralise

ENDING: Final = ".errors.csv"


class RefusedRows(Protocol):
    """Where an import puts the rows that it refuses."""

    @property
    def count(self) -> int:
        """How many there are."""

    def add(self, row: TableRow, error: ClinicError) -> None:
        """Take one, with the reason."""

    def flush(self) -> None:
        """Let what was taken so far outlast this process."""


def describe_problem(error: ClinicError) -> tuple[Sequence[str], str]:
    """Which columns are wrong, and why, in one line."""
    message = " ".join(" ".join(texts) for texts in error.fields.values())
    return tuple(error.fields), message or error.message


class ErrorFile:
    """The rows that were refused, with the reasons; the file is there only while there are any.

    It holds what the input holds, so it is readable by its owner alone, and no cell begins a formula.

    Args:
        table: The input.
    """

    def __init__(self, table: ImportTable) -> None:
        self._table = table
        self.path: Path = table.path.with_suffix(ENDING)
        self._count = 0

    def __enter__(self) -> Self:
        """Take the place of the file of an earlier run.

        Raises:
            InvalidInputError: The folder cannot be written.
        """
        try:
            self.path.unlink(missing_ok=True)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise InvalidInputError(
                f"{self.path} cannot be written ({error.strerror}). Put the input into a folder where it can: rows "
                "with errors are listed beside it."
            ) from error
        # As in the exports: the byte order mark is how spreadsheets know UTF-8.
        self._file: IO[str] = os.fdopen(descriptor, "w", encoding="utf-8-sig", newline="")
        self._writer = csv.writer(self._file, quoting=csv.QUOTE_ALL)
        self._writer.writerow(["row", "field", "message", *map(neutralise, self._table.header)])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the file where something stands in it."""
        self._file.close()
        if not self._count:
            self.path.unlink(missing_ok=True)

    @property
    def count(self) -> int:
        """How many rows were refused."""
        return self._count

    def add(self, row: TableRow, error: ClinicError) -> None:
        """Write down why a row was refused."""
        names, message = describe_problem(error)
        fields = "; ".join(map(self._table.field_name, names))
        self._writer.writerow([row.number, *map(neutralise, (fields, message, *row.cells))])
        self._count += 1

    def flush(self) -> None:
        """Let what was written so far outlast this process."""
        self._file.flush()
