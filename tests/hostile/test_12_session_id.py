"""Hostile list 12: session id changes at sign-in."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import User, UserSession
from tests.authenticators import set_up
from tests.browsing import Browser
from tests.factories import PASSWORD
from tests.records import Records


def cookie_of(client: FlaskClient) -> str:
    cookie = client.get_cookie("session")
    assert cookie is not None
    return cookie.value


def test_nothing_of_before_is_kept_when_signed_in(client: FlaskClient, user: User) -> None:
    browser = Browser(client)
    browser.open("/sign-in")
    with client.session_transaction() as session:
        session["planted"] = "by somebody else"
        before = dict(session)

    browser.sign_in(user.username, PASSWORD)

    with client.session_transaction() as session:
        assert "planted" not in session
        assert session["token"]
        assert session.get("csrf_token") != before["csrf_token"]


def test_cookie_of_before_opens_nothing_when_its_browser_has_signed_in(
    client: FlaskClient, app: Flask, user: User
) -> None:
    """Whoever planted a cookie in somebody's browser is not signed in with them."""
    Browser(client).open("/sign-in")
    planted = cookie_of(client)
    thief = app.test_client()
    thief.set_cookie("session", planted)

    Browser(client).sign_in(user.username, PASSWORD)

    assert cookie_of(client) != planted
    assert thief.get("/").status_code == HTTPStatus.FOUND


def test_every_sign_in_opens_a_session_of_its_own_when_one_person_signs_in_twice(
    sign_in: Callable[[User], Browser], user: User, records: Records
) -> None:
    tokens = set()
    for browser in (sign_in(user), sign_in(user)):
        with browser.client.session_transaction() as session:
            tokens.add(session["token"])

    stored = {one.token_sha256 for one in records.all(UserSession)}
    assert len(tokens) == len(stored) == 2
    assert min(len(token) for token in tokens) >= 43  # 256 bits
    assert not tokens & stored


def test_nothing_is_open_when_only_the_password_was_given(
    client: FlaskClient, app: Flask, user: User, records: Records
) -> None:
    """Between the steps there is no session yet, and what there was is gone."""
    set_up(app, user, records)
    browser = Browser(client)
    with client.session_transaction() as session:
        session["planted"] = "by somebody else"

    assert browser.sign_in(user.username, PASSWORD).path == "/sign-in/code"

    with client.session_transaction() as session:
        assert set(session) <= {"second_step", "csrf_token", "_flashes"}
    assert records.count(UserSession) == 0
    assert client.get("/").status_code == HTTPStatus.FOUND
