"""Signing in and out: who comes in, what a stranger learns, where one goes, and what the cookie is like."""

from __future__ import annotations

from collections.abc import Callable
from http.cookies import SimpleCookie
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import AuditEvent, User
from melanoma_app.models.vocabulary import AuditAction
from tests.browsing import Browser, words
from tests.factories import OTHER_PASSWORD, PASSWORD, UserFactory
from tests.records import Records


def session_cookie(client: FlaskClient, user: User, **options: str) -> SimpleCookie:
    """The cookie that a sign-in sets."""
    browser = Browser(client)
    page = browser.open("/sign-in", **options)
    data = {
        "csrf_token": page.form().find("input", attrs={"name": "csrf_token"})["value"],
        "username": user.username,
        "password": PASSWORD,
    }
    response = client.post("/sign-in", data=data, headers={"Referer": "https://localhost/"}, **options)
    assert response.status_code == 302, response.get_data(as_text=True)
    cookie = SimpleCookie()
    for header in response.headers.getlist("Set-Cookie"):
        cookie.load(header)
    return cookie


def test_overview_opens_when_name_and_password_are_right(client: FlaskClient, user: User) -> None:
    page = Browser(client).sign_in(user.username, PASSWORD)

    assert (page.status, page.path) == (200, "/")
    assert user.display_name in page.text


@pytest.mark.parametrize("case", ["wrong password", "unknown name", "switched off"])
def test_answer_is_the_same_when_anything_is_wrong(client: FlaskClient, user: User, case: str) -> None:
    username = {
        "unknown name": "nobody",
        "switched off": UserFactory(is_active=False).username,
    }.get(case, user.username)
    browser = Browser(client)
    reference = browser.sign_in(user.username, "some other password")

    page = browser.sign_in(username, OTHER_PASSWORD if case == "wrong password" else PASSWORD)

    assert page.status == reference.status == 401
    (alert,), (expected,) = (one.soup.find_all(role="alert") for one in (page, reference))
    assert words(alert) == words(expected)
    assert browser.client.get("/").status_code == 302


def test_name_is_kept_and_password_is_not_when_refused(client: FlaskClient, user: User) -> None:
    page = Browser(client).sign_in(user.username, OTHER_PASSWORD)

    assert page.soup.find("input", attrs={"name": "username"})["value"] == user.username
    assert not page.soup.find("input", attrs={"name": "password"}).get("value")


def test_fields_are_asked_for_when_left_empty(client: FlaskClient) -> None:
    page = Browser(client).sign_in("", "")

    assert page.status == 422
    assert page.error_of("username") == "Enter your user name."
    assert page.error_of("password") == "Enter your password."


def test_limit_holds_when_somebody_keeps_guessing(make_app: Callable[..., Flask], user: User) -> None:
    browser = Browser(make_app(SIGN_IN_RATE_LIMIT="3 per minute").test_client())
    for _ in range(3):
        assert browser.sign_in(user.username, OTHER_PASSWORD).status == 401

    page = browser.sign_in(user.username, PASSWORD)

    assert page.status == 429
    assert "Too many attempts" in page.text
    assert int(page.headers["Retry-After"]) <= 60


def test_form_still_opens_when_the_limit_is_reached(make_app: Callable[..., Flask], user: User) -> None:
    browser = Browser(make_app(SIGN_IN_RATE_LIMIT="1 per minute").test_client())
    browser.sign_in(user.username, OTHER_PASSWORD)
    browser.sign_in(user.username, OTHER_PASSWORD)

    assert browser.open("/sign-in").status == 200


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "https://evil.example",
        "http:evil.example",
        "http:///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\\/evil.example",
        "/\t/evil.example",
        "/%09/evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        "evil.example",
        " //evil.example",
        "",
    ],
)
def test_target_is_our_own_when_another_site_is_asked_for(
    client: FlaskClient, user: User, target: str
) -> None:
    browser = Browser(client)
    page = browser.open("/sign-in", query_string={"next": target})

    response = browser.send(
        page.form(), page, follow=False, username=user.username, password=PASSWORD
    ).response

    location = response.headers["Location"]
    assert location.isprintable()
    assert "\\" not in location
    assert urlsplit(urljoin("http://localhost/sign-in", location)).netloc == "localhost"


@pytest.mark.parametrize("target", ["/patients?search=ann", "/examinations?age_min=3&gender=female"])
def test_page_that_was_asked_for_opens_when_signed_in(client: FlaskClient, user: User, target: str) -> None:
    browser = Browser(client)
    page = browser.open(target)
    assert page.path == "/sign-in"

    after = browser.send(page.form(), page, username=user.username, password=PASSWORD)

    assert after.response.request.full_path == target


