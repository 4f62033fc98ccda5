"""The overview's charts: drawn, followed, saved as a picture and as a file, printed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from melanoma_app.models.vocabulary import Role
from tests.browser.conftest import Clinic, employ, sign_in
from tests.browser.steps import add_lesion, register, send_photograph

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])

IS_PAINTED = """figure => {
    const canvas = figure.querySelector("canvas");
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return canvas.width > 0 && pixels.some(value => value !== 0);
}"""

PLACE_OF_FIRST_BAR = """canvas => {
    const chart = Chart.getChart(canvas);
    const bars = chart.data.datasets.flatMap((one, place) =>
        chart.getDatasetMeta(place).data.filter((bar, index) => one.data[index]));
    return { x: bars[0].x, y: (bars[0].y + bars[0].base) / 2 };
}"""


@pytest.fixture
def overview(page: Page, served: Clinic, photograph: bytes, tmp_path: Path) -> Page:
    """A clinician's overview of a clinic with one result, in a dark theme."""
    employ("clara", Role.CLINICIAN)
    sign_in(page, "clara")
    register(page, mrn="B-1")
    add_lesion(page)
    path = tmp_path / "photograph.jpg"
    path.write_bytes(photograph)
    send_photograph(page, path)
    page.wait_for_url("**/examinations/*")
    page.emulate_media(color_scheme="dark")
    page.goto("/?gender=female")
    page.wait_for_load_state("networkidle")
    return page


def test_charts_are_drawn_followed_and_saved_when_there_are_results(
    overview: Page, complaints: list[str]
) -> None:
    figures = overview.locator("figure[id^=by-]")
    assert [one.evaluate(IS_PAINTED) for one in figures.all()] == [True] * 7
    overview.emulate_media(color_scheme="light")
    assert [one.evaluate(IS_PAINTED) for one in figures.all()] == [True] * 7
    overview.emulate_media(color_scheme="dark")

    with overview.expect_download() as picture:
        overview.locator("#by-gender [data-save-picture]").click()
    with overview.expect_download() as file:
        overview.locator("#by-gender a[download]").click()

    pixels = np.asarray(Image.open(io.BytesIO(picture.value.path().read_bytes())).convert("RGB"))
    assert picture.value.suggested_filename == "by-gender.png"
    assert (pixels[:40] == 255).all()  # white paper, also from a dark page
    assert (pixels[40:220] < 128).any()  # title, sample and filters
    assert file.value.suggested_filename.startswith("gender-")
    assert "female" in file.value.path().read_text(encoding="utf-8-sig")

    bar = overview.locator("#by-gender canvas").evaluate(PLACE_OF_FIRST_BAR)
    overview.locator("#by-gender canvas").click(position=bar)
    overview.wait_for_url("**/examinations?*")
    assert overview.locator("a[href^='/predictions/']").count() == 1
    assert complaints == []


def test_print_has_light_charts_and_no_controls_when_the_page_is_dark(
    overview: Page, complaints: list[str]
) -> None:
    overview.emulate_media(media="print", color_scheme="dark")
    overview.evaluate("window.dispatchEvent(new Event('beforeprint'))")

    assert overview.locator("#by-gender").evaluate(IS_PAINTED)
    assert overview.locator("#by-gender canvas").evaluate("canvas => canvas.clientWidth") == 660
    assert overview.locator("#by-gender table").is_visible()
    for control in ("[data-print]", "[data-save-picture]", ".filters", "a[download]"):
        assert not overview.locator(control).first.is_visible(), control
    assert overview.get_by_text("Filters: gender female.").is_visible()
    assert complaints == []
