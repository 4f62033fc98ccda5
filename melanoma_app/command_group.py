"""What the groups of `flask …` commands share: refusals of one line, and who is at work."""

from __future__ import annotations

from typing import Any

import click
from flask.cli import AppGroup

from melanoma_app.errors import ClinicError, NotPermittedError
from melanoma_app.models import User
from melanoma_app.services.accounts import find_user


class CommandGroup(AppGroup):
    """A group whose refusals are one line each."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what a service refuses is told without a traceback."""
        try:
            return super().invoke(ctx)
        except ClinicError as error:
            details = "".join(f"\n  {name}: {' '.join(texts)}" for name, texts in error.fields.items())
            raise click.ClickException(error.message + details) from error


def find_active_user(username: str) -> User:
    """The account of that name.

    Raises:
        NotFoundError: There is none.
        NotPermittedError: It is switched off.
    """
    user = find_user(username=username)
    if not user.is_active:
        raise NotPermittedError(f"The account {user.username} is switched off.")
    return user
