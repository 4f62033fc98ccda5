"""`flask import …`: the records that a clinic brings along on its first day. `docs/import.md` tells how."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from sqlalchemy.exc import OperationalError

from melanoma_app.command_group import CommandGroup, find_active_user
from melanoma_app.errors import UnavailableError
from melanoma_app.job_commands import tell_of_new
from melanoma_app.services.actor import Actor
from melanoma_app.services.image_import import import_images
from melanoma_app.services.image_import_files import photographs_in
from melanoma_app.services.image_import_jobs import start_image_import
from melanoma_app.services.image_manifest import MANIFEST_COLUMNS
from melanoma_app.services.import_errors import ErrorFile
from melanoma_app.services.import_tables import Column, ImportTable, open_table
from melanoma_app.services.patient_import import PATIENT_COLUMNS, import_patients

imports = CommandGroup("import", help="Records that a clinic brings along: patients, then photographs.")

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_by = click.option("--by", "username", required=True, help="Who imports, by user name.")
_dry_run = click.option(
    "--dry-run", "is_dry_run", is_flag=True, help="Check every row, and write nothing but the errors."
)


@imports.command("patients")
@click.argument("file", type=_FILE)
@_by
@_dry_run
def import_patients_command(file: Path, username: str, is_dry_run: bool) -> None:
    """Register the patients of a CSV file; those who are there already are left as they are."""
    with _opened(file, PATIENT_COLUMNS, takes_others=False) as (table, errors, on_rows):
        summary = import_patients(
            table=table,
            errors=errors,
            actor=Actor(user=find_active_user(username)),
            is_dry_run=is_dry_run,
            on_rows=on_rows,
        )
    done = "would be registered" if is_dry_run else "registered"
    click.echo(
        f"{_rows(table)}: {summary.registered} {done}, {summary.already_there} already there, "
        f"{summary.refused} with errors.{_nothing_written(is_dry_run)}"
    )
    _exit(errors)


@imports.command("images")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--manifest", type=_FILE, required=True, help="The CSV file that lists the photographs.")
@_by
@click.option(
    "--captured-on",
    "default_day",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    help="The day of photographs whose row names none, as 2026-03-31.",
)
@_dry_run
@click.option(
    "--in-background", "is_job", is_flag=True, help="Begin a job, and leave the work to it: see `flask jobs`."
)
def import_images_command(
    folder: Path, manifest: Path, username: str, default_day: datetime | None, is_dry_run: bool, is_job: bool
) -> None:
    """Take in the photographs of a folder that a manifest lists; those that are there already are passed over."""
    if is_job and is_dry_run:
        raise click.UsageError("A dry run writes nothing, so it is no job. Leave one of the two out.")
    if is_job:
        day = default_day.date() if default_day else None
        actor = Actor(user=find_active_user(username))
        tell_of_new(start_image_import(manifest=manifest, folder=folder, default_day=day, actor=actor))
        return
    with _opened(manifest, MANIFEST_COLUMNS, takes_others=True) as (table, errors, on_rows):
        summary = import_images(
            table=table,
            photographs=photographs_in(folder),
            errors=errors,
            actor=Actor(user=find_active_user(username)),
            default_day=default_day.date() if default_day else None,
            is_dry_run=is_dry_run,
            on_rows=on_rows,
        )
    done = "would be taken in" if is_dry_run else "taken in"
    ignored = f" Columns not read: {', '.join(table.ignored)}." if table.ignored else ""
    overridden = "" if is_dry_run else f", {summary.overridden} against the quality gate"
    click.echo(
        f"{_rows(table)}: {summary.added} {done} ({summary.unscored} without consent to a model's result{overridden}), "
        f"{summary.already_there} already there, {summary.refused} with errors.{ignored}{_nothing_written(is_dry_run)}"
    )
    _exit(errors)


@contextmanager
def _opened(
    path: Path, columns: Sequence[Column], *, takes_others: bool
) -> Iterator[tuple[ImportTable, ErrorFile, Callable[[int], object]]]:
    """The table, its error file, and a progress bar where somebody watches."""
    table = open_table(path=path, columns=columns, takes_others=takes_others)
    watched = sys.stderr.isatty()
    bar = click.progressbar(
        length=table.row_count, label="Rows", show_pos=True, file=sys.stderr, hidden=not watched
    )
    # As Ctrl-C does: what is half done is undone before the process ends.
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        with ErrorFile(table) as errors, bar:
            yield table, errors, bar.update
    except OperationalError as error:
        raise UnavailableError(
            "The database does not answer. What was imported so far stays: give the same command again to go on."
        ) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _rows(table: ImportTable) -> str:
    return f"{table.row_count} {'row' if table.row_count == 1 else 'rows'}"


def _nothing_written(is_dry_run: bool) -> str:
    return " This was a dry run: nothing was imported." if is_dry_run else ""


def _exit(errors: ErrorFile) -> None:
    if errors.count:
        raise click.ClickException(f"Rows with errors are listed in {errors.path}, with the reasons.")
