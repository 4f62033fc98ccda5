"""Accounts: who may sign in, with which password or token."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError, NotSignedInError
from melanoma_app.extensions import db
from melanoma_app.models import ApiToken, Clinic, User
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event

MINIMUM_PASSWORD_LENGTH: Final = 12
"""NIST SP 800-63B-4 asks for 15 without and 8 with a second factor; 12 until the second factor is here."""
MAXIMUM_PASSWORD_LENGTH: Final = 256
USERNAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")
TOKEN_LIFETIME: Final = timedelta(days=90)
_TOKEN_USE_RESOLUTION: Final = timedelta(minutes=1)

# Argon2id, 19 MiB, 2 passes, 1 lane: OWASP Password Storage Cheat Sheet, 2025.
_hasher = PasswordHasher(memory_cost=19 * 1024, time_cost=2, parallelism=1)


def create_user(
    *, clinic: Clinic, username: str, display_name: str, password: str, role: Role, actor: Actor | None = None
) -> User:
    """Add a member of staff to a clinic; the name is kept in lower case.

    Raises:
        InvalidInputError: The name or the password will not do.
        ConflictError: The name is taken.
    """
    username = username.strip().lower()
    if not USERNAME.fullmatch(username):
        raise InvalidInputError(
            "A user name has 2 to 64 of the characters a–z, 0–9, dot, dash and underscore."
        )
    if not MINIMUM_PASSWORD_LENGTH <= len(password) <= MAXIMUM_PASSWORD_LENGTH:
        raise InvalidInputError(
            f"A password has {MINIMUM_PASSWORD_LENGTH} to {MAXIMUM_PASSWORD_LENGTH} characters; a few words do well."
        )
    if db.session.scalar(select(User.id).where(User.username == username)) is not None:
        raise ConflictError(f"The user name {username} is taken. Choose another.")
    user = User(
        public_id=uuid.uuid4(),
        clinic_id=clinic.id,
        username=username,
        display_name=display_name.strip() or username,
        password_hash=_hasher.hash(password),
        role=role,
    )
    db.session.add(user)
    record_event(
        action=AuditAction.USER_CREATED,
        actor=actor,
        clinic_id=clinic.id,
        subject_public_id=user.public_id,
        details={"role": role.value},
    )
    db.session.commit()
    return user


def authenticate_user(*, username: str, password: str, origin: str, request_id: str) -> User:
    """Check a password; both outcomes are audited and take the same time whether or not the name is known.

    Raises:
        NotSignedInError: Name or password is wrong, or the account is switched off; it does not say which.
    """
    user = db.session.scalars(
        select(User).where(User.username == username.strip().lower()).options(joinedload(User.clinic))
    ).one_or_none()
    is_right = _is_password_of(user, password)
    if user is None or not is_right or not user.is_active:
        record_event(
            action=AuditAction.SIGN_IN_FAILED,
            actor=None,
            clinic_id=user.clinic_id if user else None,
            subject_public_id=user.public_id if user else None,
            origin=origin,
            request_id=request_id,
        )
        db.session.commit()
        raise NotSignedInError("The user name or the password is wrong.")
    if _hasher.check_needs_rehash(user.password_hash):
        user.password_hash = _hasher.hash(password)
    user.last_sign_in_at = utc_now()
    actor = Actor(user=user, origin=origin, request_id=request_id)
    record_event(action=AuditAction.SIGN_IN, actor=actor, subject_public_id=user.public_id)
    db.session.commit()
    return user


def record_sign_out(*, actor: Actor) -> None:
    """Audit that a session was ended by its owner."""
    record_event(action=AuditAction.SIGN_OUT, actor=actor, subject_public_id=actor.public_id)
    db.session.commit()


def find_active_user(*, public_id: uuid.UUID) -> User | None:
    """The account behind a session, with its clinic; None once it is switched off."""
    return db.session.scalars(
        select(User).where(User.public_id == public_id, User.is_active).options(joinedload(User.clinic))
    ).one_or_none()


def find_user(*, username: str) -> User:
    """The account of that name, with its clinic.

    Raises:
        NotFoundError: There is none.
    """
    user = db.session.scalars(
        select(User).where(User.username == username.strip().lower()).options(joinedload(User.clinic))
    ).one_or_none()
    if user is None:
        raise NotFoundError(f"There is no user {username!r}. `flask users list` shows them.")
    return user


def list_users() -> list[User]:
    """Every account of every clinic, for the command line."""
    return list(db.session.scalars(select(User).options(joinedload(User.clinic)).order_by(User.username)))


def has_users() -> bool:
    """Whether anybody has an account."""
    return db.session.scalar(select(User.id).limit(1)) is not None


def create_token(*, user: User, name: str, lifetime: timedelta = TOKEN_LIFETIME) -> tuple[ApiToken, str]:
    """Make a bearer token that acts as the user; the secret is returned once and only its SHA-256 is kept."""
    secret = secrets.token_urlsafe(32)
    token = ApiToken(
        public_id=uuid.uuid4(),
        user_id=user.id,
        name=name.strip() or "token",
        token_sha256=_digest(secret),
        expires_at=utc_now() + lifetime,
    )
    db.session.add(token)
    record_event(
        action=AuditAction.TOKEN_CREATED,
        actor=Actor(user=user),
        subject_public_id=token.public_id,
    )
    db.session.commit()
    return token, secret


def find_token_owner(*, token: str) -> User | None:
    """The active user a bearer token acts as; None for an unknown, expired or revoked one.

    The time of its last use is kept to the minute.
    """
    now = utc_now()
    found = db.session.scalars(
        select(ApiToken)
        .where(
            ApiToken.token_sha256 == _digest(token), ApiToken.revoked_at.is_(None), ApiToken.expires_at > now
        )
        .options(joinedload(ApiToken.user).joinedload(User.clinic))
    ).one_or_none()
    if found is None or not found.user.is_active:
        return None
    if _is_stale(found.last_used_at, now):
        found.last_used_at = now
        db.session.commit()
    return found.user


def _is_stale(last_used_at: datetime | None, now: datetime) -> bool:
    return last_used_at is None or now - last_used_at > _TOKEN_USE_RESOLUTION


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _is_password_of(user: User | None, password: str) -> bool:
    """Verify against the user's hash, or against nobody's, so that an unknown name takes as long."""
    try:
        return _hasher.verify(user.password_hash if user else _nobodys_hash(), password) and user is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_urlsafe(32))
