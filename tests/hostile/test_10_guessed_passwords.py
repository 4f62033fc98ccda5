"""Hostile list 10: twenty wrong passwords on page and API are slowed, and the owner is not locked out for good."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import AuditEvent, User
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.services.actor import Actor
from melanoma_app.services.password_resets import issue_password_reset
from melanoma_app.services.sign_in_holds import hold_length
from tests.api import error_of
from tests.authenticators import set_up
from tests.browsing import Browser
from tests.factories import OTHER_PASSWORD, PASSWORD, UserFactory
from tests.records import Records

GUESSES = 20
LOOKED_AT = 5
WAIT = re.compile(r"Wait and try again in (30|[12]\d) seconds\.")


def guess(browser: Browser, username: str, times: int) -> list[str]:
    """What the page answers to wrong passwords, one after the other."""
    answers = []
    for _ in range(times):
        page = browser.sign_in(username, OTHER_PASSWORD)
        assert page.status == HTTPStatus.UNAUTHORIZED
        answers.append(page.text)
    return answers


def end_hold(records: Records, user: User) -> None:
    """Let the hold's time pass."""
    records.change(User, User.id == user.id, held_until=utc_now() - timedelta(seconds=1))


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every password that is compared with a hash."""
    seen: list[str] = []
    verify = PasswordHasher.verify

    def note(self: PasswordHasher, hashed: str, password: str) -> bool:
        seen.append(password)
        return bool(verify(self, hashed, password))

    monkeypatch.setattr(PasswordHasher, "verify", note)
    return seen


def test_five_of_twenty_guesses_are_looked_at_when_they_come_one_after_the_other(
    client: FlaskClient, user: User, records: Records, verified: list[str]
) -> None:
    browser = Browser(client)

    answers = guess(browser, user.username, GUESSES)
    right = browser.sign_in(user.username, PASSWORD)

    assert len(verified) == LOOKED_AT
    assert [WAIT.search(answer) is not None for answer in answers] == [False] * LOOKED_AT + [True] * 15
    assert right.status == HTTPStatus.UNAUTHORIZED
    assert WAIT.search(right.text)
    assert records.count(AuditEvent, AuditEvent.action == AuditAction.SIGN_IN_HELD) == 1
    assert records.count(AuditEvent, AuditEvent.action == AuditAction.SIGN_IN_FAILED) == GUESSES + 1


def test_owner_comes_in_when_the_hold_has_run_out(client: FlaskClient, user: User, records: Records) -> None:
    browser = Browser(client)
    guess(browser, user.username, LOOKED_AT)
    end_hold(records, user)

    assert browser.sign_in(user.username, PASSWORD).path == "/"
    assert records.one(User, User.id == user.id).failed_sign_ins == 0


def test_hold_doubles_when_guessing_goes_on(client: FlaskClient, user: User, records: Records) -> None:
    browser = Browser(client)
    guess(browser, user.username, LOOKED_AT)
    end_hold(records, user)

    guess(browser, user.username, 1)

    until = records.one(User, User.id == user.id).held_until
    assert until is not None
    assert timedelta(seconds=50) < until - utc_now() <= timedelta(seconds=60)


def test_hold_is_never_longer_than_a_quarter_of_an_hour_when_guessing_goes_on_for_ever() -> None:
    lengths = [hold_length(failures).total_seconds() for failures in (1, 4, 5, 6, 7, 8, 9, 10, 11, 10**9)]

    assert lengths == [0, 0, 30, 60, 120, 240, 480, 900, 900, 900]


def test_counting_starts_anew_when_the_last_failure_was_days_ago(
    client: FlaskClient, user: User, records: Records
) -> None:
    browser = Browser(client)
    guess(browser, user.username, LOOKED_AT)
    records.change(User, User.id == user.id, held_until=utc_now() - timedelta(days=1, minutes=1))

    guess(browser, user.username, 1)

    assert browser.sign_in(user.username, PASSWORD).path == "/"


def test_open_session_stays_open_when_somebody_guesses(browser: Browser, app: Flask, user: User) -> None:
    guess(Browser(app.test_client()), user.username, LOOKED_AT)

    assert browser.client.get("/").status_code == HTTPStatus.OK


def test_owner_comes_in_at_once_when_an_administrator_gives_a_link(
    client: FlaskClient, app: Flask, user: User
) -> None:
    admin = UserFactory(clinic=user.clinic, role=Role.ADMIN)
    guess(Browser(client), user.username, LOOKED_AT)
    with app.app_context():
        token = issue_password_reset(user_public_id=user.public_id, actor=Actor(user=admin))
    browser = Browser(app.test_client())
    browser.fill_in(f"/set-password/{token}", password="a wholly new sentence", again="a wholly new sentence")

    assert browser.sign_in(user.username, "a wholly new sentence").path == "/"


def test_codes_are_slowed_as_passwords_are_when_the_password_is_known(
    client: FlaskClient, app: Flask, user: User, records: Records
) -> None:
    authenticator = set_up(app, user, records)
    browser = Browser(client)
    page = browser.sign_in(user.username, PASSWORD)
    for _ in range(LOOKED_AT):
        page = browser.send(page.form(), page, code=authenticator.wrong_code())
        assert page.status == HTTPStatus.UNAUTHORIZED

    held = browser.send(page.form(), page, code=authenticator.code())
    again = Browser(app.test_client()).sign_in(user.username, PASSWORD)

    assert (held.status, again.status) == (401, 401)
    assert WAIT.search(held.text)
    assert WAIT.search(again.text)
    assert records.count(AuditEvent, AuditEvent.action == AuditAction.SECOND_FACTOR_FAILED) == LOOKED_AT


def test_address_is_slowed_when_it_keeps_guessing_whatever_the_name(
    make_app: Callable[..., Flask], records: Records
) -> None:
    browser = Browser(make_app(SIGN_IN_RATE_LIMIT="3 per minute").test_client())
    for number in range(3):
        guess(browser, f"somebody-{number}", 1)

    page = browser.sign_in("somebody-else", OTHER_PASSWORD)

    assert page.status == HTTPStatus.TOO_MANY_REQUESTS
    assert "Too many attempts" in page.text
    assert int(page.headers["Retry-After"]) <= 60


def test_wrong_tokens_are_slowed_and_the_right_one_goes_on_when_twenty_are_sent(
    make_app: Callable[..., Flask], headers: dict[str, str]
) -> None:
    client = make_app(SIGN_IN_RATE_LIMIT="10 per minute").test_client()
    answers = [
        client.get("/api/v1/patients", headers={"Authorization": f"Bearer guess-{number}"})
        for number in range(GUESSES)
    ]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 10
    error_of(answers[-1], HTTPStatus.TOO_MANY_REQUESTS)
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert client.get("/api/v1/patients", headers=headers).status_code == HTTPStatus.OK
