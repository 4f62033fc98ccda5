"""Signatures by the clinic's clock, taken by every web server."""

from __future__ import annotations

import pytest
from itsdangerous import BadSignature, SignatureExpired

from melanoma_app.security import timed_signature
from melanoma_app.security.timed_signature import ClinicTimeSigner, timed_serializer

SIGNER = timed_serializer("k" * 32, salt="tests")


class _Elsewhere(ClinicTimeSigner):
    """Of a server whose clock differs."""

    seconds = 0

    def get_timestamp(self) -> int:
        return super().get_timestamp() + self.seconds


def signed_elsewhere(monkeypatch: pytest.MonkeyPatch, seconds: int) -> str:
    monkeypatch.setattr(_Elsewhere, "seconds", seconds)
    with monkeypatch.context() as patch:
        patch.setattr(timed_signature, "ClinicTimeSigner", _Elsewhere)
        return str(timed_serializer("k" * 32, salt="tests").dumps("x"))


def test_value_comes_back_when_the_signing_server_is_a_little_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SIGNER.loads(signed_elsewhere(monkeypatch, 2), max_age=60) == "x"


def test_value_is_refused_when_it_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SignatureExpired):
        SIGNER.loads(signed_elsewhere(monkeypatch, -62), max_age=60)
    assert SIGNER.loads(signed_elsewhere(monkeypatch, -62), max_age=120) == "x"


def test_value_is_refused_when_another_has_signed_it() -> None:
    with pytest.raises(BadSignature):
        SIGNER.loads(timed_serializer("j" * 32, salt="tests").dumps("x"), max_age=60)
    with pytest.raises(BadSignature):
        SIGNER.loads(timed_serializer("k" * 32, salt="another").dumps("x"), max_age=60)
