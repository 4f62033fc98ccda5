"""Redis does not answer: people sign in all the same, guesses are still counted, and nobody waits long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http import HTTPStatus

import pytest
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.extensions import REDIS_WAIT_S, limiter
from melanoma_app.models import User
from tests.api import error_of
from tests.browsing import Browser
from tests.databases import find_free_port
from tests.factories import OTHER_PASSWORD, PASSWORD

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> Iterator[FlaskClient]:
    """An app whose Redis is not there."""
    app = make_app(
        RATE_LIMIT_STORAGE_URL=f"redis://127.0.0.1:{find_free_port()}/1", SIGN_IN_RATE_LIMIT="7 per minute"
    )
    app.testing = False  # as when it serves
    yield app.test_client()
    limiter._storage_dead = False  # the extension outlives the app


def test_person_is_signed_in_within_moments_when_redis_is_gone(client: FlaskClient, user: User) -> None:
    started = time.monotonic()

    assert Browser(client).sign_in(user.username, PASSWORD).path == "/"
    assert time.monotonic() - started < 5 * REDIS_WAIT_S


def test_guesses_are_still_slowed_when_redis_is_gone(client: FlaskClient, user: User) -> None:
    browser = Browser(client)
    pages = [browser.sign_in("nobody", OTHER_PASSWORD) for _ in range(7)]

    assert {page.status for page in pages} == {HTTPStatus.UNAUTHORIZED}
    assert "too many attempts for this name" in pages[-1].text  # the hold of a name that nobody has
    assert browser.sign_in(user.username, PASSWORD).status == HTTPStatus.TOO_MANY_REQUESTS


def test_wrong_tokens_are_still_counted_when_redis_is_gone(client: FlaskClient) -> None:
    answers = [client.get("/api/v1/patients", headers={"Authorization": "Bearer wrong"}) for _ in range(8)]

    error_of(answers[0], HTTPStatus.UNAUTHORIZED)
    error_of(answers[-1], HTTPStatus.TOO_MANY_REQUESTS)
