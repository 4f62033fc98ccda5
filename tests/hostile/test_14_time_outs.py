"""Hostile list 14: timeouts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus

import pytest
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import PasswordReset, User, UserSession
from melanoma_app.models.base import utc_now
from melanoma_app.services.password_resets import issue_password_reset
from tests.authenticators import set_up
from tests.browsing import Browser
from tests.factories import PASSWORD
from tests.records import Records

SECOND = timedelta(seconds=1)


def leave_alone(records: Records, length: timedelta) -> None:
    """Let a session lie unused, by the clock of the database."""
    records.change(UserSession, last_seen_at=utc_now() - length)


def test_session_ends_when_it_was_not_used_for_half_an_hour(browser: Browser, records: Records) -> None:
    leave_alone(records, timedelta(minutes=30) + SECOND)

    page = browser.open("/patients?outcome=ann")

    assert page.status == HTTPStatus.UNAUTHORIZED
    assert page.heading == "Sign in"
    assert "You were signed out after 30 minutes without use." in page.text


def test_page_that_was_asked_for_opens_when_one_signs_in_again(
    browser: Browser, records: Records, user: User
) -> None:
    leave_alone(records, timedelta(hours=2))
    page = browser.open("/patients?outcome=ann")

    after = browser.send(page.form("/sign-in"), page, username=user.username, password=PASSWORD)

    assert after.response.request.full_path == "/patients?outcome=ann"


def test_session_goes_on_when_it_is_used_now_and_then(browser: Browser, records: Records) -> None:
    leave_alone(records, timedelta(minutes=29))

    assert browser.client.get("/").status_code == HTTPStatus.OK

    seen = records.one(UserSession).last_seen_at
    assert utc_now() - seen < timedelta(minutes=1)


def test_last_use_is_not_written_when_it_was_moments_ago(browser: Browser, records: Records) -> None:
    leave_alone(records, timedelta(seconds=30))
    before = records.one(UserSession).last_seen_at

    browser.open("/")

    assert records.one(UserSession).last_seen_at == before


def test_session_ends_when_it_is_eight_hours_old_however_busy(browser: Browser, records: Records) -> None:
    opened = records.one(UserSession)
    assert timedelta(0) <= opened.expires_at - opened.created_at - timedelta(hours=8) < SECOND
    browser.open("/")
    assert records.one(UserSession).expires_at == opened.expires_at  # use does not move it
    records.change(UserSession, expires_at=utc_now() - SECOND)

    page = browser.open("/")

    assert page.status == HTTPStatus.UNAUTHORIZED
    assert "You were signed out after 8 hours" in page.text


def test_times_are_others_when_the_settings_say_so(
    make_app: Callable[..., Flask], user: User, records: Records
) -> None:
    browser = Browser(make_app(SESSION_IDLE_MINUTES="1", SESSION_HOURS="1").test_client())
    browser.sign_in(user.username, PASSWORD)
    opened = records.one(UserSession)
    leave_alone(records, timedelta(minutes=1))

    page = browser.open("/")

    assert opened.expires_at - opened.created_at == timedelta(hours=1)
    assert "You were signed out after 1 minute without use." in page.text


def test_cookie_is_refused_when_it_is_older_than_any_session(
    browser: Browser, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signature has a time of its own: a cookie found on an old disk is not even looked up."""
    app.config["PERMANENT_SESSION_LIFETIME"] = timedelta(seconds=-1)

    assert browser.client.get("/").status_code == HTTPStatus.FOUND


def test_second_step_is_over_when_it_took_too_long(
    client: FlaskClient, app: Flask, user: User, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = set_up(app, user, records)
    browser = Browser(client)
    page = browser.sign_in(user.username, PASSWORD)
    monkeypatch.setattr("melanoma_app.services.second_step.SECOND_STEP_S", -1)

    after = browser.send(page.form(), page, code=authenticator.code())

    assert (after.path, records.count(UserSession)) == ("/sign-in", 0)
    assert "too long ago" in after.text


def test_one_time_link_is_over_when_it_is_an_hour_old(
    client: FlaskClient, app: Flask, user: User, records: Records
) -> None:
    with app.app_context():
        token = issue_password_reset(user_public_id=user.public_id, actor=None)
    records.change(PasswordReset, expires_at=utc_now() - SECOND)

    page = Browser(client).open(f"/set-password/{token}")

    assert page.status == HTTPStatus.NOT_FOUND
    assert "This link does not work" in page.text
