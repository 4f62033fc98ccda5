"""The `flask …` commands."""

from __future__ import annotations

from pathlib import Path

import click
from flask import Flask, current_app

from config import Settings
from melanoma_app.account_commands import tokens, users
from melanoma_app.audit_commands import audit
from melanoma_app.backup_commands import backup
from melanoma_app.command_group import CommandGroup, find_active_user
from melanoma_app.doctor_commands import add_doctor
from melanoma_app.import_commands import imports
from melanoma_app.job_commands import jobs
from melanoma_app.services.actor import Actor
from melanoma_app.services.count_check import count_all_patients, rebuild_statistics, verify_statistics
from melanoma_app.services.demo import load_demo
from melanoma_app.services.model_activation import activate_model
from melanoma_app.services.model_catalogue import ListedModel, list_models
from melanoma_app.storage_commands import storage

models = CommandGroup("models", help="The released models, and which of them scores new photographs.")
statistics = CommandGroup("statistics", help="The counts, and whether they are what the records say.")
demo = CommandGroup("demo", help="Synthetic records to look around in.")


def register_commands(app: Flask, settings: Settings) -> None:
    """Add the commands to `flask`."""
    for group in (users, tokens, models, audit, statistics, imports, jobs, storage, backup, demo):
        app.cli.add_command(group)
    add_doctor(app, settings)

    @app.cli.command("serve")
    def serve() -> None:
        """Prepare the database and serve with gunicorn; `make run` calls this."""
        from melanoma_app.serving import serve as serve_app  # gunicorn is not needed by the other commands

        serve_app(app, settings)


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
