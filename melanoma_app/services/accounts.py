"""Accounts: who has one, and who may sign in with which password."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Final, NoReturn

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError, NotSignedInError
from melanoma_app.extensions import db
from melanoma_app.models import Clinic, User
from melanoma_app.models.audit import AuditChain
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.passwords import (
    check_new_password,
    hash_password,
    is_hash_outdated,
    is_password_of,
)
from melanoma_app.services.sign_in_holds import check_not_held, count_failure, lock_attempts

USERNAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")
WRONG_PASSWORD: Final = "The user name or the password is wrong."  # noqa: S105 (a sentence)


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
    check_new_password(password, username=username)
    if db.session.scalar(select(User.id).where(User.username == username)) is not None:
        raise ConflictError(f"The user name {username} is taken. Choose another.")
    user = User(
        public_id=uuid.uuid4(),
        clinic_id=clinic.id,
        username=username,
        display_name=display_name.strip() or username,
        password_hash=hash_password(password),
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
    """Check a password: the first step of a sign-in, which `open_session` completes.

    Every attempt verifies one hash and appends to one audit chain, whether or not the name is known. After five wrong
    ones in a row a name is held (`sign_in_holds`): until then no password is looked at, not even the right one.

    Raises:
        NotSignedInError: Name or password is wrong, or the account is switched off; it does not say which.
        HeldError: There were too many wrong attempts for this name.
    """
    username = username.strip().lower()
    user = db.session.scalars(
        select(User).where(User.username == username).options(joinedload(User.clinic))
    ).one_or_none()
    attempt = _Attempt(user=user, username=username, origin=origin, request_id=request_id)
    attempt.refuse_if_held()
    # Nothing is locked while the password is hashed, which takes tens of milliseconds.
    db.session.commit()
    is_right = is_password_of(user, password)
    if user is None or not is_right:
        attempt.fail()
    lock_attempts(user=user)
    attempt.refuse_if_held()
    if not user.is_active:
        attempt.fail()
    if is_hash_outdated(user):
        user.password_hash = hash_password(password)
    db.session.commit()
    return user


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


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """One attempt to sign in with a password, and how it is refused."""

    user: User | None
    username: str
    origin: str
    request_id: str

    def refuse_if_held(self) -> None:
        """Refuse it unseen while the name is held; that, too, is audited."""
        try:
            check_not_held(user=self.user, username=self.username, refusal=WRONG_PASSWORD)
        except NotSignedInError:
            db.session.commit()  # the row's lock comes after the chain's
            self._record(lock_chain(self._clinic_id), is_held=True)
            db.session.commit()
            raise

    def fail(self) -> NoReturn:
        """Count and audit a wrong password."""
        db.session.commit()
        chain = lock_chain(self._clinic_id)
        if self.user is not None:
            lock_attempts(user=self.user)
        self._record(chain, is_held=False)
        count_failure(
            user=self.user,
            username=self.username,
            chain=chain,
            origin=self.origin,
            request_id=self.request_id,
        )
        db.session.commit()
        raise NotSignedInError(WRONG_PASSWORD)

    @property
    def _clinic_id(self) -> int | None:
        return self.user.clinic_id if self.user else None

    def _record(self, chain: AuditChain, *, is_held: bool) -> None:
        """The name that was typed stands nowhere: it may be a password in the wrong box."""
        record_event(
            action=AuditAction.SIGN_IN_FAILED,
            actor=None,
            subject_public_id=self.user.public_id if self.user else None,
            details={"held": is_held},
            origin=self.origin,
            request_id=self.request_id,
            chain=chain,
        )
