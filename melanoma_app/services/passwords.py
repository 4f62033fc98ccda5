"""Passwords: how they are kept, which will do, and how their owner changes one."""

from __future__ import annotations

import secrets
from functools import cache
from typing import Final, NoReturn

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from melanoma_app.errors import InvalidInputError
from melanoma_app.extensions import db
from melanoma_app.models import User
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.sessions import revoke_all_sessions
from melanoma_app.services.sign_in_holds import HeldError, check_not_held, count_failure, lock_attempts

MINIMUM_PASSWORD_LENGTH: Final = 15
"""NIST SP 800-63B-4, 3.1.1.2: 15 where a password may be all that is asked for. Older, shorter ones go on working."""
MAXIMUM_PASSWORD_LENGTH: Final = 256
"""More is no safer, and a megabyte would be hashed, too."""
NO_PASSWORD: Final = "!"  # noqa: S105 (what no password has as its hash)
"""Kept in place of a hash until the account's owner has set a password: nothing that is typed fits it."""

_WRONG_PRESENT: Final = "This is not your present password."
_MINIMUM_OTHER_CHARACTERS: Final = 5
"""How many different characters are left at least once the words that everybody tries are taken out."""
_COMMON_WORDS: Final = (
    "administrator",
    "changeme",
    "clinic",
    "dermatology",
    "doctor",
    "dragon",
    "hospital",
    "iloveyou",
    "letmein",
    "login",
    "master",
    "melanoma",
    "monkey",
    "nurse",
    "passphrase",
    "password",
    "patient",
    "secret",
    "skinlesion",
    "sunshine",
    "trustno1",
    "welcome",
    "admin",
    "lesion",
    "record",
    "skin",
)
_KEYBOARD_ROWS: Final = (
    "1234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "abcdefghijklmnopqrstuvwxyz",
)

# Argon2id, 19 MiB, 2 passes, 1 lane: OWASP Password Storage Cheat Sheet, 2025.
_hasher = PasswordHasher(memory_cost=19 * 1024, time_cost=2, parallelism=1)


def hash_password(password: str) -> str:
    """The Argon2id hash to keep, with its salt and parameters."""
    return _hasher.hash(password)


def is_password_of(user: User | None, password: str) -> bool:
    """Whether it is the user's password.

    Verifies once in every case: against nobody's hash for an unknown name and for an account that has no password
    yet, so that neither is told from the others by the time it takes.
    """
    has_password = user is not None and user.password_hash.startswith("$argon2")
    try:
        is_right = _hasher.verify(user.password_hash if user and has_password else _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return is_right and has_password


def is_hash_outdated(user: User) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(user.password_hash)


def check_new_password(password: str, *, username: str) -> None:
    """Refuse a password that is too short or among the first that somebody would try.

    There are no rules of composition and no expiry (NIST SP 800-63B-4, 3.1.1.2). No list of leaked passwords comes
    with the app: nearly all of them are shorter than what is asked for here.

    Args:
        password: The new one.
        username: Of its owner: a password may not be made of it.

    Raises:
        InvalidInputError: It will not do.
    """
    if not MINIMUM_PASSWORD_LENGTH <= len(password) <= MAXIMUM_PASSWORD_LENGTH:
        raise _refusal(
            f"A password has {MINIMUM_PASSWORD_LENGTH} to {MAXIMUM_PASSWORD_LENGTH} characters; a few words do well."
        )
    if _is_easily_tried(password.lower(), username.strip().lower()):
        raise _refusal(
            "This password is among the first that others would try. Choose a few words that have nothing to do with "
            "you, the clinic or each other."
        )


def change_password(*, current: str, new: str, actor: Actor, session_id: int) -> None:
    """Change one's own password; every other session of theirs ends.

    Wrong ones count as those of a sign-in do: whoever finds an open browser does not get to guess either.

    Args:
        current: The present password.
        new: The next one.
        actor: Whose.
        session_id: The session in which it happens, which stays.

    Raises:
        InvalidInputError: The present password is wrong or was guessed too often, or the new one will not do.
    """
    user = actor.user
    _refuse_if_held(user)
    # Nothing is locked while a password is hashed, which takes tens of milliseconds.
    db.session.commit()
    if not is_password_of(user, current):
        _count_wrong_password(actor)
    check_new_password(new, username=user.username)
    password_hash = hash_password(new)
    chain = lock_chain(actor.clinic_id)
    lock_attempts(user=user)
    _refuse_if_held(user)
    user.password_hash = password_hash
    ended = revoke_all_sessions(user=user, keep_id=session_id)
    record_event(
        action=AuditAction.PASSWORD_CHANGED,
        actor=actor,
        subject_public_id=actor.public_id,
        details={"sessions_ended": ended},
        chain=chain,
    )
    db.session.commit()


def _refuse_if_held(user: User) -> None:
    try:
        check_not_held(user=user, username=user.username, refusal=_WRONG_PRESENT)
    except HeldError as held:
        db.session.commit()
        raise InvalidInputError(held.message, fields={"current": [held.message]}) from held


def _count_wrong_password(actor: Actor) -> NoReturn:
    user = actor.user
    chain = lock_chain(actor.clinic_id)
    lock_attempts(user=user)
    record_event(
        action=AuditAction.SIGN_IN_FAILED,
        actor=actor,
        subject_public_id=user.public_id,
        details={"held": False, "changing_password": True},
        chain=chain,
    )
    count_failure(
        user=user, username=user.username, chain=chain, origin=actor.origin, request_id=actor.request_id
    )
    db.session.commit()
    raise InvalidInputError(f"{_WRONG_PRESENT} Nothing was changed.", fields={"current": [_WRONG_PRESENT]})


def _is_easily_tried(password: str, username: str) -> bool:
    if any(password in row * MAXIMUM_PASSWORD_LENGTH for row in _KEYBOARD_ROWS):
        return True
    rest = password.replace(username, "") if username else password
    for word in _COMMON_WORDS:
        rest = rest.replace(word, "")
    for row in _KEYBOARD_ROWS:
        rest = rest.replace(row[:6], "")
    return len(set(rest)) < _MINIMUM_OTHER_CHARACTERS


def _refusal(message: str) -> InvalidInputError:
    return InvalidInputError(message, fields={"password": [message]})


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_urlsafe(32))
