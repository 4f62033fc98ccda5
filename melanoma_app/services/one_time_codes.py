"""One-time codes: of an authenticator (RFC 6238), and recovery codes; how they are kept, read and used up."""

from __future__ import annotations

import base64
import logging
import secrets
from datetime import datetime
from typing import Any, Final, cast

import pyotp
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import current_app
from sqlalchemy import CursorResult, delete, update

from melanoma_app.extensions import db
from melanoma_app.models import RecoveryCode, SecondFactor, User
from melanoma_app.models.base import utc_now
from melanoma_app.services.secret_digest import digest_secret

STEP_S: Final = 30
"""RFC 6238's default, and all that authenticators agree on, as are SHA-1 and six digits."""
STEPS_EITHER_SIDE: Final = 1
"""Clocks differ and people type slowly (RFC 6238, 5.2)."""
RECOVERY_CODES: Final = 10
_RECOVERY_BYTES: Final = 15
"""120 bits: nobody guesses that, so a fast hash will do (OWASP ASVS 5.0, 6.5.2, asks for 112)."""
_RECOVERY_LENGTH: Final = _RECOVERY_BYTES * 8 // 5
_GROUP: Final = 4

logger = logging.getLogger(__name__)


def authenticator_of(secret: str) -> pyotp.TOTP:
    """What makes the codes of a secret."""
    return pyotp.TOTP(secret, interval=STEP_S)


def _cipher() -> Fernet:
    """The key for the secrets comes from SECRET_KEY, which is not in the database: a stolen dump opens none of them."""
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"melanoma_app second factor, 1")
    key = derivation.derive(str(current_app.config["SECRET_KEY"]).encode())
    return Fernet(base64.urlsafe_b64encode(key))


def encrypt_secret(secret: str) -> str:
    """The secret as it is kept."""
    return _cipher().encrypt(secret.encode("ascii")).decode("ascii")


def decrypt_secret(stored: str) -> str | None:
    """The secret as the authenticator has it; None once SECRET_KEY is another than when it was kept.

    The recovery codes then still sign in, and an administrator can clear the second factor.
    """
    try:
        return _cipher().decrypt(stored.encode("ascii")).decode("ascii")
    except InvalidToken:
        logger.warning("a second factor cannot be read: SECRET_KEY is not the one it was kept with")
        return None


def take_step(factor: SecondFactor, code: str) -> bool:
    """Use a code of the authenticator up; the calling service commits.

    An UPDATE takes it, which finds nothing the second time, so that of two requests at once one comes in.
    """
    step = step_of(code, factor, utc_now())
    if step is None:
        return False
    taken = db.session.execute(
        update(SecondFactor)
        .where(
            SecondFactor.user_id == factor.user_id,
            SecondFactor.last_step.is_(None) | (SecondFactor.last_step < step),
        )
        .values(last_step=step)
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", taken).rowcount == 1


def take_recovery_code(user: User, code: str) -> bool:
    """Use a recovery code up, in the same way."""
    plain = "".join(code.split()).replace("-", "").lower()
    if len(plain) != _RECOVERY_LENGTH:
        return False
    taken = db.session.execute(
        update(RecoveryCode)
        .where(
            RecoveryCode.user_id == user.id,
            RecoveryCode.code_sha256 == digest_secret(plain),
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=utc_now())
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", taken).rowcount == 1


def step_of(code: str, factor: SecondFactor, now: datetime) -> int | None:
    """The time step whose code this is, if it is one of those that are taken now."""
    plain, secret = "".join(code.split()), decrypt_secret(factor.secret)
    if secret is None:
        return None
    authenticator = authenticator_of(secret)
    present = int(now.timestamp()) // STEP_S
    matching = None
    for step in range(present - STEPS_EITHER_SIDE, present + STEPS_EITHER_SIDE + 1):
        # Every one is compared, in the time it takes: which of them fits is nobody's business.
        if secrets.compare_digest(
            authenticator.generate_otp(step).encode(), plain.encode(errors="surrogatepass")
        ):
            matching = step
    return matching


def draw_recovery_codes(user: User) -> list[str]:
    """Ten new recovery codes in place of the old ones; the calling service commits."""
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    plain = [
        base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode("ascii").lower()
        for _ in range(RECOVERY_CODES)
    ]
    db.session.add_all(RecoveryCode(user_id=user.id, code_sha256=digest_secret(code)) for code in plain)
    return ["-".join(code[start : start + _GROUP] for start in range(0, len(code), _GROUP)) for code in plain]