def test_page_asks_for_a_sign_in_when_nobody_is(client: FlaskClient) -> None:
    response = client.get("/patients?search=x")

    assert response.status_code == 302
    assert response.headers["Location"].startswith("/sign-in?next=")


def test_form_is_skipped_when_already_signed_in(browser: Browser) -> None:
    assert browser.open("/sign-in").path == "/"


class TestSession:
    def test_cookie_is_closed_to_scripts_and_other_sites_when_set(
        self, client: FlaskClient, user: User
    ) -> None:
        cookie = session_cookie(client, user)["session"]

        assert cookie["httponly"] is True
        assert cookie["samesite"] == "Lax"
        assert cookie["path"] == "/"
        assert not cookie["secure"]

    def test_cookie_travels_over_tls_alone_when_in_production(
        self, make_app: Callable[..., Flask], user: User
    ) -> None:
        client = make_app(ENVIRONMENT="production").test_client()

        cookie = session_cookie(client, user, base_url="https://localhost")["session"]

        assert cookie["secure"] is True
        assert cookie["httponly"] is True

    def test_session_is_a_new_one_when_signed_in(self, client: FlaskClient, user: User) -> None:
        browser = Browser(client)
        browser.open("/sign-in")
        with client.session_transaction() as session:
            session["planted"] = "by somebody else"

        browser.sign_in(user.username, PASSWORD)

        with client.session_transaction() as session:
            assert "planted" not in session

    def test_session_is_over_when_signed_out(self, browser: Browser, records: Records) -> None:
        page = browser.open("/")

        after = browser.send(page.form("/sign-out"), page)

        assert after.path == "/sign-in"
        assert browser.client.get("/").status_code == 302
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.SIGN_OUT) == 1

    def test_session_is_over_when_the_account_is_switched_off(
        self, browser: Browser, records: Records, user: User
    ) -> None:
        records.execute("UPDATE `user` SET is_active = 0 WHERE id = :id", id=user.id)

        assert browser.open("/").path == "/sign-in"

    @pytest.mark.parametrize("value", ["x", "00000000-0000-0000-0000-000000000000", "1"])
    def test_nobody_is_signed_in_when_the_session_names_nobody(
        self, client: FlaskClient, records: Records, value: str
    ) -> None:
        with client.session_transaction() as session:
            session["_user_id"] = value

        assert client.get("/").status_code == 302

    def test_nobody_is_signed_in_when_the_cookie_is_forged(self, browser: Browser, app: Flask) -> None:
        other = Flask("other")
        other.secret_key = "not the app's"
        with browser.client.session_transaction() as session:
            stolen = dict(session)
        forged = other.session_interface.get_signing_serializer(other).dumps(stolen)
        client = app.test_client()
        client.set_cookie("session", forged)

        assert client.get("/").status_code == 302


class TestCsrf:
    @pytest.mark.parametrize(
        "address",
        [
            "/sign-out",
            "/patients/new",
            "/patients/check",
            "/patients/5d0f7f0e-6c5b-4d5f-9a62-0f5a4a1f0c11/edit",
            "/patients/5d0f7f0e-6c5b-4d5f-9a62-0f5a4a1f0c11/lesions",
            "/lesions/5d0f7f0e-6c5b-4d5f-9a62-0f5a4a1f0c11/images/new",
        ],
    )
    @pytest.mark.parametrize("token", [None, "", "wrong"])
    def test_form_is_refused_when_its_token_is_missing_or_wrong(
        self, browser: Browser, address: str, token: str | None
    ) -> None:
        response = browser.client.post(address, data={} if token is None else {"csrf_token": token})

        assert response.status_code == 400
        assert response.mimetype == "text/html"

    def test_sign_in_is_refused_when_its_token_is_missing(self, client: FlaskClient, user: User) -> None:
        response = client.post("/sign-in", data={"username": user.username, "password": PASSWORD})

        assert response.status_code == 400

    def test_form_is_refused_when_the_token_is_of_another_session(
        self, browser: Browser, sign_in: Callable[[User], Browser]
    ) -> None:
        other = sign_in(UserFactory()).open("/patients/new")
        token = other.form().find("input", attrs={"name": "csrf_token"})["value"]

        assert browser.client.post("/patients/new", data={"csrf_token": token}).status_code == 400
