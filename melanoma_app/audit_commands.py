"""`flask audit …`: whether the log is whole, where it ends, and the rights a database account needs to leave it so."""

from __future__ import annotations

from pathlib import Path

import click

from melanoma_app.command_group import CommandGroup
from melanoma_app.services.audit import ChainHead, read_heads, verify_chains
from melanoma_app.services.audit_grants import list_application_grants, list_migration_grants

audit = CommandGroup("audit", help="The audit chain.")


@audit.command("verify")
@click.option(
    "--head",
    "noted",
    metavar="FILE|HEAD",
    multiple=True,
    help="Where a chain ended earlier, as `flask audit head` printed it; or a file of such lines.",
)
def verify_command(noted: tuple[str, ...]) -> None:
    """Check that no audit entry was edited, deleted, reordered or cut off."""
    heads = [ChainHead.read(line) for one in noted for line in _lines(one)]
    faults = 0
    for fault in verify_chains(heads=heads):
        faults += 1
        click.echo(f"chain {fault.chain_id}, entry {fault.sequence}: {fault.explanation}", err=True)
    if faults:
        raise SystemExit(1)
    click.echo("Every audit chain holds.")


@audit.command("head")
def head_command() -> None:
    """Print where each chain ends, to be noted outside the database: CHAIN:NUMBER:HASH."""
    for head in read_heads():
        click.echo(str(head))


@audit.command("grants")
@click.argument("database")
@click.argument("account")
@click.option(
    "--migration", "is_migration", is_flag=True, help="For the account that upgrades the database instead."
)
def grants_command(database: str, account: str, is_migration: bool) -> None:
    """Print the GRANTs of MySQL or MariaDB that leave the app no way to change the audit log.

    DATABASE is the database's name, ACCOUNT the app's account as NAME@HOST, made by CREATE USER before.
    """
    list_grants = list_migration_grants if is_migration else list_application_grants
    for statement in list_grants(database=database, account=account):
        click.echo(statement)


def _lines(noted: str) -> list[str]:
    """The heads that an argument names: itself, or what stands in the file of that name."""
    path = Path(noted)
    if not path.is_file():
        return [noted]
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]
