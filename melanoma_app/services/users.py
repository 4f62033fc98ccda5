"""The people of a clinic, as its administrators look after them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Select, exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from melanoma_app.extensions import db
from melanoma_app.models import SecondFactor, User
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.security.permissions import Permission
from melanoma_app.services.accounts import USERNAME
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.password_resets import add_password_reset
from melanoma_app.services.passwords import NO_PASSWORD
from melanoma_app.services.sessions import revoke_all_sessions
from melanoma_app.services.text import tidy_text
from melanoma_app.services.tokens import revoke_all_tokens

LONGEST_DISPLAY_NAME: Final = 120


@dataclass(frozen=True, kw_only=True)
class ListedUser:
    """An account as its clinic's administrators see it."""

    user: User
    has_second_factor: bool


def list_clinic_users(*, actor: Actor) -> list[ListedUser]:
    """Every account of the actor's clinic, by user name.

    Raises:
        NotPermittedError: The actor is no administrator.
    """
    _check_administrator(actor)
    query = _with_second_factor().where(User.clinic_id == actor.clinic_id).order_by(User.username)
    return [ListedUser(user=user, has_second_factor=has) for user, has in db.session.execute(query)]


def read_clinic_user(*, public_id: uuid.UUID, actor: Actor) -> ListedUser:
    """One account of the actor's clinic.

    Raises:
        NotPermittedError: The actor is no administrator.
        NotFoundError: The clinic has no such account.
    """
    _check_administrator(actor)
    query = _with_second_factor().where(User.public_id == public_id, User.clinic_id == actor.clinic_id)
    row = db.session.execute(query).one_or_none()
    if row is None:
        raise NotFoundError("Your clinic has no such user. Choose one from the list of users.")
    return ListedUser(user=row[0], has_second_factor=row[1])


def add_user(*, username: str, display_name: str, role: Role, actor: Actor) -> tuple[User, str]:
    """Give somebody an account in the actor's clinic; the token of the link to set the first password with is returned.

    Nobody but its owner ever knows a password: until the link is used the account has none, and nobody can sign in.

    Args:
        username: Kept in lower case; unique on this server, for one signs in with it alone.
        display_name: Shown to others; the user name if it is empty.
        role: What the person may do.
        actor: An administrator.

    Raises:
        NotPermittedError: The actor is no administrator.
        InvalidInputError: A name will not do.
        ConflictError: The user name is taken.
    """
    _check_administrator(actor)
    username = username.strip().lower()
    if not USERNAME.fullmatch(username):
        problem = "A user name has 2 to 64 of the characters a–z, 0–9, dot, dash and underscore."
        raise InvalidInputError(problem, fields={"username": [problem]})
    user = User(
        public_id=uuid.uuid4(),
        clinic_id=actor.clinic_id,
        username=username,
        display_name=_check_display_name(display_name) or username,
        password_hash=NO_PASSWORD,
        role=role,
    )
    chain = lock_chain(actor.clinic_id)
    try:
        # A savepoint: the page that tells of the refusal still needs what the session has loaded.
        with db.session.begin_nested():
            db.session.add(user)
    except IntegrityError as error:
        db.session.commit()
        problem = f"The user name {username} is taken. Choose another."
        raise ConflictError(problem, fields={"username": [problem]}) from error
    record_event(
        action=AuditAction.USER_CREATED,
        actor=actor,
        subject_public_id=user.public_id,
        details={"role": role.value},
        chain=chain,
    )
    token = add_password_reset(user=user, actor=actor, chain=chain)
    db.session.commit()
    return user, token


def edit_user(*, public_id: uuid.UUID, display_name: str, role: Role, actor: Actor) -> User:
    """Change somebody's shown name and role; the new role holds from the next request on.

    Nobody changes their own role, so nobody raises it, and a clinic does not lose its administrator by a slip.

    Raises:
        NotPermittedError: The actor is no administrator.
        NotFoundError: The clinic has no such account.
        InvalidInputError: The name will not do.
        ConflictError: The role is the actor's own, or the last active administrator's.
    """
    _check_administrator(actor)
    name = _check_display_name(display_name)
    user = _lock_user(public_id, actor)
    before = user.role
    if role is not before:
        if user.id == actor.user.id:
            raise _refusal("Nobody changes their own role. Ask another administrator.", "role")
        _check_administrator_stays(user)
    name = name or user.username
    if (role, name) != (before, user.display_name):
        details = {"role_before": before.value, "role": role.value} if role is not before else {}
        if name != user.display_name:
            details["name"] = "changed"
        user.role, user.display_name = role, name
        record_event(
            action=AuditAction.USER_EDITED, actor=actor, subject_public_id=user.public_id, details=details
        )
    db.session.commit()
    return user


