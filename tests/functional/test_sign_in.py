"""Signing in and out: who comes in, what a stranger learns, where one goes, and what the cookie is like."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import pytest
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import AuditEvent, Clinic, User, UserSession
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.security.permissions import Permission
from melanoma_app.services.password_resets import issue_password_reset
from melanoma_app.serving import _DiscreetRequestHandler
from tests.api import error_of
from tests.authenticators import Authenticator, set_up
from tests.browsing import Browser, words
from tests.factories import OTHER_PASSWORD, PASSWORD, ApiTokenFactory, PatientFactory, UserFactory
from tests.records import Records


def test_overview_opens_when_name_and_password_are_right(client: FlaskClient, user: User) -> None:
    page = Browser(client).sign_in(user.username, PASSWORD)

    assert (page.status, page.path) == (200, "/")
    assert user.display_name in page.text


def test_name_is_kept_and_password_is_not_when_refused(client: FlaskClient, user: User) -> None:
    page = Browser(client).sign_in(user.username, OTHER_PASSWORD)

    assert page.soup.find("input", attrs={"name": "username"})["value"] == user.username
    assert not page.soup.find("input", attrs={"name": "password"}).get("value")


def test_fields_are_asked_for_when_left_empty(client: FlaskClient) -> None:
    page = Browser(client).sign_in("", "")

    assert page.status == 422
    assert page.error_of("username") == "Enter your user name."
    assert page.error_of("password") == "Enter your password."


def test_form_still_opens_when_the_limit_is_reached(make_app: Callable[..., Flask], user: User) -> None:
    browser = Browser(make_app(SIGN_IN_RATE_LIMIT="1 per minute").test_client())
    browser.sign_in(user.username, OTHER_PASSWORD)
    browser.sign_in(user.username, OTHER_PASSWORD)

    assert browser.open("/sign-in").status == 200


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
    def test_session_is_over_when_signed_out(self, browser: Browser, records: Records) -> None:
        page = browser.open("/")

        after = browser.send(page.form("/sign-out"), page)

        assert after.path == "/sign-in"
        assert browser.client.get("/").status_code == 302
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.SIGN_OUT) == 1

    @pytest.mark.parametrize("value", ["x", "", "\ud800", 1, None, ["x"]])
    def test_nobody_is_signed_in_when_the_session_names_nobody(
        self, client: FlaskClient, records: Records, value: object
    ) -> None:
        with client.session_transaction() as session:
            session["token"] = value

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


class TestSecondStep:
    def test_overview_opens_when_password_and_code_are_right(
        self, client: FlaskClient, app: Flask, user: User, records: Records
    ) -> None:
        authenticator = set_up(app, user, records)
        browser = Browser(client)
        first = browser.open("/patients?search=ann")

        second = browser.send(first.form(), first, username=user.username, password=PASSWORD)
        after = browser.send(second.form(), second, code=authenticator.code())

        assert second.heading == "Second step"
        assert after.response.request.full_path == "/patients?search=ann"
        assert records.one(UserSession).second_factor_at is not None

    def test_overview_opens_when_a_recovery_code_is_given(
        self, client: FlaskClient, app: Flask, user: User, records: Records
    ) -> None:
        authenticator = set_up(app, user, records)
        browser = Browser(client)
        page = browser.sign_in(user.username, PASSWORD)

        assert browser.send(page.form(), page, code=authenticator.recovery_codes[0]).path == "/"

    def test_code_is_asked_for_again_when_wrong_or_left_out(
        self, client: FlaskClient, app: Flask, user: User, records: Records
    ) -> None:
        authenticator = set_up(app, user, records)
        browser = Browser(client)
        page = browser.sign_in(user.username, PASSWORD)

        wrong = browser.send(page.form(), page, code=authenticator.wrong_code())
        empty = browser.send(wrong.form(), wrong, code="")

        assert wrong.status == HTTPStatus.UNAUTHORIZED
        assert "The code is wrong, or was used already." in words(wrong.soup.find(role="alert"))
        assert empty.status == HTTPStatus.UNPROCESSABLE_ENTITY
        assert empty.error_of("code") == "Enter the code."
        assert client.get("/").status_code == HTTPStatus.FOUND

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_one_starts_again_when_there_was_no_first_step(
        self, client: FlaskClient, records: Records, method: str
    ) -> None:
        token = Browser(client).open("/sign-in").form().find("input", attrs={"name": "csrf_token"})["value"]

        response = client.open(
            "/sign-in/code", method=method, data={"csrf_token": token} if method == "POST" else None
        )

        assert response.headers["Location"] == "/sign-in"


class TestRequiredSecondFactor:
    @pytest.fixture(autouse=True)
    def clinic(self, clinic: Clinic, records: Records) -> Clinic:
        """A clinic that requires one."""
        records.change(Clinic, Clinic.id == clinic.id, requires_second_factor=True)
        return clinic

    @pytest.mark.parametrize(
        "address", ["/", "/patients", "/patients.csv", "/account", "/account/tokens", "/api-docs"]
    )
    def test_every_page_leads_to_its_set_up_when_one_has_none(self, browser: Browser, address: str) -> None:
        page = browser.open(address)

        assert page.path == "/account/second-factor"
        assert "Your clinic asks for a second factor." in page.text

    def test_one_can_sign_out_when_one_has_none(self, browser: Browser) -> None:
        page = browser.open("/account/second-factor")

        assert browser.send(page.form("/sign-out"), page).path == "/sign-in"

    def test_pages_open_when_it_is_set_up(self, browser: Browser) -> None:
        page = browser.open("/account/second-factor")
        page = browser.send(page.form("/account/second-factor"), page)
        (key,) = page.soup.select(".secret")

        browser.send(
            page.form("/account/second-factor/confirm"),
            page,
            code=Authenticator(words(key).replace(" ", "")).code(),
        )

        assert browser.open("/patients").path == "/patients"


class TestOneTimeLink:
    @pytest.fixture
    def token(self, app: Flask, user: User) -> str:
        """Of a link for the clinician."""
        with app.app_context():
            return issue_password_reset(user_public_id=user.public_id, actor=None)

    def test_secret_leaves_the_address_when_the_link_is_opened(
        self, client: FlaskClient, token: str, user: User
    ) -> None:
        page = Browser(client).open(f"/set-password/{token}")

        assert page.path == "/set-password"
        assert user.username in page.text
        assert token not in page.response.get_data(as_text=True)
        assert page.headers["Referrer-Policy"] in ("no-referrer", "same-origin")

    def test_new_password_opens_the_account_when_set(
        self, client: FlaskClient, token: str, user: User
    ) -> None:
        browser = Browser(client)

        page = browser.fill_in(f"/set-password/{token}", password=OTHER_PASSWORD, again=OTHER_PASSWORD)

        assert page.path == "/sign-in"
        assert "Your password is set." in page.text
        assert browser.sign_in(user.username, OTHER_PASSWORD).path == "/"

    @pytest.mark.parametrize(
        ("password", "again", "field", "message"),
        [
            ("too short", "too short", "password", "15 to 256 characters"),
            (OTHER_PASSWORD, PASSWORD, "again", "not the same"),
            ("", "", "password", "Enter a new password."),
        ],
    )
    def test_page_says_what_is_wrong_when_the_password_will_not_do(
        self, client: FlaskClient, token: str, password: str, again: str, field: str, message: str
    ) -> None:
        page = Browser(client).fill_in(f"/set-password/{token}", password=password, again=again)

        assert page.status == HTTPStatus.UNPROCESSABLE_ENTITY
        assert message in page.error_of(field)

    @pytest.mark.parametrize("address", ["/set-password", "/set-password/guess"])
    def test_page_says_whom_to_ask_when_the_link_is_none(
        self, client: FlaskClient, records: Records, address: str
    ) -> None:
        page = Browser(client).open(address)

        assert page.status == HTTPStatus.NOT_FOUND
        assert "Ask an administrator of your clinic for a new one." in page.text
        assert not page.soup.find_all("input", attrs={"name": "password"})


class TestAuditedRefusals:
    def test_refusal_is_on_record_when_a_role_does_not_allow_a_page(
        self, sign_in: Callable[[User], Browser], clinic: Clinic, records: Records
    ) -> None:
        nurse = UserFactory(clinic=clinic, role=Role.NURSE)

        assert sign_in(nurse).client.get("/patients.csv").status_code == HTTPStatus.FORBIDDEN

        (event,) = records.all(AuditEvent, AuditEvent.action == AuditAction.ACCESS_REFUSED)
        assert (event.actor_public_id, event.subject_public_id) == (nurse.public_id, None)
        assert event.details == {"endpoint": "exports.patients", "status": 403}

    @pytest.mark.parametrize("door", ["page", "operation"])
    def test_refusal_is_on_record_when_a_patient_is_another_clinics(
        self, browser: Browser, headers: dict[str, str], user: User, records: Records, door: str
    ) -> None:
        patient = PatientFactory()
        if door == "page":
            response = browser.client.get(f"/patients/{patient.public_id}")
        else:
            response = browser.client.get(f"/api/v1/patients/{patient.public_id}", headers=headers)

        assert response.status_code == HTTPStatus.NOT_FOUND
        (event,) = records.all(AuditEvent, AuditEvent.action == AuditAction.ACCESS_REFUSED)
        assert (event.actor_public_id, event.subject_public_id) == (user.public_id, patient.public_id)
        assert event.details["status"] == 404
        assert event.patient_public_id is None

    def test_nothing_is_on_record_when_an_address_is_mistyped(
        self, browser: Browser, records: Records
    ) -> None:
        assert browser.open("/patient").status == HTTPStatus.NOT_FOUND

        assert not records.all(AuditEvent, AuditEvent.action == AuditAction.ACCESS_REFUSED)

    def test_token_opens_its_scopes_alone_when_its_owner_may_do_more(
        self, client: FlaskClient, user: User, records: Records
    ) -> None:
        ApiTokenFactory(user=user, secret="narrow", scopes=[Permission.READ_STATISTICS.value])
        headers = {"Authorization": "Bearer narrow"}

        refused = client.get("/api/v1/patients", headers=headers)

        assert client.get("/api/v1/statistics/gender", headers=headers).status_code == HTTPStatus.OK
        assert "patients:read" in error_of(refused, HTTPStatus.FORBIDDEN)["message"]
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.ACCESS_REFUSED) == 1


def test_log_holds_no_secret_when_a_one_time_link_is_opened() -> None:
    handler = _DiscreetRequestHandler.__new__(_DiscreetRequestHandler)
    handler.command, handler.path, handler.client_address = "GET", "/set-password/the-secret?x=1", ("::1", 1)
    lines: list[str] = []
    handler.log = lambda kind, message, *values: lines.append(message % values)  # type: ignore[method-assign]

    handler.log_request(302)

    assert lines == ["GET /set-password/… 302"]
