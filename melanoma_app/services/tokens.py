"""API tokens: made by their owner for a program, limited to scopes, expiring, revocable."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import joinedload

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from melanoma_app.extensions import db
from melanoma_app.models import ApiToken, User
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.security.permissions import ROLE_PERMISSIONS, Permission
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.secret_digest import digest_secret
from melanoma_app.services.text import tidy_text

SECRET_PREFIX: Final = "mel_"  # noqa: S105 (what every secret begins with, so that scanners of code find a lost one)
TOKEN_LIFETIME: Final = timedelta(days=90)
LONGEST_LIFETIME: Final = timedelta(days=366)
LONGEST_NAME: Final = 120
LISTED_TOKENS: Final = 100
_USE_RESOLUTION: Final = timedelta(minutes=1)


class TokenState(StrEnum):
    """Whether a token opens anything."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, kw_only=True)
class ListedToken:
    """A token as its owner sees it.

    Args:
        token: The row.
        state: Whether it opens anything.
        scopes: What it may be used for.
        lapsed: Those of the scopes that the owner's role no longer allows, so that they open nothing.
    """

    token: ApiToken
    state: TokenState
    scopes: tuple[Permission, ...]
    lapsed: tuple[Permission, ...]


def create_token(
    *, user: User, name: str, scopes: Collection[str], lifetime: timedelta, actor: Actor | None
) -> tuple[ApiToken, str]:
    """Make a bearer token that acts as the user, within its scopes; the secret is returned once.

    Nobody makes a token for somebody else: it would act in their name. Only the secret's SHA-256 is kept; the secret
    has 256 random bits, so a slow hash would add nothing.

    Args:
        user: Its owner.
        name: What it is for.
        scopes: Permissions, each of which the owner's role allows; never none.
        lifetime: At most LONGEST_LIFETIME.
        actor: The owner; None for the command line.

    Raises:
        NotPermittedError: The actor is not the owner, or acts by a token.
        InvalidInputError: Name, scopes or lifetime will not do.
        ConflictError: The account is switched off.
    """
    if actor is not None and (actor.user.id != user.id or actor.scopes is not None):
        raise NotPermittedError("A token is made by its owner, on the page or on the command line.")
    if not user.is_active:
        raise ConflictError(f"The account {user.username} is switched off, so it gets no token.")
    name = tidy_text(name)
    granted = _check_scopes(scopes, user)
    _check_name_and_lifetime(name, lifetime)
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        public_id=uuid.uuid4(),
        user_id=user.id,
        name=name,
        scopes=granted,
        token_sha256=digest_secret(secret),
        expires_at=utc_now() + lifetime,
    )
    db.session.add(token)
    record_event(
        action=AuditAction.TOKEN_CREATED,
        actor=actor,
        clinic_id=user.clinic_id,
        subject_public_id=token.public_id,
        details={"owner": str(user.public_id), "scopes": " ".join(granted), "days": lifetime.days},
    )
    db.session.commit()
    return token, secret


def find_token(*, token: str) -> ApiToken | None:
    """The token with this secret, its owner and their clinic; None where it opens nothing.

    That is an unknown, expired or revoked one, and one whose owner is switched off. The time of the last use is kept
    to the minute.
    """
    now = utc_now()
    found = db.session.scalars(
        select(ApiToken)
        .where(
            ApiToken.token_sha256 == digest_secret(token),
            ApiToken.revoked_at.is_(None),
            ApiToken.expires_at > now,
        )
        .options(joinedload(ApiToken.user).joinedload(User.clinic))
    ).one_or_none()
    if found is None or not found.user.is_active:
        return None
    if _is_stale(found.last_used_at, now):
        found.last_used_at = now
        db.session.commit()
    return found


def scopes_of(token: ApiToken) -> frozenset[Permission]:
    """What a token may be used for, as far as its owner's role allows it; words we no longer know open nothing."""
    known = {permission.value: permission for permission in Permission}
    return frozenset(known[scope] for scope in token.scopes or () if scope in known)