def disable_user(*, public_id: uuid.UUID, actor: Actor | None) -> User:
    """Switch an account off: its sessions and API tokens end at once and for good; what it recorded stays.

    Args:
        public_id: The account.
        actor: An administrator of its clinic; None for the command line.

    Raises:
        NotPermittedError: The actor is no administrator.
        NotFoundError: The clinic has no such account.
        ConflictError: It is the actor's own, or the last active administrator's.
    """
    _check_administrator(actor)
    user = _lock_user(public_id, actor)
    if actor is not None and user.id == actor.user.id:
        raise _refusal("Nobody switches off their own account. Ask another administrator.")
    if user.is_active:
        _check_administrator_stays(user)
        user.is_active = False
        ended = {
            "sessions_ended": revoke_all_sessions(user=user),
            "tokens_revoked": revoke_all_tokens(user=user),
        }
        record_event(
            action=AuditAction.USER_DISABLED,
            actor=actor,
            clinic_id=user.clinic_id,
            subject_public_id=user.public_id,
            details=ended,
        )
    db.session.commit()
    return user


def enable_user(*, public_id: uuid.UUID, actor: Actor | None) -> User:
    """Switch an account on again, with the password and second factor it had; ended sessions and tokens stay ended.

    Args:
        public_id: The account.
        actor: An administrator of its clinic; None for the command line.

    Raises:
        NotPermittedError: The actor is no administrator.
        NotFoundError: The clinic has no such account.
    """
    _check_administrator(actor)
    user = _lock_user(public_id, actor)
    if not user.is_active:
        user.is_active = True
        record_event(
            action=AuditAction.USER_ENABLED,
            actor=actor,
            clinic_id=user.clinic_id,
            subject_public_id=user.public_id,
        )
    db.session.commit()
    return user


def _with_second_factor() -> Select[User, bool]:
    has_one = exists().where(SecondFactor.user_id == User.id, SecondFactor.confirmed_at.is_not(None))
    return select(User, has_one)


def _check_administrator(actor: Actor | None) -> None:
    if actor is not None and Permission.MANAGE_USERS not in actor.permissions:
        raise NotPermittedError("Only an administrator may look after the clinic's users.")


def _lock_user(public_id: uuid.UUID, actor: Actor | None) -> User:
    """The account as it stands, under its clinic's lock: two administrators cannot switch each other off at once."""
    query = select(User).where(User.public_id == public_id)
    if actor is not None:
        query = query.where(User.clinic_id == actor.clinic_id)
    clinic_id = db.session.scalar(query.with_only_columns(User.clinic_id))
    if clinic_id is None:
        raise NotFoundError("Your clinic has no such user. Choose one from the list of users.")
    lock_chain(clinic_id)
    # With the clinic: the row may be the actor's own, of which the page says the clinic.
    fresh = query.options(joinedload(User.clinic)).execution_options(populate_existing=True)
    return db.session.scalars(fresh).one()


def _check_administrator_stays(user: User) -> None:
    """Refuse to take the last active administrator away; call it under the clinic's lock."""
    if user.role is not Role.ADMIN or not user.is_active:
        return
    others = select(User.id).where(
        User.clinic_id == user.clinic_id, User.role == Role.ADMIN, User.is_active, User.id != user.id
    )
    if db.session.scalar(others.limit(1)) is None:
        raise _refusal(
            "This is the clinic's last active administrator. Make somebody else an administrator first.",
            "role",
        )


def _refusal(problem: str, field: str = "") -> ConflictError:
    """Ends the transaction, in which nothing was changed, so that the lock is not held while the page is made."""
    db.session.commit()
    return ConflictError(problem, fields={field: [problem]} if field else {})


def _check_display_name(display_name: str) -> str:
    name = tidy_text(display_name)
    if len(name) > LONGEST_DISPLAY_NAME:
        problem = f"The name has more than {LONGEST_DISPLAY_NAME} characters. Shorten it."
        raise InvalidInputError(problem, fields={"display_name": [problem]})
    return name
