"""The second factor: codes of an authenticator (RFC 6238), and recovery codes for the day it is lost."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pyotp
from sqlalchemy import delete, select, update

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import RecoveryCode, SecondFactor, User, UserSession
from melanoma_app.models.audit import AuditChain
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.one_time_codes import (
    authenticator_of,
    decrypt_secret,
    draw_recovery_codes,
    encrypt_secret,
    step_of,
    take_recovery_code,
    take_step,
)
from melanoma_app.services.sessions import revoke_all_sessions
from melanoma_app.services.sign_in_holds import check_not_held, count_failure, lock_attempts

_SECRET_KEPT: Final = timedelta(hours=1)
"""How long a secret that was never confirmed stays the same, so that reloading the page spoils nothing."""
WRONG_CODE: Final = "The code is wrong, or was used already."


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """What an authenticator needs.

    Args:
        secret: In base32, to type it in.
        uri: The same as `otpauth://…`, to scan it.
    """

    secret: str
    uri: str


def second_factor_of(*, user: User) -> SecondFactor | None:
    """The user's second factor; None until its first code was given."""
    return db.session.scalars(
        select(SecondFactor).where(SecondFactor.user_id == user.id, SecondFactor.confirmed_at.is_not(None))
    ).one_or_none()


def count_recovery_codes(*, user: User) -> int:
    """How many of the user's recovery codes are left."""
    codes = select(RecoveryCode.id).where(RecoveryCode.user_id == user.id, RecoveryCode.used_at.is_(None))
    return len(db.session.scalars(codes).all())


def begin_second_factor(*, actor: Actor) -> Enrolment:
    """Draw a secret for the actor's authenticator; it is not asked for until `confirm_second_factor`.

    Raises:
        ConflictError: They have a second factor already.
    """
    lock_chain(actor.clinic_id)
    now = utc_now()
    factor = _factor_row(actor.user)
    if factor is not None and factor.confirmed_at is not None:
        raise ConflictError("You have a second factor already. Remove it before you set up another.")
    secret = None
    if factor is None:
        factor = SecondFactor(user_id=actor.user.id)
        db.session.add(factor)
    elif now - factor.created_at <= _SECRET_KEPT:
        secret = decrypt_secret(factor.secret)
    if secret is None:
        secret = pyotp.random_base32()
        factor.secret, factor.created_at = encrypt_secret(secret), now
    db.session.commit()
    uri = authenticator_of(secret).provisioning_uri(
        name=actor.user.username, issuer_name=actor.user.clinic.name
    )
    return Enrolment(secret=secret, uri=uri)


def confirm_second_factor(*, code: str, actor: Actor, session_id: int) -> list[str]:
    """Switch the second factor on with its first code; the actor's other sessions end, which never gave one.

    Args:
        code: What the authenticator shows.
        actor: Whose.
        session_id: The session in which it happens; it counts as signed in with the second factor from now on.

    Returns:
        The recovery codes, to be shown this once.

    Raises:
        ConflictError: `begin_second_factor` has not been called, or it is on already.
        InvalidInputError: The code is wrong.
    """
    chain = lock_chain(actor.clinic_id)
    now = utc_now()
    factor = _factor_row(actor.user)
    if factor is None or factor.confirmed_at is not None:
        raise ConflictError("There is no second factor to confirm. Open the page again and scan the code.")
    step = step_of(code, factor, now)
    if step is None:
        raise _refusal()
    factor.confirmed_at, factor.last_step = now, step
    db.session.execute(update(UserSession).where(UserSession.id == session_id).values(second_factor_at=now))
    codes = draw_recovery_codes(actor.user)
    ended = revoke_all_sessions(user=actor.user, keep_id=session_id)
    record_event(
        action=AuditAction.SECOND_FACTOR_ENABLED,
        actor=actor,
        subject_public_id=actor.public_id,
        details={"sessions_ended": ended},
        chain=chain,
    )
    db.session.commit()
    return codes