def list_tokens(*, actor: Actor) -> list[ListedToken]:
    """The actor's own tokens, newest first; at most LISTED_TOKENS."""
    return _list(ApiToken.user_id == actor.user.id)


def list_user_tokens(*, user: User) -> list[ListedToken]:
    """A user's tokens, newest first, for the command line."""
    return _list(ApiToken.user_id == user.id)


def revoke_token(*, public_id: uuid.UUID, actor: Actor | None) -> ApiToken:
    """End a token for good; one that is revoked already stays as it is.

    Args:
        public_id: The token.
        actor: Its owner; None for the command line, which may end any.

    Raises:
        NotFoundError: The actor has no such token.
    """
    query = select(ApiToken).where(ApiToken.public_id == public_id).options(joinedload(ApiToken.user))
    if actor is not None:
        query = query.where(ApiToken.user_id == actor.user.id)
    token = db.session.scalars(query).one_or_none()
    if token is None:
        raise NotFoundError("There is no such token. Your account page lists the tokens you have.")
    if token.revoked_at is None:
        token.revoked_at = utc_now()
        record_event(
            action=AuditAction.TOKEN_REVOKED,
            actor=actor,
            clinic_id=token.user.clinic_id,
            subject_public_id=token.public_id,
            details={"owner": str(token.user.public_id)},
        )
    db.session.commit()
    return token


def revoke_all_tokens(*, user: User) -> int:
    """End every token of a user, for other services, which commit; how many ended."""
    ended = db.session.execute(
        update(ApiToken)
        .where(ApiToken.user_id == user.id, ApiToken.revoked_at.is_(None), ApiToken.expires_at > utc_now())
        .values(revoked_at=utc_now())
    )
    return int(ended.rowcount)  # type: ignore[attr-defined]  # an UPDATE's result has it


def _list(owner: ColumnElement[bool]) -> list[ListedToken]:
    rows = db.session.scalars(
        select(ApiToken)
        .where(owner)
        .options(joinedload(ApiToken.user))
        .order_by(ApiToken.created_at.desc(), ApiToken.id.desc())
        .limit(LISTED_TOKENS)
    )
    return [_describe(token) for token in rows]


def _describe(token: ApiToken) -> ListedToken:
    scopes = sorted(scopes_of(token))
    allowed = ROLE_PERMISSIONS[token.user.role]
    if token.revoked_at is not None:
        state = TokenState.REVOKED
    else:
        state = TokenState.VALID if token.expires_at > utc_now() else TokenState.EXPIRED
    return ListedToken(
        token=token,
        state=state,
        scopes=tuple(scopes),
        lapsed=tuple(scope for scope in scopes if scope not in allowed),
    )


def _check_scopes(scopes: Collection[str], user: User) -> list[str]:
    """The scopes in order, each once."""
    allowed = {permission.value for permission in ROLE_PERMISSIONS[user.role]}
    asked = {str(scope) for scope in scopes}
    if not asked:
        problem = f"Choose at least one scope. The role allows: {', '.join(sorted(allowed))}."
    elif asked - allowed:
        problem = (
            f"The role ({user.role}) does not allow {', '.join(sorted(asked - allowed))}. "
            f"It allows: {', '.join(sorted(allowed))}."
        )
    else:
        return sorted(asked)
    raise InvalidInputError("The scopes will not do.", fields={"scopes": [problem]})


def _check_name_and_lifetime(name: str, lifetime: timedelta) -> None:
    problems: dict[str, list[str]] = {}
    if not name:
        problems["name"] = ["Say what the token is for."]
    elif len(name) > LONGEST_NAME:
        problems["name"] = [f"The name has more than {LONGEST_NAME} characters. Shorten it."]
    if not timedelta() < lifetime <= LONGEST_LIFETIME:
        problems["lifetime"] = [f"A token lives for at most {LONGEST_LIFETIME.days} days."]
    if problems:
        raise InvalidInputError("The token was not made.", fields=problems)


def _is_stale(last_used_at: datetime | None, now: datetime) -> bool:
    return last_used_at is None or now - last_used_at > _USE_RESOLUTION
