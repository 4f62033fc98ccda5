"""`flask backup …`: everything in one archive, and back again. `docs/backup.md` tells how."""

from __future__ import annotations

import json
from pathlib import Path

import click

from melanoma_app.command_group import CommandGroup, asking, watched
from melanoma_app.extensions import image_storage
from melanoma_app.services.backup import count_files, create_backup, describe_backup
from melanoma_app.services.backup_archive import verify_archive
from melanoma_app.services.backup_encryption import read_key
from melanoma_app.services.backup_restore import find_what_is_there, restore_backup

backup = CommandGroup("backup", help="The database and all photographs, in one archive.")

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_archive = click.argument("archive", type=_FILE)
_key = click.option("--key", "key_file", type=_FILE, help="The file with the key of an encrypted archive.")


@backup.command("create")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--encrypt-with",
    "key_file",
    type=_FILE,
    help="A file with a key. Without it nobody can open the archive.",
)
@click.option(
    "--keep", type=click.IntRange(min=1), help="Remove this installation's archives but the newest so many."
)
@click.option(
    "--binary-log-position",
    "notes_log_position",
    is_flag=True,
    help="Note where the server's binary log stands, for recovery up to a moment (MySQL, MariaDB).",
)
def create_command(folder: Path, key_file: Path | None, keep: int | None, notes_log_position: bool) -> None:
    """Write an archive into FOLDER while the clinic works; the last line of the output is JSON."""
    with watched("Photographs", asking(count_files)) as report:
        made = create_backup(
            folder=folder,
            store=image_storage.store,
            key=read_key(key_file) if key_file else None,
            keep=keep,
            notes_log_position=notes_log_position,
            report=report,
        )
    for key in made.manifest.lost:
        click.echo(f"{key}: on record, but not in the image store", err=True)
    for key in made.manifest.damaged:
        click.echo(f"{key}: damaged in the image store", err=True)
    click.echo(describe_backup(made))
    if made.manifest.lost or made.manifest.damaged:
        raise click.ClickException(
            "The archive was made, but not every photograph is as it was stored. Look for it in older archives; "
            "none of them was removed."
        )


@backup.command("verify")
@_archive
@_key
def verify_command(archive: Path, key_file: Path | None) -> None:
    """Read all of ARCHIVE, and name whatever is damaged, missing or does not belong there."""
    with watched("Reading", archive.stat().st_size) as report:
        manifest, faults = verify_archive(
            archive, key=read_key(key_file) if key_file else None, report=report
        )
    for fault in faults:
        click.echo(f"{fault.member or 'the archive'}: {fault.explanation}", err=True)
    if manifest is None or faults:
        raise click.ClickException("The archive is damaged. Do not rely on it.")
    click.echo(f"The archive of {manifest.made_at} is whole: {_describe(manifest.records, manifest.images)}.")


@backup.command("restore")
@_archive
@_key
@click.option(
    "--replace", "is_replacing", is_flag=True, help="Lose the records that are there. You are asked first."
)
@click.option(
    "--before-binary-log",
    "precedes_log",
    is_flag=True,
    help="Change nothing that was dumped: the server's binary log is played in next.",
)
def restore_command(archive: Path, key_file: Path | None, is_replacing: bool, precedes_log: bool) -> None:
    """Put ARCHIVE back into an empty database and image folder, and check everything; the last line is JSON."""
    key = read_key(key_file) if key_file else None
    replaced = None
    there = asking(lambda: find_what_is_there(store=image_storage.store))
    if is_replacing and there:
        click.echo(f"All records and photographs here are lost: {', '.join(there)}.")
        replaced = click.prompt("Type one of these names to go on")
    with watched("Reading, then restoring", 2 * archive.stat().st_size) as report:
        restored = restore_backup(
            archive=archive,
            store=image_storage.store,
            key=key,
            replaced=replaced,
            precedes_log=precedes_log,
            report=report,
        )
    manifest = restored.manifest
    for fault in restored.faults:
        click.echo(fault, err=True)
    for lost in manifest.lost:
        click.echo(f"{lost}: was not in the image store when the archive was made", err=True)
    click.echo(f"Restored as of {manifest.made_at}: {_describe(manifest.records, manifest.images)}.")
    if position := manifest.log_position:
        click.echo(f"The binary log goes on in {position.file} at {position.position}.")
    click.echo(
        json.dumps(
            {
                "made_at": manifest.made_at,
                "records": sum(manifest.records.values()),
                "images": manifest.images,
                "upgraded_to": restored.upgraded_to,
                "faults": len(restored.faults),
            }
        )
    )
    if restored.faults:
        raise click.ClickException("What was restored is not all as it was: see above.")


def _describe(records: dict[str, int], images: int) -> str:
    return f"{sum(records.values())} rows in {len(records)} tables, {images} files of photographs"
