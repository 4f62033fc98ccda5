"""An authenticator as a person has it on the telephone, for tests that sign in with a second factor."""

from __future__ import annotations

import time

import pyotp
from flask import Flask

from melanoma_app.models import SecondFactor, User
from melanoma_app.services.actor import Actor
from melanoma_app.services.second_factor import begin_second_factor, confirm_second_factor
from tests.records import Records


class Authenticator:
    """Shows the code of now, of the step before or of the one after.

    Args:
        secret: In base32.
    """

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.recovery_codes: list[str] = []

    def code(self, *, steps: int = 0) -> str:
        return pyotp.TOTP(self.secret).at(time.time() + 30 * steps)

    def wrong_code(self) -> str:
        """Six digits that are none of those that are taken now, nor soon."""
        taken = {self.code(steps=steps) for steps in range(-2, 4)}
        return next(code for code in ("000000", "111111", "222222", "333333") if code not in taken)


def set_up(app: Flask, user: User, records: Records) -> Authenticator:
    """Give a user a second factor none of whose codes was used yet."""
    with app.app_context():
        authenticator = Authenticator(begin_second_factor(actor=Actor(user=user)).secret)
        authenticator.recovery_codes = confirm_second_factor(
            code=authenticator.code(), actor=Actor(user=user), session_id=0
        )
    records.change(SecondFactor, SecondFactor.user_id == user.id, last_step=0)
    return authenticator
