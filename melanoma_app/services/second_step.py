"""Between the two steps of a sign-in: the password was right, the code is still to come, and nothing is open yet."""

from __future__ import annotations

import hashlib
import uuid
from typing import Final

from flask import current_app
from itsdangerous import BadSignature
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from melanoma_app.errors import NotSignedInError
from melanoma_app.extensions import db
from melanoma_app.models import User
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.security.timed_signature import timed_serializer
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.second_factor import WRONG_CODE, use_code
from melanoma_app.services.sign_in_holds import check_not_held, count_failure, lock_attempts

SECOND_STEP_S: Final = 300
"""Five minutes to find the telephone."""
_SALT: Final = "second step of a sign-in"


def begin_second_step(*, user: User) -> str:
    """A signed note that this user's password was right, for the cookie; it holds for five minutes.

    It is bound to the password: after a change it is worth nothing.
    """
    return str(timed_serializer(_secret_key(), salt=_SALT).dumps([str(user.public_id), _seal(user)]))


def find_second_step(*, note: str) -> User | None:
    """Who is between the steps, with their clinic; None once the note is too old, and for one that we did not sign."""
    try:
        public_id, seal = timed_serializer(_secret_key(), salt=_SALT).loads(note, max_age=SECOND_STEP_S)
    except BadSignature:
        return None
    user = db.session.scalars(
        select(User)
        .where(User.public_id == uuid.UUID(public_id), User.is_active)
        .options(joinedload(User.clinic, innerjoin=True))
    ).one_or_none()
    return user if user is not None and _seal(user) == seal else None


def check_second_step(*, user: User, code: str, origin: str, request_id: str) -> None:
    """Check a code of the authenticator or a recovery code; wrong ones count as wrong passwords do.

    Args:
        user: Who `find_second_step` has found.
        code: What was typed.
        origin: Network address.
        request_id: Of the request.

    Raises:
        NotSignedInError: The code is wrong, or was used already.
        HeldError: There were too many wrong ones; this one was not looked at.
    """
    chain = lock_chain(user.clinic_id)
    lock_attempts(user=user)
    check_not_held(user=user, username=user.username, refusal=WRONG_CODE)
    used = use_code(user=user, code=code)
    if used is None:
        record_event(
            action=AuditAction.SECOND_FACTOR_FAILED,
            actor=None,
            subject_public_id=user.public_id,
            origin=origin,
            request_id=request_id,
            chain=chain,
        )
        count_failure(user=user, username=user.username, chain=chain, origin=origin, request_id=request_id)
        db.session.commit()
        raise NotSignedInError(WRONG_CODE)
    if used is AuditAction.RECOVERY_CODE_USED:
        record_event(
            action=used,
            actor=Actor(user=user, origin=origin, request_id=request_id),
            subject_public_id=user.public_id,
            chain=chain,
        )
    db.session.commit()


def _secret_key() -> str:
    return str(current_app.config["SECRET_KEY"])


def _seal(user: User) -> str:
    return hashlib.sha256(user.password_hash.encode()).hexdigest()[:16]