def make_recovery_codes(*, actor: Actor, code: str) -> list[str]:
    """Draw ten new recovery codes; the old ones no longer work.

    Raises:
        InvalidInputError: The code is wrong.
        HeldError: There were too many wrong ones.
    """
    chain = _check_own_code(actor, code)
    codes = draw_recovery_codes(actor.user)
    record_event(
        action=AuditAction.RECOVERY_CODES_MADE, actor=actor, subject_public_id=actor.public_id, chain=chain
    )
    db.session.commit()
    return codes


def remove_second_factor(*, actor: Actor, code: str) -> None:
    """Switch one's own second factor off, which needs a code of it.

    Raises:
        ConflictError: The clinic requires one.
        InvalidInputError: The code is wrong.
        HeldError: There were too many wrong ones.
    """
    if actor.user.clinic.requires_second_factor:
        raise ConflictError(
            "Your clinic requires a second factor, so it stays. A lost one is cleared by an admin."
        )
    chain = _check_own_code(actor, code)
    _delete_factor(actor.user)
    record_event(
        action=AuditAction.SECOND_FACTOR_DISABLED,
        actor=actor,
        subject_public_id=actor.public_id,
        chain=chain,
    )
    db.session.commit()


def clear_second_factor(*, user_public_id: uuid.UUID, actor: Actor) -> User:
    """Take a colleague's second factor away whose telephone is lost; their sessions end.

    Raises:
        NotFoundError: The actor's clinic has no such user.
        ConflictError: They have none.
    """
    chain = lock_chain(actor.clinic_id)
    user = db.session.scalars(
        select(User).where(User.public_id == user_public_id, User.clinic_id == actor.clinic_id)
    ).one_or_none()
    if user is None:
        raise NotFoundError("There is no such user in your clinic.")
    if _factor_row(user) is None:
        raise ConflictError(f"{user.username} has no second factor.")
    _delete_factor(user)
    ended = revoke_all_sessions(user=user)
    record_event(
        action=AuditAction.SECOND_FACTOR_DISABLED,
        actor=actor,
        subject_public_id=user.public_id,
        details={"sessions_ended": ended},
        chain=chain,
    )
    db.session.commit()
    return user


def use_code(*, user: User, code: str) -> AuditAction | None:
    """Take a code of the authenticator, or a recovery code; each works once. The calling service commits.

    Returns:
        RECOVERY_CODE_USED for a recovery code, SIGN_IN for one of the authenticator, None for a wrong one.
    """
    factor = second_factor_of(user=user)
    if factor is not None and take_step(factor, code):
        return AuditAction.SIGN_IN
    return AuditAction.RECOVERY_CODE_USED if take_recovery_code(user, code) else None


def _check_own_code(actor: Actor, code: str) -> AuditChain:
    """Ask a signed-in person for a code, one of their recovery codes among them; gives the clinic's chain, locked."""
    user = actor.user
    chain = lock_chain(actor.clinic_id)
    lock_attempts(user=user)
    check_not_held(user=user, username=user.username, refusal=WRONG_CODE)
    if use_code(user=user, code=code) is None:
        record_event(
            action=AuditAction.SECOND_FACTOR_FAILED,
            actor=actor,
            subject_public_id=actor.public_id,
            chain=chain,
        )
        count_failure(
            user=user,
            username=user.username,
            chain=chain,
            origin=actor.origin,
            request_id=actor.request_id,
        )
        db.session.commit()
        raise _refusal()
    return chain


def _delete_factor(user: User) -> None:
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    db.session.execute(delete(SecondFactor).where(SecondFactor.user_id == user.id))


def _factor_row(user: User) -> SecondFactor | None:
    return db.session.scalars(
        select(SecondFactor)
        .where(SecondFactor.user_id == user.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


def _refusal() -> InvalidInputError:
    return InvalidInputError(
        f"{WRONG_CODE} Nothing was changed.",
        fields={"code": [f"{WRONG_CODE} Wait for the next one and type that."]},
    )
