"""Axe finds no serious fault on any page, and no page scrolls sideways on a telephone, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page

from melanoma_app.models.vocabulary import Role
from tests.browser.conftest import Clinic, employ, sign_in
from tests.browser.reading import read_open_page
from tests.browser.steps import add_lesion, register, search_in_vain, send_photograph
from tests.released import SERVED

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])

API_PAGE: Final = "/api-docs"


@pytest.fixture
def signed_in(page: Page, served: Clinic) -> Page:
    """A clinician's page: clinicians see the most."""
    employ("clara", Role.CLINICIAN)
    sign_in(page, "clara")
    return page


@pytest.fixture
def addresses(signed_in: Page, photograph: bytes, tmp_path: Path) -> list[str]:
    """Every page of a clinic with one lesion and two results, one of them signed."""
    page = signed_in
    register(page, mrn="B-1")
    patient = page.url
    add_lesion(page)
    new_examination = page.url
    path = tmp_path / "photograph.jpg"
    path.write_bytes(photograph)
    results = []
    for _ in range(2):
        page.goto(new_examination)
        send_photograph(page, path)
        page.wait_for_url("**/examinations/*")
        results.append(page.url)
    page.get_by_role("radio", name="I agree").check()
    page.get_by_role("radio", name="Refer").check()
    page.get_by_role("button", name="Sign", exact=True).click()
    page.get_by_role("heading", name="Signed review").wait_for()
    lesion = new_examination.removesuffix("/images/new")
    search_in_vain(page, name="nobody")
    searched = page.url
    lists = [
        "/",
        "/?age_min=x",
        "/patients",
        searched,
        "/examinations",
        "/crosstab",
        "/worklist",
        "/patients/new",
        "/models",
        f"/models/{SERVED.name}",
        API_PAGE,
        "/nowhere",
    ]
    return [
        *lists,
        *results,
        *(f"{results[0]}/{page}" for page in ("first-read", "report")),
        patient,
        *(f"{patient}/{page}" for page in ("edit", "merge")),
        lesion,
        *(f"{lesion}/{page}" for page in ("edit", "compare", "images/new")),
    ]


def test_every_page_can_be_read_when_light_dark_or_narrow(signed_in: Page, addresses: list[str]) -> None:
    faults = []
    for address in addresses:
        signed_in.goto(address)
        if address == API_PAGE:  # drawn after it was loaded
            signed_in.locator(".opblock").first.wait_for()
        faults += [(address, fault) for fault in read_open_page(signed_in)]
    assert faults == []


def test_sign_in_page_can_be_read_when_light_dark_or_narrow(page: Page) -> None:
    page.goto("/sign-in")
    assert read_open_page(page) == []


def test_api_page_lists_the_operations_when_opened(signed_in: Page, complaints: list[str]) -> None:
    signed_in.goto(API_PAGE)
    signed_in.locator(".opblock").first.wait_for()
    assert signed_in.locator(".opblock").count() >= 9
    assert complaints == []
