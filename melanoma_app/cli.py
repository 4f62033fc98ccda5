"""The `flask …` commands."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from config import Settings
from melanoma_app.errors import ClinicError, NotPermittedError
from melanoma_app.models import User
from melanoma_app.models.vocabulary import Role
from melanoma_app.services.accounts import TOKEN_LIFETIME, create_token, create_user, find_user, list_users
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import verify_chains
from melanoma_app.services.clinics import find_clinic
from melanoma_app.services.demo import load_demo
from melanoma_app.services.model_activation import activate_model
from melanoma_app.services.model_catalogue import ListedModel, list_models


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
models = _Group("models", help="The released models, and which of them scores new photographs.")
audit = _Group("audit", help="The audit chain.")
demo = _Group("demo", help="Synthetic records to look around in.")


def register_commands(app: Flask, settings: Settings) -> None:
    """Add the commands to `flask`."""
    for group in (users, tokens, models, audit, demo):
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


@models.command("list")
def list_models_command() -> None:
    """Show every released model, the active one marked."""
    catalogue = list_models(actor=None)
    for model in catalogue.models:
        click.echo(_describe_model(model))
    if catalogue.active.problem:
        click.echo(f"The active model cannot be used: {catalogue.active.problem}", err=True)


@models.command("activate")
@click.argument("identifier", metavar="NAME-VERSION")
@click.option("--by", "username", required=True, help="The administrator who switches, by user name.")
@click.option("--reason", required=True, help="Why; kept with the switch.")
def activate_model_command(identifier: str, username: str, reason: str) -> None:
    """Score new photographs with another released model; earlier results keep theirs."""
    activate_model(identifier=identifier, reason=reason, actor=Actor(user=_find_active_user(username)))
    click.echo(f"New photographs are scored by {identifier}.")


def _describe_model(model: ListedModel) -> str:
    states = [
        "active" if model.is_active else "",
        "" if model.is_on_shelf else "no longer on the shelf",
        model.problem,
    ]
    return f"{model.identifier}\t{', '.join(filter(None, states)) or 'ready'}"


def _find_active_user(username: str) -> User:
    user = find_user(username=username)
    if not user.is_active:
        raise NotPermittedError(f"The account {user.username} is switched off.")
    return user


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
