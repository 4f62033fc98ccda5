"""What a nurse does in the browser, a step each."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from playwright.sync_api import Page

from tests.photographs import shoot_again


def search_in_vain(page: Page, *, name: str) -> None:
    """Look for somebody who is not there; the page then offers to register them."""
    page.goto("/patients")
    page.locator("main").get_by_role("searchbox").fill(name)
    page.locator("main").get_by_role("searchbox").press("Enter")


def fill_in_patient(page: Page, *, mrn: str, family_name: str, birth_date: str) -> None:
    """Fill the registration form in, without sending it."""
    page.get_by_label("MRN").fill(mrn)
    page.get_by_label("Family name").fill(family_name)
    page.get_by_label("Given name").fill("Maria")
    page.get_by_label("Date of birth").fill(birth_date)
    page.get_by_role("radio", name="Female").check()
    page.get_by_label("Consent to analysis by a model").select_option("yes")


def register(page: Page, *, mrn: str, family_name: str = "Garcia", birth_date: str = "1962-04-27") -> None:
    """Register a patient and arrive on the page."""
    page.goto("/patients/new")
    fill_in_patient(page, mrn=mrn, family_name=family_name, birth_date=birth_date)
    page.get_by_role("button", name="Register the patient").click()
    page.get_by_role("heading", name=family_name).wait_for()


def add_lesion(page: Page) -> None:
    """Add a lesion on the patient's page and arrive at its new examination."""
    page.get_by_label("Site").select_option("upper extremity")
    page.get_by_role("button", name="Add and photograph").click()
    page.wait_for_url("**/images/new")


def send_photograph(page: Page, photograph: Path) -> None:
    """Choose a file and send it: another shot each time, for the same file is taken once."""
    page.locator("input[type=file]").first.set_input_files(
        {
            "name": photograph.name,
            "mimeType": "image/jpeg",
            "buffer": shoot_again(photograph.read_bytes()),
        }
    )
    page.locator("main form button[type=submit]").click()


def mark_on_body(page: Page, region: str) -> None:
    """Click into a region of the body map."""
    shape = page.locator(f"[data-region={region}]")
    shape.scroll_into_view_if_needed()
    box = shape.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def photograph_on(page: Page, photograph: Path, day: date | None = None) -> None:
    """Choose a file that was taken on a day, and send it."""
    if day is not None:
        page.get_by_label("Taken on").fill(day.isoformat())
    send_photograph(page, photograph)
