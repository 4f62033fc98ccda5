"""`flask doctor`: one line a part, and what to do where something is wrong."""

from __future__ import annotations

import click
from flask import Flask

from config import Settings
from melanoma_app.services.doctor import examine
from melanoma_app.services.doctor_findings import Health


def add_doctor(app: Flask, settings: Settings) -> None:
    """Add the command, which looks at the app's own settings."""

    @app.cli.command("doctor")
    def doctor() -> None:
        """Check settings, database, migrations, storage, model, clock and disk, and say what to do.

        Ends with 1 when something is broken, else with 0.
        """
        worst = Health.OK
        for finding in examine(settings=settings):
            click.echo(f"{finding.health:<6}  {finding.part}: {finding.words}")
            if finding.health is not Health.OK and worst is not Health.BROKEN:
                worst = finding.health
        if worst is Health.BROKEN:
            raise SystemExit(1)
