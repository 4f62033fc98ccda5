"""What the groups of `flask …` commands share: refusals of one line, who is at work, and how far it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from flask.cli import AppGroup
from sqlalchemy.exc import OperationalError

from melanoma_app.errors import ClinicError, NotPermittedError, UnavailableError
from melanoma_app.models import User
from melanoma_app.services.accounts import find_user

_T = TypeVar("_T")


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


def asking(question: Callable[[], _T]) -> _T:
    """Ask the database something; that it does not answer is told in words."""
    try:
        return question()
    except OperationalError as error:
        raise _explain(error) from error


@contextmanager
def watched(label: str, length: int) -> Iterator[Callable[[int], object]]:
    """A progress bar where somebody watches; that the database stops answering is told in words."""
    bar = click.progressbar(
        length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty(), show_pos=False
    )
    try:
        with bar:
            yield bar.update
    except OperationalError as error:
        raise _explain(error) from error


def _explain(error: OperationalError) -> UnavailableError:
    """What the server says: that it is not there, or that the account lacks a right."""
    reason = error.orig.args[-1] if error.orig and error.orig.args else "no reason given"
    return UnavailableError(
        f"The database does not answer, or refuses ({reason}). Start it, or correct DATABASE_URL."
    )
