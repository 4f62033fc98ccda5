"""An administrator switches the model in a real browser; the pages are sound, wide and narrow, light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from melanoma_app.models.vocabulary import Role
from tests.browser.conftest import Clinic, employ, sign_in
from tests.browser.reading import read_open_page
from tests.browser.steps import add_lesion, register, send_photograph
from tests.released import OTHER, OTHER_THRESHOLD, OTHER_VERSION, SERVED

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])

ADMIN = "ada"


@pytest.fixture
def model_folder(shelf: Path) -> Path:
    """Two released models, of which the newer serves by default."""
    return shelf


@pytest.fixture
def admin(served: Clinic, page: Page) -> Page:
    """An administrator's page."""
    employ(ADMIN, Role.ADMIN)
    sign_in(page, ADMIN)
    return page


def switch(page: Page, identifier: str) -> None:
    page.goto(f"/models/{identifier}")
    page.get_by_label("Reason").fill("Fewer false alarms")
    page.get_by_role("button", name=f"Score new photographs with {identifier}").click()
    page.get_by_role("status").get_by_text(f"now scored by {identifier}").wait_for()


def test_next_photograph_is_scored_by_the_model_that_was_switched_to(
    admin: Page, photograph: bytes, tmp_path: Path, complaints: list[str]
) -> None:
    path = tmp_path / "photograph.jpg"
    path.write_bytes(photograph)
    register(admin, mrn="M-1")
    patient = admin.url
    add_lesion(admin)
    send_photograph(admin, path)
    admin.wait_for_url("**/examinations/*")
    first = admin.url
    assert f"{OTHER_THRESHOLD * 100:.1f} %" in admin.locator("main").inner_text()

    switch(admin, SERVED.name)

    admin.goto(patient)
    admin.get_by_role("link", name="Photograph lesion 1").click()
    send_photograph(admin, path)
    admin.wait_for_url("**/examinations/*")
    assert SERVED.name.replace("-", " ") in admin.locator("main").inner_text()
    admin.goto(first)
    assert OTHER_VERSION in admin.locator("main").inner_text()
    admin.get_by_role("link", name="its model card").click()
    admin.get_by_role("heading", name=OTHER, level=1).wait_for()
    assert complaints == []


def test_page_tells_when_every_photograph_is_scored_again(
    admin: Page, photograph: bytes, tmp_path: Path, complaints: list[str]
) -> None:
    path = tmp_path / "photograph.jpg"
    path.write_bytes(photograph)
    admin.goto("/jobs")
    faults = read_open_page(admin)
    register(admin, mrn="M-1")
    add_lesion(admin)
    send_photograph(admin, path)
    admin.wait_for_url("**/examinations/*")
    switch(admin, SERVED.name)
    admin.goto(f"/models/{SERVED.name}")

    admin.get_by_role("button", name="Re-score all photographs").click()

    admin.locator("[data-state]").get_by_text("Done").wait_for()
    assert "1 of 1 done" in admin.locator("main").inner_text()
    faults += read_open_page(admin)
    admin.goto("/jobs")
    faults += read_open_page(admin)
    assert faults == []
    assert complaints == []


def test_plots_are_drawn_when_a_model_is_opened(admin: Page, complaints: list[str]) -> None:
    admin.goto(f"/models/{SERVED.name}")
    images = admin.locator(".plots img")
    for number in range(images.count()):
        images.nth(number).scroll_into_view_if_needed()
        assert images.nth(number).evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    assert complaints == []


def test_model_is_switched_when_scripts_are_off(chromium: Browser, served: Clinic) -> None:
    employ(ADMIN, Role.ADMIN)
    context = chromium.new_context(base_url=served.address, java_script_enabled=False)
    context.set_default_timeout(15_000)
    page = context.new_page()
    sign_in(page, ADMIN)
    switch(page, SERVED.name)
    context.close()


def test_model_pages_can_be_read_when_light_dark_or_narrow(admin: Page) -> None:
    faults = []
    for address in ("/models", f"/models/{SERVED.name}", f"/models/{OTHER}"):
        admin.goto(address)
        faults += [(address, fault) for fault in read_open_page(admin)]
    admin.goto(f"/models/{SERVED.name}")
    admin.get_by_role("button", name="Score new photographs").click()
    admin.get_by_role("alert").wait_for()
    faults += [("a refused form", fault) for fault in read_open_page(admin)]
    assert faults == []
