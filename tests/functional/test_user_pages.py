"""The pages of an administrator: the clinic's people, and its settings."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from flask import Flask

from melanoma_app.models import Clinic, SecondFactor, User
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import Role
from tests.browsing import Browser, Page, words
from tests.factories import PASSWORD, UserFactory, session
from tests.records import Records

NEW_PASSWORD = "seven lanterns over water"


@pytest.fixture
def admin(clinic: Clinic) -> User:
    return UserFactory(clinic=clinic, role=Role.ADMIN, username="ada")


@pytest.fixture
def browser(sign_in: Callable[[User], Browser], admin: User) -> Browser:
    """The administrator's."""
    return sign_in(admin)


@pytest.fixture
def nurse(clinic: Clinic) -> User:
    return UserFactory(clinic=clinic, role=Role.NURSE, username="nora", display_name="Nora")


def set_password_with(link: str, app: Flask) -> Page:
    """Open a one-time link as its owner does, and set a password."""
    browser = Browser(app.test_client())
    page = browser.open(urlsplit(link).path)
    form = page.form()
    names = [str(one["name"]) for one in form.find_all("input", attrs={"type": "password"})]
    return browser.send(form, page, **dict.fromkeys(names, NEW_PASSWORD))


def link_on(page: Page) -> str:
    return words(page.soup.select_one("[data-secret]"))


def turn_on_second_factor(user: User) -> None:
    session.add(SecondFactor(user_id=user.id, secret="x", confirmed_at=utc_now()))
    session.commit()


class TestUsers:
    def test_everybody_of_the_clinic_is_listed_when_opened(
        self, browser: Browser, nurse: User, outsider: User
    ) -> None:
        turn_on_second_factor(nurse)
        UserFactory(clinic=nurse.clinic, username="zoe", is_active=False)

        page = browser.open("/users")

        rows = [[words(cell) for cell in row.find_all("td")] for row in page.soup.tbody.find_all("tr")]
        assert [row[0] for row in rows] == ["ada", "nora", "zoe"]
        assert rows[1][1:] == ["Nora", "Nurse", "May sign in", "Yes", "Never"]
        assert rows[2][3:5] == ["Disabled", "No"]
        assert outsider.username not in page.text

    def test_newcomer_signs_in_with_a_password_nobody_else_knows_when_added(
        self, browser: Browser, app: Flask, clinic: Clinic, records: Records
    ) -> None:
        page = browser.fill_in("/users/new", username="eva", display_name="Eva", role="clinician")
        link = link_on(page)
        assert "eva" in page.heading

        set_password_with(link, app)

        stored = records.one(User, User.username == "eva")
        assert (stored.clinic_id, stored.role) == (clinic.id, Role.CLINICIAN)
        assert Browser(app.test_client()).sign_in("eva", NEW_PASSWORD).path == "/"
        assert link not in browser.open(f"/users/{stored.public_id}").response.get_data(as_text=True)

    @pytest.mark.parametrize("database_kind", ["sqlite"])
    def test_nobody_is_added_when_something_is_wrong(
        self, browser: Browser, nurse: User, records: Records
    ) -> None:
        for values, field in (
            ({"username": "e v a"}, "username"),
            ({"username": "nora"}, "username"),
            ({"role": "surgeon"}, "role"),
            ({"role": ""}, "role"),
        ):
            page = browser.fill_in(
                "/users/new", **({"username": "eva", "display_name": "", "role": "nurse"} | values)
            )
            assert page.status == 422
            assert page.error_of(field)
        assert records.count(User) == 2

    def test_changes_hold_at_the_next_click_when_edited(
        self, browser: Browser, nurse: User, sign_in: Callable[[User], Browser]
    ) -> None:
        theirs = sign_in(nurse)
        assert theirs.open("/patients").status == 200

        page = browser.fill_in(f"/users/{nurse.public_id}", display_name="Nora Oak", role="analyst")

        assert "The changes are saved." in page.text
        assert theirs.open("/patients").status == 403
        assert "Nora Oak" in theirs.open("/").text

    def test_own_role_stays_when_an_administrator_changes_it(
        self, browser: Browser, admin: User, records: Records
    ) -> None:
        page = browser.fill_in(f"/users/{admin.public_id}", role="nurse")

        assert page.status == 422
        assert "own role" in page.error_of("role")
        assert records.one(User, User.id == admin.id).role is Role.ADMIN

    def test_person_is_out_at_once_when_disabled(
        self, browser: Browser, nurse: User, sign_in: Callable[[User], Browser], app: Flask
    ) -> None:
        theirs = sign_in(nurse)
        address = f"/users/{nurse.public_id}"
        assert "Their API tokens are revoked for good" in browser.open(address).text

        browser.fill_in(address, action=f"{address}/disable")
        assert theirs.client.get("/patients").status_code != 200
        assert Browser(app.test_client()).sign_in("nora", PASSWORD).status == 401
        browser.fill_in(address, action=f"{address}/enable")

        assert theirs.client.get("/patients").status_code != 200
        assert Browser(app.test_client()).sign_in("nora", PASSWORD).path == "/"

    def test_disabling_oneself_is_refused_and_not_offered_when_tried(
        self, browser: Browser, admin: User, records: Records
    ) -> None:
        assert "Disable" not in browser.open(f"/users/{admin.public_id}").text
        assert browser.post(f"/users/{admin.public_id}/disable").status_code == 409
        assert records.one(User, User.id == admin.id).is_active

    def test_older_link_is_dead_when_a_newer_one_is_made(
        self, browser: Browser, nurse: User, app: Flask
    ) -> None:
        address = f"/users/{nurse.public_id}"
        older, newer = (link_on(browser.fill_in(address, action=f"{address}/link")) for _ in range(2))

        assert Browser(app.test_client()).open(urlsplit(older).path).status == 404
        set_password_with(newer, app)

        assert Browser(app.test_client()).sign_in("nora", NEW_PASSWORD).path == "/"

    def test_second_factor_is_gone_when_cleared(
        self, browser: Browser, nurse: User, records: Records
    ) -> None:
        turn_on_second_factor(nurse)
        address = f"/users/{nurse.public_id}"

        page = browser.fill_in(address, action=f"{address}/clear-second-factor")

        assert page.status == 200
        assert records.count(SecondFactor) == 0


