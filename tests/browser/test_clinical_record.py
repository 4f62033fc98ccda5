"""A dermatologist's day in a real browser: a lesion from first photograph to laboratory, and the worklist by keys."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageFilter
from playwright.sync_api import Page

from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import OutcomeLabel, Role
from tests.browser.conftest import Clinic, employ, sign_in
from tests.browser.steps import add_lesion, mark_on_body, photograph_on, register, search_in_vain

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])

MOST_TABS = 80


@pytest.fixture
def clinician(page: Page, served: Clinic) -> Page:
    """A clinician's page, on the overview."""
    employ("clara", Role.CLINICIAN)
    sign_in(page, "clara")
    return page


@pytest.fixture
def photograph_file(photograph: bytes, tmp_path: Path) -> Path:
    """The drawn photograph as a file to choose."""
    path = tmp_path / "photograph.jpg"
    path.write_bytes(photograph)
    return path


def test_lesion_is_followed_to_the_laboratory_when_a_clinician_does_each_step(
    clinician: Page, photograph_file: Path, complaints: list[str]
) -> None:
    page = clinician
    today = utc_now().date()
    search_in_vain(page, name="Garcia")
    register(page, mrn="C-1")
    mark_on_body(page, "front-left-forearm")
    assert "Left forearm, front" in page.locator("[data-body-map] [data-status]").inner_text()
    page.get_by_role("button", name="Add and photograph").click()
    page.wait_for_url("**/images/new")
    new_examination = page.url
    for days_ago in (300, 150):
        page.goto(new_examination)
        photograph_on(page, photograph_file, day=today - timedelta(days=days_ago))
        page.wait_for_url("**/examinations/*")
    page.goto(new_examination)
    page.get_by_label("Record my own impression").check()
    photograph_on(page, photograph_file)
    page.wait_for_url("**/first-read")
    first_read = page.url
    assert "probability" not in page.locator("main").inner_text().lower()

    page.get_by_role("radio", name="Unsure").check()
    page.get_by_role("button", name="Record my impression").click()
    page.wait_for_url(first_read.removesuffix("/first-read"))
    result = page.url
    assert "before the model's answer" in page.locator("main").inner_text()

    page.get_by_role("button", name="Show the heat map").click()
    page.locator("[data-heat-controls]").wait_for(state="visible")

    page.get_by_role("link", name="Earlier photographs").click()
    lesion = page.url
    assert "Left forearm, front" in page.locator("h1").inner_text()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/compare?*")
    page.get_by_label("Under a slider").check()
    page.locator("[data-wipe]").press("ArrowRight")
    assert page.locator("[data-wipe]").input_value() == "51"
    page.locator("[data-zoom-in]").click()
    assert page.locator("[data-zoom]").inner_text() != "100 %"

    page.goto(result)
    label = OutcomeLabel.BENIGN if page.locator(".verdict--benign").count() else OutcomeLabel.MALIGNANT
    other = next(one for one in OutcomeLabel if one is not label)
    page.get_by_role("radio", name=f"I override the model: {other}").check()
    page.get_by_role("radio", name="Biopsy").check()
    page.get_by_role("button", name="Sign", exact=True).click()
    assert "Say why you override the model" in page.locator("main").inner_text()
    page.get_by_label("Reason").fill("Grew within five months")
    page.get_by_role("button", name="Sign", exact=True).click()
    page.get_by_role("heading", name="Signed review").wait_for()
    review = page.locator("#review").inner_text()
    assert f"overrides the model, which said {label}" in review
    assert "Grew within five months" in review

    report = page.request.get(str(page.get_by_role("link", name="Report as PDF").get_attribute("href")))
    assert report.body().startswith(b"%PDF-")

    page.goto("/worklist")
    assert page.locator("#histology tbody tr").count() == 1
    page.goto(lesion)
    page.get_by_label("Diagnosis").fill("Melanoma in situ")
    page.get_by_role("radio", name="Malignant").check()
    page.get_by_label("Date of the report").fill(today.isoformat())
    page.get_by_role("button", name="Record the report").click()
    page.locator("[data-report]", has_text="Melanoma in situ").wait_for()
    page.goto("/worklist")
    assert page.locator("#histology tbody tr").count() == 0
    assert complaints == []


def test_worklist_is_signed_off_when_there_is_only_a_keyboard(
    clinician: Page, photograph_file: Path, complaints: list[str]
) -> None:
    page = clinician
    register(page, mrn="C-2")
    add_lesion(page)
    new_examination = page.url
    for _ in range(2):
        page.goto(new_examination)
        photograph_on(page, photograph_file)
        page.wait_for_url("**/examinations/*")
    page.goto("/worklist")
    assert page.locator("#unsigned tbody tr").count() == 2

    for _ in range(2):
        with page.expect_navigation():
            page.keyboard.press("n")
        tab_to(page, "conclusion")
        page.keyboard.press("Space")
        tab_to(page, "plan")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        assert page.get_by_role("radio", name="Refer").is_checked()
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Signed review").wait_for()
        page.wait_for_load_state()  # until then the keys are nobody's

    with page.expect_navigation():
        page.keyboard.press("n")
    page.get_by_text("Nothing is left to sign.").wait_for()
    assert complaints == []


def test_blurred_photograph_is_taken_in_with_a_reason_when_it_must_do(
    clinician: Page, photograph: bytes, tmp_path: Path, complaints: list[str]
) -> None:
    page = clinician
    register(page, mrn="C-3")
    add_lesion(page)
    blurred = tmp_path / "blurred.png"
    Image.open(BytesIO(photograph)).filter(ImageFilter.GaussianBlur(12)).save(blurred)
    sharp = tmp_path / "sharp.jpg"
    sharp.write_bytes(photograph)

    page.locator("input[type=file]").first.set_input_files([blurred, sharp])
    page.get_by_role("button", name="Send and get the result").click()
    refused = page.locator("[data-shots] > li", has_text="blurred.png")
    refused.get_by_text("The photograph is blurred").wait_for()
    page.locator("[data-shots] > li", has_text="sharp.jpg").get_by_role("link").wait_for()
    refused.get_by_label("Why this photograph must do").fill("The patient has left")
    refused.get_by_role("button", name="Use it all the same").click()

    page.wait_for_url("**/lesions/*")
    assert page.locator("a[href*='/examinations/']").count() >= 2
    assert complaints == []


def tab_to(page: Page, name: str) -> None:
    """Press Tab until a field has the focus."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == name:
            return
    raise AssertionError(f"{name} cannot be reached by keyboard")
