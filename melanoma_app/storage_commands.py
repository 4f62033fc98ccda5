"""`flask storage …`: what the image store holds beside the photographs on record. `docs/privacy.md` tells why."""

from __future__ import annotations

import click

from melanoma_app.command_group import CommandGroup
from melanoma_app.extensions import image_storage
from melanoma_app.services.file_removal import sweep_storage

storage = CommandGroup("storage", help="The files of the photographs.")


@storage.command("sweep")
@click.option("--delete", "is_deleting", is_flag=True, help="Remove the files that no record refers to.")
def sweep_command(is_deleting: bool) -> None:
    """Remove what erasures have left, and name the files that no record refers to."""
    found = sweep_storage(store=image_storage.store, is_deleting=is_deleting)
    click.echo(f"{_count(found.removed)} of erased records removed, {_count(found.unfinished)} half-written.")
    for key in found.orphans:
        click.echo(f"{key}\t{'removed' if is_deleting else 'no record refers to it'}")
    if found.left:
        raise click.ClickException(
            f"{_count(found.left)} of erased records could not be removed. Make the folder writable, then sweep again."
        )


def _count(number: int) -> str:
    return f"{number} file" if number == 1 else f"{number} files"
