"""The audit pages as an administrator reads them."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from melanoma_app.models.vocabulary import Role
from tests.browser.conftest import Clinic, employ, sign_in
from tests.browser.reading import read_open_page

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])


def test_log_can_be_read_filtered_and_verified_when_light_dark_or_narrow(page: Page, served: Clinic) -> None:
    employ("ada", Role.ADMIN)
    sign_in(page, "ada")

    page.goto("/audit")
    page.get_by_text("Show details of entry").first.click()
    assert read_open_page(page) == []

    page.get_by_label("What").select_option(label="Signed in")
    page.get_by_role("button", name="Apply filters").click()
    page.get_by_role("cell", name="Signed in").first.wait_for()
    assert "action=sign_in" in page.url

    page.get_by_role("button", name="Verify the chain").click()
    page.get_by_text("The chain holds.").wait_for()
    assert read_open_page(page) == []
