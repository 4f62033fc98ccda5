"""`flask storage …`: the files of the photographs, in a folder or a bucket. `docs/storage.md` tells how."""

from __future__ import annotations

import re
from pathlib import Path

import click

from config import BUCKET_ADDRESS
from melanoma_app.command_group import CommandGroup, asking, watched
from melanoma_app.errors import UnavailableError
from melanoma_app.extensions import image_storage
from melanoma_app.services.backup import count_files
from melanoma_app.services.file_removal import sweep_storage
from melanoma_app.services.storage_check import StorageFault, find_storage_faults
from melanoma_app.services.storage_move import MoveSummary, move_files
from melanoma_app.services.upload_tidying import tidy_uploads
from melanoma_app.storage import S3_SCHEME

storage = CommandGroup("storage", help="The files of the photographs.")


@storage.command("sweep")
@click.option("--delete", "is_deleting", is_flag=True, help="Remove the files that no record refers to.")
def sweep_command(is_deleting: bool) -> None:
    """Remove what erasures and forgotten uploads have left, and name the files that no record refers to."""
    tidy_uploads(store=image_storage.store)
    found = sweep_storage(store=image_storage.store, is_deleting=is_deleting)
    click.echo(f"{_count(found.removed)} of erased records removed, {_count(found.unfinished)} half-written.")
    for key in found.orphans:
        click.echo(f"{key}\t{'removed' if is_deleting else 'no record refers to it'}")
    if found.left:
        raise click.ClickException(
            f"{_count(found.left)} of erased records could not be removed. Make the store writable, then sweep again."
        )


@storage.command("verify")
def verify_command() -> None:
    """Read every file on record, and name those that are missing, damaged or of the wrong size."""
    faults = 0
    with watched("Reading", asking(count_files)) as report:
        for fault in find_storage_faults(store=image_storage.store, report=report):
            _name(fault)
            faults += 1
    if faults:
        raise click.ClickException(
            f"{_count(faults)} on record cannot be relied on. Take each from a backup (docs/storage.md)."
        )
    click.echo("Every file on record is as it was stored.")


@storage.command("move")
@click.option(
    "--to", "target", help="Copy from the present store to this one: s3://bucket/prefix, or a folder."
)
@click.option(
    "--from", "source", help="Copy from this one to the present store, after the setting was switched."
)
@click.option(
    "--delete-old",
    "is_removing",
    is_flag=True,
    help="With --from: remove what was found whole at the new place.",
)
def move_command(target: str | None, source: str | None, is_removing: bool) -> None:
    """Copy every file to another store and check it; give it again to go on where it ended."""
    other = _read_place(target or source or "")
    if (target is None) == (source is None):
        raise click.UsageError("Say where to with --to, or where from with --from.")
    if target is not None and is_removing:
        raise click.UsageError(
            f"Photographs are read from the old place as long as the setting names it. {_switch_to(other)} Then: "
            f"flask storage move --from {image_storage.place} --delete-old"
        )
    _check_differs(other)
    present, there = image_storage.store, image_storage.open(other)
    with watched("Copying", asking(count_files)) as report:
        try:
            summary = move_files(
                source=present if target else there,
                target=there if target else present,
                is_removing=is_removing,
                on_fault=_name,
                report=report,
            )
        except UnavailableError as error:
            raise UnavailableError(
                f"{error.message} What was copied stays: give the command again."
            ) from error
    _conclude(summary)
    click.echo(_say_what_next(other) if target else _say_what_is_left(other, is_removing))


def _read_place(place: str) -> str:
    if place.startswith(S3_SCHEME):
        if not re.match(BUCKET_ADDRESS, place):
            raise click.UsageError(f"{place} is not a bucket such as s3://clinic-images/photographs.")
        return place
    return str(Path(place).absolute())


def _check_differs(other: str) -> None:
    present = image_storage.place
    is_same = other.rstrip("/") == present.rstrip("/")
    if not is_same and not {other[: len(S3_SCHEME)], present[: len(S3_SCHEME)]} & {S3_SCHEME}:
        # Also where one folder has two names.
        is_same = Path(other).exists() and Path(present).exists() and Path(other).samefile(present)
    if is_same:
        raise click.UsageError(f"{other} is where the photographs are already.")


def _conclude(summary: MoveSummary) -> None:
    click.echo(f"{_count(summary.copied)} copied, {_count(summary.already_there)} were there already.")
    if summary.removed:
        click.echo(f"{_count(summary.removed)} removed from the old place.")
    if summary.refused:
        raise click.ClickException(
            f"{_count(summary.refused)} could not be moved, and stay where they were. Take each from a backup, then "
            "give the command again."
        )


def _say_what_next(other: str) -> str:
    present = image_storage.place
    return (
        f"Photographs still go to {present}, and nothing was removed from there. Next:\n"
        f"1. {_switch_to(other)}\n"
        f"2. flask storage move --from {present}   (what was taken in meanwhile)\n"
        "3. flask storage verify\n"
        f"4. flask storage move --from {present} --delete-old\n"
        "5. A day later: flask storage sweep --delete   (what was erased meanwhile)"
    )


def _say_what_is_left(other: str, is_removing: bool) -> str:
    if is_removing:
        return f"Nothing that is on record is needed from {other} any more."
    return f"Nothing was removed from {other}. After `flask storage verify`, --delete-old does that."


def _switch_to(place: str) -> str:
    setting = (
        f"IMAGE_STORE_URL={place}"
        if place.startswith(S3_SCHEME)
        else f"IMAGE_FOLDER={place} and no IMAGE_STORE_URL"
    )
    return f"Set {setting}, and start every web and worker process again."


def _name(fault: StorageFault) -> None:
    click.echo(f"{fault.key}\t{fault.explanation}")


def _count(number: int) -> str:
    return f"{number} file" if number == 1 else f"{number} files"
