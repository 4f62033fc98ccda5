"""Signatures that end by the clinic's clock, so that every web server takes what another has signed."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, overload

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import SignatureExpired, TimestampSigner, URLSafeTimedSerializer

from melanoma_app.models.base import utc_now


class ClinicTimeSigner(TimestampSigner):
    """Signs and judges by the clinic's clock.

    A signature from a moment to come is taken: the one of a server whose clock is a little ahead. itsdangerous itself
    refuses what is a second too early, and whoever signs in at one server and is led on to another would be out again.
    """

    def get_timestamp(self) -> int:
        """Whole seconds since 1970."""
        return int(utc_now().timestamp())

    @overload
    def unsign(
        self, signed_value: str | bytes, max_age: int | None = None, return_timestamp: Literal[False] = False
    ) -> bytes: ...

    @overload
    def unsign(
        self, signed_value: str | bytes, max_age: int | None = None, return_timestamp: Literal[True] = True
    ) -> tuple[bytes, datetime]: ...

    def unsign(
        self, signed_value: str | bytes, max_age: int | None = None, return_timestamp: bool = False
    ) -> tuple[bytes, datetime] | bytes:
        """What was signed, at most `max_age` seconds ago.

        Args:
            signed_value: Value, time and signature.
            max_age: In seconds; None for as old as it may be.
            return_timestamp: Whether the time is given, too.

        Raises:
            BadSignature: It was not, or by another.
            SignatureExpired: It was, but longer ago.
        """
        value, signed_at = super().unsign(signed_value, return_timestamp=True)
        if max_age is not None and self.get_timestamp() - int(signed_at.timestamp()) > max_age:
            raise SignatureExpired(
                f"it was signed more than {max_age} s ago", payload=value, date_signed=signed_at
            )
        return (value, signed_at) if return_timestamp else value


class ClinicSessionInterface(SecureCookieSessionInterface):
    """Flask's own signed cookie, by the clinic's clock."""

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """As Flask's, with our signer."""
        serializer = super().get_signing_serializer(app)
        if serializer is not None:
            serializer.signer = ClinicTimeSigner
        return serializer


def timed_serializer(secret_key: str, *, salt: str) -> URLSafeTimedSerializer:
    """Signs small values for a while.

    Args:
        secret_key: The app's.
        salt: What it is for: what was signed for something else is refused.
    """
    return URLSafeTimedSerializer(secret_key, salt=salt, signer=ClinicTimeSigner)
