"""The account and administration pages in a real browser: readable, and the codes that an app would make are taken."""

from __future__ import annotations

import pyotp
import pytest
from playwright.sync_api import Page

from melanoma_app.models.vocabulary import Role
from tests.browser.conftest import Clinic, employ, sign_in
from tests.browser.reading import read_open_page

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])


@pytest.fixture
def signed_in(page: Page, served: Clinic) -> Page:
    """An administrator's page."""
    employ("ada", Role.ADMIN)
    sign_in(page, "ada")
    return page


def test_every_page_can_be_read_when_an_administrator_does_each_thing(
    signed_in: Page, complaints: list[str]
) -> None:
    page, faults = signed_in, []

    def read(name: str) -> None:
        faults.extend((name, fault) for fault in read_open_page(page))

    page.locator(".account-menu summary").click()
    page.get_by_role("navigation", name="Account").get_by_role("link", name="Users").click()
    read("users, with the menu on every page")
    page.get_by_role("link", name="Add a user").click()
    page.get_by_role("button", name="Add the user").click()
    read("a refused user")
    page.get_by_label("User name").fill("eva")
    page.get_by_role("radio", name="Clinician").check()
    page.get_by_role("button", name="Add the user").click()
    read("a one-time link")
    page.get_by_role("link", name="On to eva").click()
    page.get_by_text("What happens when eva is disabled").click()
    read("a user")
    page.goto("/clinic")
    read("the clinic")
    page.goto("/account/tokens")
    page.get_by_label("What it is for").fill("nightly statistics")
    page.get_by_role("checkbox", name="Read statistics").check()
    page.get_by_role("button", name="Make a token").click()
    read("a new token")
    page.goto("/account/tokens")
    read("tokens")
    page.goto("/account/second-factor")
    page.get_by_role("button", name="Set up a second factor").click()
    read("the key of a second factor")
    key = page.locator(".secret").inner_text().replace(" ", "")
    page.get_by_label("Code", exact=True).fill(pyotp.TOTP(key).now())
    page.get_by_role("button", name="Switch it on").click()
    page.get_by_role("heading", name="Recovery codes").wait_for()
    read("recovery codes")
    page.goto("/account/second-factor")
    read("a second factor")
    page.goto("/account")
    read("the account")

    assert faults == []
    assert complaints == []
