"""The `flask …` commands."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click
from flask import Flask, current_app

from config import Settings
from melanoma_app.command_group import CommandGroup, find_active_user
from melanoma_app.import_commands import imports
from melanoma_app.models.vocabulary import Role
from melanoma_app.services.accounts import TOKEN_LIFETIME, create_token, create_user, find_user, list_users
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import verify_chains
from melanoma_app.services.clinics import find_clinic
from melanoma_app.services.count_check import count_all_patients, rebuild_statistics, verify_statistics
from melanoma_app.services.demo import load_demo
from melanoma_app.services.model_activation import activate_model
from melanoma_app.services.model_catalogue import ListedModel, list_models

users = CommandGroup("users", help="The people who may sign in.")
tokens = CommandGroup("tokens", help="Bearer tokens for programs.")
models = CommandGroup("models", help="The released models, and which of them scores new photographs.")
audit = CommandGroup("audit", help="The audit chain.")
statistics = CommandGroup("statistics", help="The counts, and whether they are what the records say.")
demo = CommandGroup("demo", help="Synthetic records to look around in.")


def register_commands(app: Flask, settings: Settings) -> None:
    """Add the commands to `flask`."""
    for group in (users, tokens, models, audit, statistics, imports, demo):
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
    activate_model(identifier=identifier, reason=reason, actor=Actor(user=find_active_user(username)))
    click.echo(f"New photographs are scored by {identifier}.")


def _describe_model(model: ListedModel) -> str:
    states = [
        "active" if model.is_active else "",
        "" if model.is_on_shelf else "no longer on the shelf",
        model.problem,
    ]
    return f"{model.identifier}\t{', '.join(filter(None, states)) or 'ready'}"


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


@statistics.command("verify")
def verify_statistics_command() -> None:
    """Recompute every count from the records, and report whatever differs."""
    faults = 0
    for fault in verify_statistics():
        faults += 1
        click.echo(f"clinic {fault.clinic_id}, {fault.place}: {fault.explanation}", err=True)
    if faults:
        raise click.ClickException(
            f"{faults} counts differ from the records. `flask statistics rebuild` mends them."
        )
    click.echo("Every count is what the records say.")


@statistics.command("rebuild")
def rebuild_statistics_command() -> None:
    """Make every count anew from the records; the clinic can go on working."""
    with click.progressbar(length=count_all_patients(), label="Counting") as bar:
        rebuild_statistics(report=bar.update)
    click.echo("Every count was made anew.")
