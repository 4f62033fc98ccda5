"""Axe finds no serious fault on any page, and no page scrolls sideways on a telephone, light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from melanoma_app.models.vocabulary import Role
from tests.browser.conftest import Clinic, employ, sign_in
from tests.browser.steps import add_lesion, register, send_photograph
from tests.released import SERVED

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])

SERIOUS = ("serious", "critical")
PHONE_WIDTH_PX = 360


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
    lists = [
        "/",
        "/?age_min=x",
        "/patients",
        "/patients?search=nobody",
        "/examinations",
        "/crosstab",
        "/worklist",
        "/patients/new",
        "/models",
        f"/models/{SERVED.name}",
        "/api-docs",
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


def test_axe_finds_nothing_serious_when_it_reads_every_page(signed_in: Page, addresses: list[str]) -> None:
    faults = []
    # Dark colours are all that is another in the dark.
    for scheme, options in (("light", None), ("dark", {"runOnly": ["color-contrast"]})):
        signed_in.emulate_media(color_scheme=scheme)
        for address in addresses:
            signed_in.goto(address)
            signed_in.wait_for_load_state("networkidle")
            violations = Axe().run(signed_in, options=options).response["violations"]
            faults += [(scheme, address, v["id"]) for v in violations if v["impact"] in SERIOUS]
    assert faults == []


def test_sign_in_page_has_no_serious_fault_when_axe_reads_it(page: Page) -> None:
    page.goto("/sign-in")
    violations = Axe().run(page).response["violations"]
    assert [v["id"] for v in violations if v["impact"] in SERIOUS] == []


def test_no_page_scrolls_sideways_when_it_is_narrow(signed_in: Page, addresses: list[str]) -> None:
    signed_in.set_viewport_size({"width": PHONE_WIDTH_PX, "height": 780})
    too_wide = []
    for address in addresses:
        signed_in.goto(address)
        signed_in.wait_for_load_state("networkidle")
        width = signed_in.evaluate("document.documentElement.scrollWidth")
        if width > PHONE_WIDTH_PX:
            too_wide.append((address, width))
    assert too_wide == []


def test_api_page_lists_the_operations_when_opened(signed_in: Page, complaints: list[str]) -> None:
    signed_in.goto("/api-docs")
    signed_in.locator(".opblock").first.wait_for()
    assert signed_in.locator(".opblock").count() >= 9
    assert complaints == []
