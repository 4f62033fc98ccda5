"""Hostile list 15: cookies forged with common keys."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any, Final

import pytest
from flask import Flask
from flask.sessions import session_json_serializer
from itsdangerous import URLSafeTimedSerializer

from melanoma_app.models import User
from tests.browsing import Browser
from tests.databases import SECRET_KEY
from tests.factories import UserFactory

COMMON_KEYS: Final = (
    "",
    " ",
    "secret",
    "Secret",
    "SECRET",
    "secret key",
    "secret_key",
    "secret-key",
    "SECRET_KEY",
    "secretkey",
    "my_secret_key",
    "mysecretkey",
    "super secret key",
    "super-secret",
    "supersecret",
    "super secret string",
    "your-secret-key",
    "your_secret_key_here",
    "dev",
    "dev-secret-key",
    "development",
    "development key",
    "change me",
    "changeme",
    "CHANGEME",
    "change-this-in-production",
    "hard to guess string",
    "you-will-never-guess",
    "not a secret",
    "keyboard cat",
    "password",
    "admin",
    "key",
    "test",
    "flask",
    "melanoma",
    "1234",
    "123456",
    '_5#y2L"F4Q8z\n\xec]/',
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    "A0Zr98j/3yX R~XHH!jmN]LWX/,?RT",
    "0123456789abcdef0123456789abcdef",
)
"""What tutorials, Flask's own documentation and flask-unsign's word list have, and what our tests write down."""
PAGES: Final = ("/", "/patients")


def sign(payload: dict[str, Any], key: str, *, salt: str = "cookie-session") -> str:
    """A session cookie as Flask signs it."""
    signer = URLSafeTimedSerializer(
        key,
        salt=salt,
        serializer=session_json_serializer,
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha1},
    )
    return str(signer.dumps(payload))


def opened_with(app: Flask, **cookies: str) -> list[int]:
    """What the pages answer to somebody who has these cookies alone."""
    client = app.test_client()
    for name, value in cookies.items():
        client.set_cookie(name, value)
    return [client.get(address).status_code for address in PAGES]


@pytest.fixture
def held(browser: Browser) -> dict[str, Any]:
    """What stands in the cookie of somebody who is signed in."""
    with browser.client.session_transaction() as session:
        return dict(session)


REFUSED: Final = [302] * len(PAGES)


def test_cookie_opens_nothing_when_it_is_signed_with_a_common_key(app: Flask, held: dict[str, Any]) -> None:
    assert opened_with(app, session=sign(held, SECRET_KEY)) == [200] * len(PAGES)
    for key in COMMON_KEYS:
        assert opened_with(app, session=sign(held, key)) == REFUSED, key


def test_cookie_opens_nothing_when_its_signature_is_left_out_or_of_another_kind(
    app: Flask, held: dict[str, Any]
) -> None:
    right = sign(held, SECRET_KEY)
    payload, stamp, signature = right.rsplit(".", 2)
    plain = urlsafe_b64encode(json.dumps(held).encode()).decode().rstrip("=")
    forged = (
        payload,
        plain,
        f"{payload}.{stamp}",
        f"{payload}.{stamp}.",
        f"{payload}.{stamp}.{signature[:-2]}",
        f"{plain}.{stamp}.{signature}",
        f"{payload}.{'A' * len(stamp)}.{signature}",
        sign(held, SECRET_KEY, salt="another"),
        right[::-1],
        "." * 100,
        "",
    )
    for cookie in forged:
        assert opened_with(app, session=cookie) == REFUSED, cookie


def test_cookie_opens_nothing_when_the_key_is_right_and_the_session_is_nobodys(
    app: Flask, held: dict[str, Any], user: User, sign_in: Callable[[User], Browser]
) -> None:
    """A leaked key alone is no session: what the cookie names must have been opened by a sign-in."""
    guessed = {
        "unknown": dict.fromkeys(held, "x" * 43),
        "numbers": dict.fromkeys(held, 1),
        "lists": {name: [value] for name, value in held.items()},
        "digest": {name: hashlib.sha256(str(value).encode()).hexdigest() for name, value in held.items()},
        "user id": {name: str(user.public_id) for name in held},
        "another app's": {
            "_user_id": str(user.public_id),
            "_fresh": True,
            "user_id": user.id,
            "role": "admin",
        },
        "nothing": {},
    }
    for kind, payload in guessed.items():
        assert opened_with(app, session=sign(payload, SECRET_KEY)) == REFUSED, kind


def test_nobody_is_remembered_when_a_remember_cookie_is_made_up(app: Flask, user: User) -> None:
    name = str(user.public_id)
    for key in (SECRET_KEY, "secret"):
        digest = hashlib.sha512(key.encode() + name.encode()).hexdigest()
        assert opened_with(app, remember_token=f"{name}|{digest}", user_id=name, role="admin") == REFUSED


def test_cookie_of_one_is_not_anothers_when_both_are_signed_in(
    app: Flask, held: dict[str, Any], user: User, sign_in: Callable[[User], Browser]
) -> None:
    other = UserFactory(clinic=user.clinic)
    with sign_in(other).client.session_transaction() as session:
        assert not {str(one) for one in held.values()} & {str(one) for one in dict(session).values()}


def test_session_opens_no_operation_when_no_token_is_sent(browser: Browser, held: dict[str, Any]) -> None:
    assert browser.client.get("/api/v1/patients").status_code == 401
    for value in held.values():
        headers = {"Authorization": f"Bearer {value}"}
        assert browser.client.get("/api/v1/patients", headers=headers).status_code == 401
