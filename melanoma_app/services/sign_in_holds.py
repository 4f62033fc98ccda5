"""Holds: who gets a password or code wrong too often waits, longer each time, and never for good."""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from datetime import datetime, timedelta
from typing import Final

from flask import current_app

from melanoma_app.errors import NotSignedInError
from melanoma_app.extensions import attempts, db
from melanoma_app.models import User
from melanoma_app.models.audit import AuditChain
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.audit import record_event

FREE_FAILURES: Final = 5
"""So many in a row before the first wait. NIST SP 800-63B-4, 3.2.2, allows 100 in all; the waits keep to that."""
FIRST_HOLD: Final = timedelta(seconds=30)
LONGEST_HOLD: Final = timedelta(minutes=15)
FORGOTTEN_AFTER: Final = timedelta(days=1)
"""After so long without a failure the counting starts anew."""


class HeldError(NotSignedInError):
    """There were too many wrong attempts for this name; nothing of this one was looked at.

    Args:
        seconds: How long to wait, whole seconds.
        refusal: What is said of a wrong attempt: a held one is told nothing else, were it right or wrong.
    """

    def __init__(self, seconds: int, *, refusal: str) -> None:
        super().__init__(
            f"{refusal} There were too many attempts for this name. Wait and try again in {_in_words(seconds)}."
        )
        self.seconds = seconds


def hold_length(failures: int) -> timedelta:
    """How long the next attempt waits after so many failures in a row: 30 s from the fifth on, doubled up to 15 min."""
    if failures < FREE_FAILURES:
        return timedelta(0)
    doublings = min(failures - FREE_FAILURES, 10)
    return min(FIRST_HOLD * int(2**doublings), LONGEST_HOLD)


def check_not_held(*, user: User | None, username: str, refusal: str) -> None:
    """Refuse an attempt while the name is held, whether or not anybody has that name.

    Args:
        user: The account; None if nobody has the name.
        username: The name that was typed.
        refusal: What is said of a wrong attempt.

    Raises:
        HeldError: It is.
    """
    seconds = _seconds_left(user) if user else _Stranger(username).seconds_left()
    if seconds > 0:
        raise HeldError(seconds, refusal=refusal)


def count_failure(
    *, user: User | None, username: str, chain: AuditChain, origin: str, request_id: str
) -> None:
    """Count a wrong password or code, and hold the name after too many; the calling service commits.

    Args:
        user: The account, its row locked by the caller after the chain; None if nobody has the name.
        username: The name that was typed.
        chain: The clinic's chain (or the one without a clinic), locked.
        origin: Network address.
        request_id: Of the request.
    """
    failures = _count_for(user) if user else _Stranger(username).count()
    length = hold_length(failures)
    if length:
        record_event(
            action=AuditAction.SIGN_IN_HELD,
            actor=None,
            subject_public_id=user.public_id if user else None,
            details={"failures": failures, "seconds": int(length.total_seconds())},
            origin=origin,
            request_id=request_id,
            chain=chain,
        )


def forget_failures(*, user: User) -> None:
    """End a hold; the calling service commits."""
    user.failed_sign_ins, user.held_until = 0, None


def lock_attempts(*, user: User) -> None:
    """Lock the account's row and read what others have counted meanwhile.

    Guesses sent all at once are thereby looked at one after the other, so the hold stops the sixth.
    """
    db.session.refresh(
        user,
        attribute_names=["failed_sign_ins", "held_until", "is_active", "password_hash"],
        with_for_update=True,
    )


def _count_for(user: User) -> int:
    """Add one to the account's failures.

    `held_until` is set even where there is nothing to wait for: it then tells when the last failure was.
    """
    now = utc_now()
    is_long_ago = user.held_until is not None and now - user.held_until > FORGOTTEN_AFTER
    failures = 1 if is_long_ago else (user.failed_sign_ins or 0) + 1
    user.failed_sign_ins = failures
    user.held_until = now + hold_length(failures)
    return failures


def _seconds_left(user: User) -> int:
    return 0 if user.held_until is None else _whole_seconds(user.held_until, utc_now())


def _whole_seconds(until: datetime, now: datetime) -> int:
    return max(0, math.ceil((until - now).total_seconds()))


def _in_words(seconds: int) -> str:
    if seconds < 60:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    minutes = math.ceil(seconds / 60)
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


class _Stranger:
    """A name that nobody has, held in the same way, so that a hold does not tell which names exist.

    Counted where the limit by address is; with several processes that is Redis. Only a keyed digest of what was typed
    stands there: people type passwords into this box.

    Args:
        username: What was typed.
    """

    def __init__(self, username: str) -> None:
        secret = str(current_app.config["SECRET_KEY"]).encode()
        name = hmac.new(
            secret, b"sign-in hold\0" + username.encode(errors="surrogatepass"), hashlib.sha256
        ).hexdigest()
        self._failures, self._hold = f"sign-in-failures/{name}", f"sign-in-hold/{name}"

    def seconds_left(self) -> int:
        """How long the hold lasts; 0 without one."""
        storage = attempts.storage
        if not storage.get(self._hold):
            return 0
        # The storage reckons by this machine's own clock.
        return max(0, math.ceil(storage.get_expiry(self._hold) - time.time()))

    def count(self) -> int:
        """Add one to the failures and hold the name if it must be."""
        storage = attempts.storage
        failures = storage.get(self._failures) + 1
        length = int(hold_length(failures).total_seconds())
        # Written anew, since a count that is only added to ends when it was first going to.
        storage.clear(self._failures)
        storage.incr(self._failures, int(FORGOTTEN_AFTER.total_seconds()) + length, amount=failures)
        if length:
            storage.clear(self._hold)
            storage.incr(self._hold, length)
        return failures
