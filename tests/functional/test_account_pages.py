"""A person's own account: password, sessions, second factor, API tokens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pyotp
import pytest
from flask import Flask

from melanoma_app.models import ApiToken, AuditEvent, Clinic, RecoveryCode, SecondFactor, User, UserSession
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.security.permissions import ROLE_PERMISSIONS, Permission
from tests.browsing import Browser, Page, words
from tests.factories import OTHER_PASSWORD, PASSWORD, ApiTokenFactory, UserFactory, UserSessionFactory
from tests.records import Records

NEW_PASSWORD = "seven lanterns over water"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


def rows_of(page: Page, label: str) -> list[str]:
    """The rows of the table with this name, as a person reads them."""
    (table,) = [one for one in page.soup.find_all("table") if name_of(page, one) == label]
    return [words(row) for row in table.tbody.find_all("tr")]


def name_of(page: Page, table: object) -> str:
    label, title = table.get("aria-label"), table.get("aria-labelledby")  # type: ignore[attr-defined]
    return str(label) if label else words(page.soup.find(id=title))


class TestAccount:
    @pytest.mark.parametrize("database_kind", ["sqlite"])
    def test_page_says_who_one_is_when_opened(self, browser: Browser, user: User) -> None:
        page = browser.open("/account")

        assert page.status == 200
        for fact in (user.display_name, user.username, "Clinician", user.clinic.name):
            assert fact in page.text

    @pytest.mark.parametrize("database_kind", ["sqlite"])
    def test_account_is_in_the_menu_when_signed_in(
        self, sign_in: Callable[[User], Browser], clinic: Clinic
    ) -> None:
        for role, wanted in (
            (Role.ADMIN, ["/account", "/users", "/clinic", "/jobs", "/audit"]),
            (Role.NURSE, ["/account", "/jobs"]),
            (Role.ANALYST, ["/account"]),
        ):
            page = sign_in(UserFactory(clinic=clinic, role=role)).open("/api-docs")
            menu = page.soup.find("nav", attrs={"aria-label": "Account"})
            assert [link["href"] for link in menu.find_all("a")] == wanted


class TestPassword:
    def change(self, browser: Browser, **values: str) -> Page:
        given = {"current": PASSWORD, "password": NEW_PASSWORD, "again": NEW_PASSWORD} | values
        return browser.fill_in("/account", action="/account/password", **given)

    def test_new_password_opens_the_door_when_changed(self, browser: Browser, app: Flask, user: User) -> None:
        page = self.change(browser)

        assert (page.status, page.path) == (200, "/account")
        assert Browser(app.test_client()).sign_in(user.username, PASSWORD).status == 401
        assert Browser(app.test_client()).sign_in(user.username, NEW_PASSWORD).status == 200

    def test_only_this_session_goes_on_when_changed(
        self, browser: Browser, sign_in: Callable[[User], Browser], user: User
    ) -> None:
        other = sign_in(user)

        self.change(browser)

        assert browser.open("/account").path == "/account"
        assert other.client.get("/account").status_code != 200

    @pytest.mark.parametrize("database_kind", ["sqlite"])
    def test_password_stays_when_something_is_wrong(
        self, browser: Browser, user: User, records: Records
    ) -> None:
        for values, field in (
            ({"current": OTHER_PASSWORD}, "current"),
            ({"current": ""}, "current"),
            ({"password": "short", "again": "short"}, "password"),
            ({"again": "seven lanterns over land"}, "again"),
        ):
            page = self.change(browser, **values)

            assert page.status == 422
            assert page.error_of(field)
            typed = (PASSWORD, NEW_PASSWORD, OTHER_PASSWORD)
            assert not [one for one in typed if one in page.response.get_data(as_text=True)]
        assert records.one(User, User.id == user.id).password_hash == user.password_hash


class TestSessions:
    @pytest.mark.parametrize("database_kind", ["sqlite"])
    def test_browsers_are_told_apart_when_listed(self, browser: Browser, user: User) -> None:
        UserSessionFactory(user=user, user_agent=FIREFOX, origin="192.0.2.44")
        UserSessionFactory(user=user, revoked_at=utc_now())
        UserSessionFactory()

        rows = rows_of(browser.open("/account"), "Where you are signed in")

        assert len(rows) == 2
        (other,) = [row for row in rows if "This one" not in row]
        assert "Firefox on Windows" in other
        assert "192.0.2.44" in other

    def test_other_browser_is_signed_out_when_its_session_is_ended(
        self, browser: Browser, sign_in: Callable[[User], Browser], user: User, records: Records
    ) -> None:
        (own,) = records.all(UserSession)
        other = sign_in(user)
        (theirs,) = records.all(UserSession, UserSession.id != own.id)

        page = browser.fill_in("/account", action=f"/account/sessions/{theirs.public_id}/end")

        assert page.path == "/account"
        assert other.client.get("/account").status_code != 200

    def test_every_other_browser_is_signed_out_when_all_are_ended(
        self, browser: Browser, sign_in: Callable[[User], Browser], user: User, records: Records
    ) -> None:
        others = [sign_in(user), sign_in(user)]
        foreign = UserSessionFactory()

        page = browser.fill_in("/account", action="/account/sessions/end-others")

        assert len(rows_of(page, "Where you are signed in")) == 1
        assert {one.client.get("/account").status_code != 200 for one in others} == {True}
        assert records.one(UserSession, UserSession.id == foreign.id).revoked_at is None
        (event,) = records.all(AuditEvent, AuditEvent.action == AuditAction.SESSIONS_REVOKED)
        assert event.details == {"sessions_ended": 2}

    def test_session_is_not_there_when_it_is_a_colleagues(
        self, browser: Browser, user: User, records: Records
    ) -> None:
        theirs = UserSessionFactory(user=UserFactory(clinic=user.clinic))

        assert browser.post(f"/account/sessions/{theirs.public_id}/end").status_code == 404
        assert records.one(UserSession, UserSession.id == theirs.id).revoked_at is None


class TestSecondFactor:
    def begin(self, browser: Browser) -> tuple[Page, pyotp.TOTP]:
        """The page with the key, and an app that has taken the key from it."""
        page = browser.fill_in("/account/second-factor", action="/account/second-factor")
        key = words(page.soup.select_one(".secret")).replace(" ", "")
        return page, pyotp.TOTP(key)

    def enrol(self, browser: Browser) -> tuple[list[str], pyotp.TOTP]:
        page, app = self.begin(browser)
        codes = browser.send(page.form("/account/second-factor/confirm"), page, code=app.now())
        assert codes.status == 200, codes.text
        return [words(one) for one in codes.soup.select(".recovery-codes code")], app

    @pytest.mark.parametrize("database_kind", ["sqlite"])
    def test_key_is_shown_as_picture_and_text_when_begun(
        self, browser: Browser, user: User, records: Records
    ) -> None:
        page, app = self.begin(browser)

        assert page.soup.select_one(".qr-code svg path")
        assert len(app.secret) >= 32
        assert app.secret not in records.one(SecondFactor).secret
        assert "no-store" in page.headers["Cache-Control"]

    def test_ten_recovery_codes_are_shown_once_when_confirmed(
        self, browser: Browser, records: Records
    ) -> None:
        codes, _ = self.enrol(browser)

        assert len(set(codes)) == 10
        assert records.count(RecoveryCode) == 10
        page = browser.open("/account/second-factor")
        assert "On since" in page.text
        assert not [code for code in codes if code in page.text]

    def test_key_stays_the_same_when_the_code_is_wrong(self, browser: Browser, records: Records) -> None:
        page, app = self.begin(browser)

        again = browser.send(page.form("/account/second-factor/confirm"), page, code="12345")

        assert again.status == 422
        assert again.error_of("code")
        assert words(again.soup.select_one(".secret")).replace(" ", "") == app.secret
        assert records.one(SecondFactor).confirmed_at is None

    def test_nothing_changes_when_the_code_is_wrong(self, browser: Browser, records: Records) -> None:
        self.enrol(browser)
        before = sorted(one.code_sha256 for one in records.all(RecoveryCode))

        for act, field in (("codes", "code"), ("remove", "removal_code")):
            page = browser.fill_in(
                "/account/second-factor", action=f"/account/second-factor/{act}", **{field: "000000"}
            )
            assert page.status == 422
            assert page.error_of(field)

        assert records.one(SecondFactor).confirmed_at is not None
        assert sorted(one.code_sha256 for one in records.all(RecoveryCode)) == before

    def test_password_is_enough_again_when_removed(
        self, browser: Browser, app: Flask, user: User, records: Records
    ) -> None:
        _, authenticator = self.enrol(browser)
        # Each code works once, and the last one is used: the next one is taken, too.
        code = authenticator.at(utc_now() + timedelta(seconds=30))

        page = browser.fill_in(
            "/account/second-factor", action="/account/second-factor/remove", removal_code=code
        )

        assert (page.status, page.path) == (200, "/account/second-factor")
        assert records.count(SecondFactor) == records.count(RecoveryCode) == 0
        assert Browser(app.test_client()).sign_in(user.username, PASSWORD).path == "/"

    @pytest.mark.parametrize("database_kind", ["sqlite"])
    def test_removal_is_not_offered_when_the_clinic_requires_one(
        self, browser: Browser, clinic: Clinic, records: Records
    ) -> None:
        self.enrol(browser)
        records.execute("UPDATE clinic SET requires_second_factor = 1 WHERE id = :id", id=clinic.id)

        page = browser.open("/account/second-factor")

        assert "cannot be removed" in page.text
        with pytest.raises(AssertionError, match="no form"):
            page.form("/account/second-factor/remove")

    def test_only_the_enrolment_opens_when_the_clinic_requires_one_and_there_is_none(
        self, browser: Browser, clinic: Clinic, records: Records
    ) -> None:
        records.execute("UPDATE clinic SET requires_second_factor = 1 WHERE id = :id", id=clinic.id)

        for address in ("/", "/patients", "/account", "/account/tokens", "/api-docs"):
            assert browser.open(address).path == "/account/second-factor", address
        assert "requires a second factor" in browser.open("/account/second-factor").text
        self.enrol(browser)

        assert browser.open("/patients").path == "/patients"


class TestTokens:
    def make(self, browser: Browser, **values: object) -> Page:
        given = {"name": "nightly", "scopes": "statistics:read", "days": "7"} | values
        return browser.fill_in("/account/tokens", action="/account/tokens", **given)

    def test_secret_opens_the_api_within_its_scope_when_made(
        self, browser: Browser, app: Flask, records: Records
    ) -> None:
        page = self.make(browser)

        assert page.status == 200
        headers = {"Authorization": f"Bearer {words(page.soup.select_one('[data-secret]'))}"}
        client = app.test_client()
        assert client.get("/api/v1/statistics/age", headers=headers).status_code == 200
        assert client.get("/api/v1/patients", headers=headers).status_code == 403
        left = records.one(ApiToken).expires_at - utc_now()
        assert timedelta(days=6, hours=23) < left <= timedelta(days=7)

    @pytest.mark.parametrize("database_kind", ["sqlite"])
    def test_secret_is_never_shown_again_when_the_list_is_opened(self, browser: Browser) -> None:
        secret = words(self.make(browser).soup.select_one("[data-secret]"))

        page = browser.open("/account/tokens")

        assert secret not in page.response.get_data(as_text=True)
        (row,) = rows_of(page, "Your tokens")
        assert "nightly" in row
        assert "Valid" in row
        assert "Never" in row

    @pytest.mark.parametrize("database_kind", ["sqlite"])
    def test_scopes_offered_are_those_of_the_role_when_made(
        self, sign_in: Callable[[User], Browser], clinic: Clinic
    ) -> None:
        for role in (Role.ADMIN, Role.ANALYST):
            page = sign_in(UserFactory(clinic=clinic, role=role)).open("/account/tokens")

            boxes = page.soup.find_all("input", attrs={"name": "scopes"})
            assert {box["value"] for box in boxes} == {one.value for one in ROLE_PERMISSIONS[role]}
            assert not [box for box in boxes if box.has_attr("checked")]

    @pytest.mark.parametrize("database_kind", ["sqlite"])
    def test_nothing_is_made_when_something_is_wrong(self, browser: Browser, records: Records) -> None:
        for values, field in (
            ({"name": ""}, "name"),
            ({"scopes": Permission.MANAGE_USERS.value}, "scopes"),
            ({"days": "3650"}, "days"),
        ):
            page = self.make(browser, **values)

            assert page.status == 422
            assert page.soup.find(id=f"{field}-error").get_text(strip=True)
        assert records.count(ApiToken) == 0

    def test_token_opens_nothing_when_revoked(self, browser: Browser, user: User, app: Flask) -> None:
        token = ApiTokenFactory(user=user, secret="the-secret")

        page = browser.fill_in("/account/tokens", action=f"/account/tokens/{token.public_id}/revoke")

        assert "Revoked" in rows_of(page, "Your tokens")[0]
        headers = {"Authorization": "Bearer the-secret"}
        assert app.test_client().get("/api/v1/statistics/age", headers=headers).status_code == 401

    def test_token_is_not_there_when_it_is_a_colleagues(
        self, sign_in: Callable[[User], Browser], user: User, records: Records
    ) -> None:
        token = ApiTokenFactory(user=user)
        admin = sign_in(UserFactory(clinic=user.clinic, role=Role.ADMIN))

        assert admin.post(f"/account/tokens/{token.public_id}/revoke").status_code == 404
        assert records.one(ApiToken).revoked_at is None
