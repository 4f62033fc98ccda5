"""The `flask …` commands."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from config import Settings
from melanoma_app.errors import ClinicError
from melanoma_app.models.vocabulary import Role
from melanoma_app.services.accounts import TOKEN_LIFETIME, create_token, create_user, find_user, list_users
from melanoma_app.services.audit import verify_chains
from melanoma_app.services.clinics import find_clinic
from melanoma_app.services.demo import load_demo


class _Group(AppGroup):
    """A group whose refusals are one line each."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ClinicError as error:
            details = "".join(f"\n  {name}: {' '.join(texts)}" for name, texts in error.fields.items())
            raise click.ClickException(error.message + details) from error


users = _Group("users", help="The people who may sign in.")
tokens = _Group("tokens", help="Bearer tokens for programs.")
audit = _Group("audit", help="The audit chain.")
demo = _Group("demo", help="Synthetic records to look around in.")


def register_commands(app: Flask, settings: Settings) -> None:
    """Add the commands to `flask`."""
    for group in (users, tokens, audit, demo):
        app.cli.add_command(group)

    @app.cli.command("serve")
    def serve() -> None:
        """Prepare the database and serve with gunicorn; `make run` calls this."""
        from melanoma_app.serving import serve as serve_app  # gunicorn is not needed by the other commands

        serve_app(app, settings)


@users.command("create")
@click.argument("username")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--name", default="", help="The name shown to others.")
@click.option("--clinic", default=None, help="The clinic's name; the first one if left out.")
@click.password_option(help="Asked for when left out.")
def create_user_command(username: str, role: str, name: str, clinic: str | None, password: str) -> None:
    """Add a member of staff."""
    user = create_user(
        clinic=find_clinic(name=clinic),
        username=username,
        display_name=name,
        password=password,
        role=Role(role),
    )
    click.echo(f"{user.username} may sign in as {user.role}.")


@users.command("list")
def list_users_command() -> None:
    """Show every account."""
    for user in list_users():
        state = "" if user.is_active else ", switched off"
        click.echo(f"{user.username}\t{user.role}{state}\t{user.clinic.name}")


@tokens.command("create")
@click.argument("username")
@click.option("--name", default="command line", help="What the token is for.")
@click.option(
    "--days", type=click.IntRange(1, 365), default=TOKEN_LIFETIME.days, help="How long it is valid."
)
def create_token_command(username: str, name: str, days: int) -> None:
    """Make a token that may do what the user may do. It is shown once."""
    _, secret = create_token(user=find_user(username=username), name=name, lifetime=timedelta(days=days))
    click.echo(secret)


@demo.command("load")
def load_demo_command() -> None:
    """Fill an empty database with a demo clinic; one that is not empty is left alone."""
    load_demo(instance_folder=Path(current_app.instance_path))


@audit.command("verify")
def verify_audit_command() -> None:
    """Check that no audit entry was edited, deleted, reordered or cut off."""
    faults = list(verify_chains())
    for fault in faults:
        click.echo(f"chain {fault.chain_id}, entry {fault.sequence}: {fault.explanation}", err=True)
    if faults:
        raise SystemExit(1)
    click.echo("Every audit chain holds.")
