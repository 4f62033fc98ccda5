"""A nurse uploads many photographs in a real browser, is interrupted, and goes on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from playwright.sync_api import FilePayload, Page, Route

from tests.browser.reading import read_open_page
from tests.browser.steps import register
from tests.photographs import draw_photograph

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])

NAMES = ("1.jpg", "2.jpg", "3.jpg")


@pytest.fixture
def manifest(signed_in: Page) -> FilePayload:
    """Three photographs of one patient, who is on record."""
    register(signed_in, mrn="M-1")
    rows = [f"{name},M-1,palms/soles,2024-03-01" for name in NAMES]
    text = "\n".join(["image,mrn,anatom_site_general,captured_on", *rows])
    return {"name": "manifest.csv", "mimeType": "text/csv", "buffer": text.encode()}


def draw(names: Sequence[str]) -> list[FilePayload]:
    return [
        {"name": name, "mimeType": "image/jpeg", "buffer": draw_photograph(seed=seed)}
        for seed, name in enumerate(names)
    ]


def test_photographs_are_taken_in_when_some_come_later_and_the_server_is_busy(
    signed_in: Page, manifest: FilePayload, complaints: list[str]
) -> None:
    page = signed_in
    page.goto("/patients")
    page.get_by_role("link", name="Upload many photographs").click()
    page.get_by_label("Manifest").set_input_files({**manifest, "buffer": manifest["buffer"] + b"\n4.jpg"})
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_text("Row 5: The row has 1 cells").wait_for()
    faults = read_open_page(page)

    busy = []
    # More than a form has fields.
    strangers: list[FilePayload] = [
        {"name": f"cat{number}.jpg", "mimeType": "image/jpeg", "buffer": b"cat"} for number in range(1100)
    ]

    def be_busy_once(route: Route) -> None:
        if busy:
            route.continue_()
        else:
            busy.append(route.request.url)
            route.fulfill(status=503, headers={"Retry-After": "1"}, body="busy")

    page.route("**/photographs", be_busy_once)
    page.get_by_label("Manifest").set_input_files(manifest)
    page.get_by_label("Photographs", exact=True).set_input_files([*draw(NAMES[:2]), *strangers])
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_text("cat1099.jpg: It has come already, or no row").wait_for()
    page.get_by_role("link", name="Look at what is missing").click()
    page.get_by_text("2 of 3 have come").wait_for()
    assert len(busy) == 1
    faults += read_open_page(page)

    page.get_by_label("Photographs to send").set_input_files(draw(NAMES))
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_text("1.jpg: It has come already").wait_for()

    page.locator("[data-state]").get_by_text("Done").wait_for()
    assert "3 of 3 done" in page.locator("main").inner_text()
    faults += read_open_page(page)
    assert faults == []
    assert complaints == []
