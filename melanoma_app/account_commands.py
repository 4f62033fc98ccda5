"""`flask users …` and `flask tokens …`: accounts and API tokens from the server's own command line."""

from __future__ import annotations

import uuid
from datetime import timedelta

import click
from flask import current_app, url_for

from melanoma_app.command_group import CommandGroup
from melanoma_app.models.vocabulary import Role
from melanoma_app.security.permissions import ROLE_PERMISSIONS, Permission
from melanoma_app.services.accounts import create_user, find_user, list_users
from melanoma_app.services.clinics import find_clinic
from melanoma_app.services.password_resets import RESET_LIFETIME, issue_password_reset
from melanoma_app.services.tokens import (
    LONGEST_LIFETIME,
    TOKEN_LIFETIME,
    ListedToken,
    create_token,
    list_user_tokens,
    revoke_token,
)
from melanoma_app.services.users import disable_user, enable_user

users = CommandGroup("users", help="The people who may sign in.")
tokens = CommandGroup("tokens", help="Bearer tokens for programs.")


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


@users.command("disable")
@click.argument("username")
def disable_user_command(username: str) -> None:
    """Switch an account off; its sessions and tokens end at once."""
    user = disable_user(public_id=find_user(username=username).public_id, actor=None)
    click.echo(f"{user.username} cannot sign in any more. Sessions and tokens have ended.")


@users.command("enable")
@click.argument("username")
def enable_user_command(username: str) -> None:
    """Switch an account on again; ended sessions and tokens stay ended."""
    user = enable_user(public_id=find_user(username=username).public_id, actor=None)
    click.echo(f"{user.username} may sign in again.")


@users.command("reset-link")
@click.argument("username")
def reset_link_command(username: str) -> None:
    """Print the end of a one-time link that sets a new password; links made before end."""
    token = issue_password_reset(user_public_id=find_user(username=username).public_id, actor=None)
    with current_app.test_request_context():
        click.echo(url_for("accounts.open_reset_link", token=token))
    minutes = int(RESET_LIFETIME.total_seconds() // 60)
    click.echo(
        f"Put the address of your site in front of it. It works once, for {minutes} minutes.", err=True
    )


@tokens.command("create")
@click.argument("username")
@click.option("--name", default="command line", help="What the token is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([permission.value for permission in Permission]),
    help="What it may be used for; give it again for each.",
)
@click.option("--all", "is_for_all", is_flag=True, help="Every scope that the user's role allows.")
@click.option(
    "--days",
    type=click.IntRange(1, LONGEST_LIFETIME.days),
    default=TOKEN_LIFETIME.days,
    help="How long it is valid.",
)
def create_token_command(
    username: str, name: str, scopes: tuple[str, ...], is_for_all: bool, days: int
) -> None:
    """Make a token that acts as the user, within its scopes. It is shown once."""
    user = find_user(username=username)
    allowed = sorted(permission.value for permission in ROLE_PERMISSIONS[user.role])
    _, secret = create_token(
        user=user,
        name=name,
        scopes=allowed if is_for_all else scopes,
        lifetime=timedelta(days=days),
        actor=None,
    )
    click.echo(secret)


@tokens.command("list")
@click.argument("username")
def list_tokens_command(username: str) -> None:
    """Show a user's tokens, newest first; their secrets are nowhere."""
    for one in list_user_tokens(user=find_user(username=username)):
        click.echo(_describe_token(one))


@tokens.command("revoke")
@click.argument("token_id", type=click.UUID)
def revoke_token_command(token_id: uuid.UUID) -> None:
    """End a token for good; `flask tokens list` shows its id."""
    token = revoke_token(public_id=token_id, actor=None)
    click.echo(f"The token {token.name!r} of {token.user.username} is revoked.")


def _describe_token(one: ListedToken) -> str:
    used = f"{one.token.last_used_at:%Y-%m-%d %H:%M} UTC" if one.token.last_used_at else "never"
    return "\t".join(
        (
            str(one.token.public_id),
            one.token.name,
            one.state.value,
            f"expires {one.token.expires_at:%Y-%m-%d}",
            f"last used {used}",
            " ".join(one.scopes) or "no scopes",
        )
    )
