"""Sessions: which browsers are signed in, for how long, and how that ends."""

from __future__ import annotations

import secrets
import uuid
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, cast

from flask import current_app
from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.orm import joinedload

from melanoma_app.errors import NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import User, UserSession
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.secret_digest import digest_secret

LAST_SEEN_RESOLUTION: Final = timedelta(minutes=1)
"""How exactly the last use is kept: not every request writes."""
_KEPT_AFTER_END: Final = timedelta(days=30)
"""The audit keeps the sign-in itself; the row is kept to say why a session ended."""
_TOKEN_BYTES: Final = 32
_MAXIMUM_USER_AGENT: Final = 200
_MAXIMUM_ORIGIN: Final = 64


class SessionEnd(StrEnum):
    """Why a session that once was does not hold any more."""

    UNUSED = "unused"
    TOO_OLD = "too_old"
    ENDED = "ended"


def open_session(
    *, user: User, origin: str, user_agent: str, request_id: str, has_second_factor: bool
) -> str:
    """Sign somebody in who has shown who they are; wrong attempts up to now are forgotten.

    Args:
        user: Who, with their clinic.
        origin: Network address.
        user_agent: What the browser calls itself, to know it again in the list of sessions.
        request_id: Of the request.
        has_second_factor: Whether a code was given, too.

    Returns:
        The token for the cookie; only its SHA-256 is kept.
    """
    now = utc_now()
    actor = Actor(user=user, origin=origin, request_id=request_id)
    chain = lock_chain(user.clinic_id)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    db.session.execute(
        delete(UserSession).where(
            UserSession.user_id == user.id, UserSession.expires_at < now - _KEPT_AFTER_END
        )
    )
    db.session.add(
        UserSession(
            public_id=uuid.uuid4(),
            user_id=user.id,
            token_sha256=digest_secret(token),
            created_at=now,
            last_seen_at=now,
            expires_at=now + _longest(),
            second_factor_at=now if has_second_factor else None,
            origin=origin[:_MAXIMUM_ORIGIN],
            user_agent=user_agent[:_MAXIMUM_USER_AGENT],
        )
    )
    user.last_sign_in_at = now
    user.failed_sign_ins, user.held_until = 0, None
    record_event(
        action=AuditAction.SIGN_IN,
        actor=actor,
        subject_public_id=user.public_id,
        details={"second_factor": has_second_factor},
        chain=chain,
    )
    db.session.commit()
    return token


def find_session(*, token: str) -> UserSession | None:
    """The session behind a cookie, with its user and their clinic; one query a request.

    None once it was ended, was not used for too long, is too old, or its user is switched off. The time of its last
    use is kept to the minute.
    """
    now = utc_now()
    found = db.session.scalars(
        select(UserSession)
        .join(UserSession.user)
        .where(
            UserSession.token_sha256 == digest_secret(token),
            UserSession.revoked_at.is_(None),
            UserSession.expires_at > now,
            UserSession.last_seen_at > now - _longest_unused(),
            User.is_active,
        )
        .options(joinedload(UserSession.user, innerjoin=True).joinedload(User.clinic, innerjoin=True))
    ).one_or_none()
    if found is not None and now - found.last_seen_at > LAST_SEEN_RESOLUTION:
        found.last_seen_at = now
        db.session.commit()
    return found


def explain_end(*, token: str) -> SessionEnd | None:
    """Why the session behind a cookie does not hold any more; None if there never was one.

    Asked only once `find_session` has found none, so that the page can say what happened.
    """
    found = db.session.scalars(
        select(UserSession).where(UserSession.token_sha256 == digest_secret(token))
    ).one_or_none()
    if found is None:
        return None
    now = utc_now()
    if found.revoked_at is not None:
        return SessionEnd.ENDED
    if found.expires_at <= now:
        return SessionEnd.TOO_OLD
    return SessionEnd.UNUSED if found.last_seen_at <= now - _longest_unused() else SessionEnd.ENDED


def list_sessions(*, actor: Actor) -> list[UserSession]:
    """The actor's open sessions, the newest first."""
    now = utc_now()
    return list(
        db.session.scalars(
            select(UserSession)
            .where(
                UserSession.user_id == actor.user.id,
                UserSession.revoked_at.is_(None),
                UserSession.expires_at > now,
                UserSession.last_seen_at > now - _longest_unused(),
            )
            .order_by(UserSession.created_at.desc(), UserSession.id.desc())
        )
    )


def close_session(*, session_id: int, actor: Actor) -> None:
    """Sign out: the session ends on the server, so that a copy of its cookie opens nothing."""
    chain = lock_chain(actor.clinic_id)
    db.session.execute(update(UserSession).where(UserSession.id == session_id).values(revoked_at=utc_now()))
    record_event(action=AuditAction.SIGN_OUT, actor=actor, subject_public_id=actor.public_id, chain=chain)
    db.session.commit()


def revoke_session(*, public_id: uuid.UUID, actor: Actor) -> None:
    """End one of the actor's own sessions, such as that of a lost telephone.

    Raises:
        NotFoundError: They have none like that.
    """
    chain = lock_chain(actor.clinic_id)
    found = db.session.scalars(
        select(UserSession)
        .where(UserSession.public_id == public_id, UserSession.user_id == actor.user.id)
        .with_for_update()
    ).one_or_none()
    if found is None:
        raise NotFoundError("You have no such session. Reload the page to see those that are open.")
    if found.revoked_at is None:
        found.revoked_at = utc_now()
        record_event(
            action=AuditAction.SESSIONS_REVOKED,
            actor=actor,
            subject_public_id=actor.public_id,
            details={"sessions_ended": 1},
            chain=chain,
        )
    db.session.commit()


def revoke_other_sessions(*, session_id: int, actor: Actor) -> int:
    """End every session of the actor's own but the one they are in; how many were open."""
    chain = lock_chain(actor.clinic_id)
    ended = revoke_all_sessions(user=actor.user, keep_id=session_id)
    if ended:
        record_event(
            action=AuditAction.SESSIONS_REVOKED,
            actor=actor,
            subject_public_id=actor.public_id,
            details={"sessions_ended": ended},
            chain=chain,
        )
    db.session.commit()
    return ended


def revoke_all_sessions(*, user: User, keep_id: int | None = None) -> int:
    """End a user's sessions; the calling service audits and commits.

    Args:
        user: Whose.
        keep_id: The session that stays, where its owner does it.

    Returns:
        How many were open.
    """
    now = utc_now()
    others = [] if keep_id is None else [UserSession.id != keep_id]
    result = db.session.execute(
        update(UserSession)
        .where(
            UserSession.user_id == user.id,
            UserSession.revoked_at.is_(None),
            UserSession.expires_at > now,
            *others,
        )
        .values(revoked_at=now)
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", result).rowcount


def _longest() -> timedelta:
    return cast(timedelta, current_app.config["SESSION_LIFETIME"])


def _longest_unused() -> timedelta:
    return cast(timedelta, current_app.config["SESSION_IDLE_LIFETIME"])
