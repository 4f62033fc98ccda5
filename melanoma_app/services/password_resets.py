"""One-time links with which somebody sets their password: after they forgot it, and for a new account."""

from __future__ import annotations

import secrets
import uuid
from datetime import timedelta
from typing import Any, Final, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import joinedload

from melanoma_app.errors import ConflictError, NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import PasswordReset, User
from melanoma_app.models.audit import AuditChain
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.passwords import check_new_password, hash_password
from melanoma_app.services.secret_digest import digest_secret
from melanoma_app.services.sessions import revoke_all_sessions
from melanoma_app.services.sign_in_holds import forget_failures

RESET_LIFETIME: Final = timedelta(hours=1)
_TOKEN_BYTES: Final = 32


def issue_password_reset(*, user_public_id: uuid.UUID, actor: Actor | None) -> str:
    """Make a link's token for a colleague; it works for an hour and once, and older links die.

    The present password and the open sessions go on until it is used. The second factor stays: whoever gets hold of
    the link alone does not come in where one is set up.

    Args:
        user_public_id: For whom.
        actor: An administrator of their clinic; None for the command line, which may do it in every clinic.

    Raises:
        NotFoundError: The actor's clinic has no such user.
        ConflictError: The account is switched off.
    """
    query = select(User).where(User.public_id == user_public_id)
    if actor is not None:
        query = query.where(User.clinic_id == actor.clinic_id)
    user = db.session.scalars(query).one_or_none()
    if user is None:
        raise NotFoundError("There is no such user in your clinic.")
    if not user.is_active:
        raise ConflictError(f"The account {user.username} is switched off. Switch it on first.")
    token = add_password_reset(user=user, actor=actor, chain=lock_chain(user.clinic_id))
    db.session.commit()
    return token


def add_password_reset(*, user: User, actor: Actor | None, chain: AuditChain) -> str:
    """Make the link within another service's act, such as a new account; that service commits.

    Args:
        user: For whom; flushed, so that they have a number.
        actor: Who asks for it; None for the command line.
        chain: The clinic's, locked.
    """
    now = utc_now()
    db.session.execute(
        update(PasswordReset)
        .where(PasswordReset.user_id == user.id, PasswordReset.used_at.is_(None))
        .values(used_at=now)
        .execution_options(synchronize_session=False)
    )
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    db.session.add(
        PasswordReset(
            user_id=user.id,
            token_sha256=digest_secret(token),
            created_at=now,
            expires_at=now + RESET_LIFETIME,
        )
    )
    record_event(
        action=AuditAction.PASSWORD_RESET_ISSUED,
        actor=actor,
        subject_public_id=user.public_id,
        chain=chain,
    )
    return token


def find_password_reset(*, token: str) -> User | None:
    """Whose password a link sets; None for one that is unknown, used or too old, or whose account is off."""
    found = db.session.scalars(
        select(PasswordReset)
        .where(
            PasswordReset.token_sha256 == digest_secret(token),
            PasswordReset.used_at.is_(None),
            PasswordReset.expires_at > utc_now(),
        )
        .options(joinedload(PasswordReset.user, innerjoin=True).joinedload(User.clinic, innerjoin=True))
    ).one_or_none()
    return found.user if found is not None and found.user.is_active else None


def reset_password(*, token: str, password: str, origin: str, request_id: str) -> User:
    """Set the password that a link is for; every session of theirs ends, and so does a hold.

    Args:
        token: The link's.
        password: The new one.
        origin: Network address.
        request_id: Of the request.

    Raises:
        NotFoundError: The link is unknown, used or too old.
        InvalidInputError: The password will not do; the link still works.
    """
    user = find_password_reset(token=token)
    # Hashing takes tens of milliseconds, in which nothing should be locked.
    db.session.commit()
    if user is None:
        raise _dead_link()
    check_new_password(password, username=user.username)
    password_hash = hash_password(password)
    chain = lock_chain(user.clinic_id)
    if not _take(token):
        db.session.commit()  # nothing was changed; only the lock is let go
        raise _dead_link()
    user.password_hash = password_hash
    forget_failures(user=user)
    ended = revoke_all_sessions(user=user)
    record_event(
        action=AuditAction.PASSWORD_RESET_USED,
        actor=Actor(user=user, origin=origin, request_id=request_id),
        subject_public_id=user.public_id,
        details={"sessions_ended": ended},
        chain=chain,
    )
    db.session.commit()
    return user


def _take(token: str) -> bool:
    """Use the link up; of two requests at once one does."""
    now = utc_now()
    taken = db.session.execute(
        update(PasswordReset)
        .where(
            PasswordReset.token_sha256 == digest_secret(token),
            PasswordReset.used_at.is_(None),
            PasswordReset.expires_at > now,
        )
        .values(used_at=now)
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", taken).rowcount == 1


def _dead_link() -> NotFoundError:
    return NotFoundError(
        "This link does not work: it was used already, a newer one was made, or it is older than an hour. "
        "Ask an administrator of your clinic for a new one."
    )