class TestClinic:
    def test_settings_hold_when_saved(self, browser: Browser, clinic: Clinic, records: Records) -> None:
        page = browser.fill_in("/clinic", name="Skin clinic", time_zone="Asia/Tokyo", retention_years="10")

        assert (page.status, page.path) == (200, "/clinic")
        stored = records.one(Clinic, Clinic.id == clinic.id)
        assert (stored.name, stored.time_zone, stored.retention_years) == ("Skin clinic", "Asia/Tokyo", 10)
        assert "Skin clinic" in words(page.soup.header)

    @pytest.mark.parametrize("database_kind", ["sqlite"])
    def test_form_shows_what_is_on_record_when_opened(
        self, browser: Browser, clinic: Clinic, records: Records
    ) -> None:
        records.execute(
            "UPDATE clinic SET requires_second_factor = 0, retention_years = 30 WHERE id = :id", id=clinic.id
        )

        page = browser.open("/clinic")

        assert page.soup.find(id="retention_years")["value"] == "30"
        assert page.soup.select_one("#time_zone option[selected]")["value"] == "UTC"
        assert "Changing it does not move days" in page.text

    @pytest.mark.parametrize("database_kind", ["sqlite"])
    def test_nothing_is_saved_when_something_is_wrong(
        self, browser: Browser, clinic: Clinic, records: Records
    ) -> None:
        for values, field in (
            ({"name": ""}, "name"),
            ({"time_zone": "Moon/Tranquility"}, "time_zone"),
            ({"retention_years": "0"}, "retention_years"),
            ({"retention_years": "ten"}, "retention_years"),
            ({"requires_second_factor": "y"}, "requires_second_factor"),
        ):
            page = browser.fill_in("/clinic", **({"time_zone": "Asia/Tokyo"} | values))
            assert page.status == 422
            assert page.error_of(field)
        stored = records.one(Clinic, Clinic.id == clinic.id)
        assert (stored.name, stored.time_zone) == (clinic.name, "UTC")
        assert not stored.requires_second_factor

    @pytest.mark.parametrize("database_kind", ["sqlite"])
    def test_empty_years_mean_that_nobody_has_decided_when_saved(
        self, browser: Browser, clinic: Clinic, records: Records
    ) -> None:
        records.execute("UPDATE clinic SET retention_years = 30 WHERE id = :id", id=clinic.id)

        browser.fill_in("/clinic", retention_years="")

        assert records.one(Clinic, Clinic.id == clinic.id).retention_years is None
