"""Hostile list 13: a copied cookie after sign-out, password change, disabling → 401."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import pytest
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import User
from melanoma_app.models.vocabulary import Role
from melanoma_app.services.actor import Actor
from melanoma_app.services.password_resets import issue_password_reset, reset_password
from melanoma_app.services.second_factor import clear_second_factor
from melanoma_app.services.users import disable_user, enable_user
from tests.authenticators import set_up
from tests.browsing import Browser, Page
from tests.factories import PASSWORD, PatientFactory, UserFactory
from tests.records import Records

NEXT_PASSWORD = "a wholly new sentence"
ENDINGS = [
    "signed out",
    "password changed elsewhere",
    "switched off",
    "switched off and on again",
    "password reset by a link",
    "second factor set up elsewhere",
    "ended from another browser",
]


def copy_of(browser: Browser, app: Flask) -> FlaskClient:
    """Another browser that has the same cookie."""
    cookie = browser.client.get_cookie("session")
    assert cookie is not None
    thief = app.test_client()
    thief.set_cookie("session", cookie.value)
    return thief


@pytest.fixture
def end(
    app: Flask, user: User, records: Records, sign_in: Callable[[User], Browser]
) -> Callable[[str, Browser], None]:
    """End the user's sessions, in one of the ways in which that happens."""
    admin = Actor(user=UserFactory(clinic=user.clinic, role=Role.ADMIN))

    def end_by(ending: str, browser: Browser) -> None:
        elsewhere = sign_in(user)
        if ending == "signed out":
            page = browser.open("/")
            browser.send(page.form("/sign-out"), page)
        elif ending == "password changed elsewhere":
            elsewhere.fill_in(
                "/account",
                action="/account/password",
                current=PASSWORD,
                password=NEXT_PASSWORD,
                again=NEXT_PASSWORD,
            )
        elif ending == "ended from another browser":
            page = elsewhere.open("/account")
            elsewhere.send(page.form("/account/sessions/end-others"), page)
        elif ending == "second factor set up elsewhere":
            set_up(app, user, records)
        else:
            with app.app_context():
                if ending == "password reset by a link":
                    token = issue_password_reset(user_public_id=user.public_id, actor=admin)
                    reset_password(token=token, password=NEXT_PASSWORD, origin="192.0.2.1", request_id="r")
                else:
                    disable_user(public_id=user.public_id, actor=admin)
                    if ending == "switched off and on again":
                        enable_user(public_id=user.public_id, actor=admin)

    return end_by


@pytest.mark.parametrize("ending", ENDINGS)
def test_copied_cookie_opens_nothing_when_the_session_was_ended(
    browser: Browser, app: Flask, user: User, end: Callable[[str, Browser], None], ending: str
) -> None:
    """The answer is 401 with the sign-in form in it: the page itself for a person, a refusal for a program."""
    patient = PatientFactory(clinic=user.clinic)
    address = f"/patients/{patient.public_id}"
    thieves = [copy_of(browser, app) for _ in range(3)]
    assert thieves[0].get(address).status_code == HTTPStatus.OK

    end(ending, browser)

    with thieves[0].session_transaction() as session:
        token = session.get("csrf_token", "")
    opened = thieves[1].get(address)
    sent = thieves[2].post("/patients/new", data={"csrf_token": token})
    for answer in (opened, thieves[0].get("/patients.csv")):
        assert answer.status_code == HTTPStatus.UNAUTHORIZED
        assert "You were signed out" in Page(answer).text
        assert patient.family_name not in answer.get_data(as_text=True)
    assert sent.status_code in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED)
    assert opened.request.path == address
    assert thieves[1].get(address).status_code == HTTPStatus.UNAUTHORIZED  # and again


def test_own_session_goes_on_when_one_changes_the_password_in_it(browser: Browser, app: Flask) -> None:
    thief = copy_of(browser, app)
    other = Browser(app.test_client())

    page = browser.fill_in(
        "/account",
        action="/account/password",
        current=PASSWORD,
        password=NEXT_PASSWORD,
        again=NEXT_PASSWORD,
    )

    assert "Your password is changed" in page.text
    assert browser.client.get("/").status_code == HTTPStatus.OK
    assert other.client.get("/").status_code == HTTPStatus.FOUND
    assert thief.get("/").status_code == HTTPStatus.OK  # the same session: it was not ended


def test_tokens_of_programs_end_when_the_account_is_switched_off(
    client: FlaskClient, app: Flask, user: User, headers: dict[str, str]
) -> None:
    admin = Actor(user=UserFactory(clinic=user.clinic, role=Role.ADMIN))
    assert client.get("/api/v1/patients", headers=headers).status_code == HTTPStatus.OK
    with app.app_context():
        disable_user(public_id=user.public_id, actor=admin)

    assert client.get("/api/v1/patients", headers=headers).status_code == HTTPStatus.UNAUTHORIZED


def test_copied_cookie_opens_nothing_when_an_administrator_has_cleared_the_second_factor(
    client: FlaskClient, app: Flask, user: User, records: Records
) -> None:
    authenticator = set_up(app, user, records)
    browser = Browser(client)
    page = browser.sign_in(user.username, PASSWORD)
    assert browser.send(page.form(), page, code=authenticator.code()).path == "/"
    thief = copy_of(browser, app)
    with app.app_context():
        clear_second_factor(
            user_public_id=user.public_id,
            actor=Actor(user=UserFactory(clinic=user.clinic, role=Role.ADMIN)),
        )

    assert thief.get("/").status_code == HTTPStatus.UNAUTHORIZED
