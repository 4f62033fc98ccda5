"""The whole main job in a real browser, against the real server, on both databases."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import USERNAME, Clinic, sign_in
from tests.browser.steps import add_lesion, register, search_in_vain, send_photograph

COUNT_CHARTS = "figure[data-chart]:not([data-chart=rates])"
"""The charts of counts; those of rates need a signed review or a laboratory report."""


@pytest.fixture
def photograph_file(photograph: bytes, tmp_path: Path) -> Path:
    """The drawn photograph as a file to choose."""
    path = tmp_path / "photograph.jpg"
    path.write_bytes(photograph)
    return path


def test_result_is_on_patient_dashboard_and_statistics_when_a_nurse_does_the_main_job(
    signed_in: Page, served: Clinic, photograph_file: Path, complaints: list[str]
) -> None:
    page = signed_in
    search_in_vain(page, name="Garcia")
    page.get_by_role("link", name="Register").click()
    register(page, mrn="A-1")
    patient_address = page.url
    add_lesion(page)

    page.locator("input[type=file]").first.set_input_files(photograph_file)
    preview = page.locator("[data-shots] img")
    preview.wait_for(state="visible")
    assert preview.evaluate("image => image.decode().then(() => image.naturalWidth)") == 600
    page.locator("main form button[type=submit]").click()
    page.wait_for_url("**/examinations/*")
    image = fetch(served, f"/images/{page.url.rsplit('/', 1)[1]}")
    stored = image["prediction"]
    shown = page.locator("main").inner_text()
    assert f"{stored['malignancy_probability'] * 100:.1f} %" in shown
    assert stored["label"].capitalize() in page.get_by_role("heading", level=2).first.inner_text()
    assert f"{stored['threshold'] * 100:.1f} %" in shown
    assert f"{stored['model']['name']} {stored['model']['version']}" in shown

    page.goto(patient_address)
    assert page.locator(f"a[href$='{image['id']}']").first.is_visible()

    page.goto("/")
    charts = page.locator(COUNT_CHARTS)
    charts.locator("canvas").first.wait_for(state="visible")
    assert charts.count() == 7
    assert all(is_drawn(charts.nth(number)) for number in range(7))
    for number in range(7):
        assert series_sum(charts.nth(number), stored["label"]) == 1
    assert page.locator("main").get_by_role("link", name="Garcia, Maria").count() >= 1

    for path in ("gender", "age", "outcomes"):
        groups = fetch(served, f"/statistics/{path}")["groups"]
        side = "positive" if stored["label"] == "malignant" else "negative"
        assert sum(group[side] for group in groups) == 1
        assert sum(group["total"] for group in groups) == 1
    assert complaints == []


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_bar_opens_the_list_behind_it_when_clicked(signed_in: Page, photograph_file: Path) -> None:
    page = signed_in
    register(page, mrn="A-2")
    add_lesion(page)
    send_photograph(page, photograph_file)
    page.wait_for_url("**/examinations/*")
    page.goto("/")
    figure = page.locator(COUNT_CHARTS, has_text="Examinations by gender")
    figure.locator("canvas").wait_for(state="visible")
    figure.locator("canvas").click(position=first_bar(figure))
    page.wait_for_url("**/examinations?*")
    assert "gender=female" in page.url
    assert page.locator("main tbody tr").count() == 1


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_duplicate_is_shown_while_typing_when_somebody_alike_is_on_record(signed_in: Page) -> None:
    page = signed_in
    register(page, mrn="A-3")
    page.goto("/patients/new")
    page.get_by_label("Family name").fill("García")
    page.get_by_label("Given name").fill("María")
    warning = page.locator("[aria-live]").get_by_text("Garcia, Maria")
    warning.wait_for()
    page.get_by_label("Date of birth").fill("2999-01-01")
    page.get_by_label("Date of birth").blur()
    page.get_by_text("is in the future").wait_for()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_file_is_refused_with_a_reason_and_the_next_one_works_when_it_is_no_image(
    signed_in: Page, served: Clinic, tmp_path: Path, photograph_file: Path
) -> None:
    page = signed_in
    register(page, mrn="A-4")
    add_lesion(page)
    text = tmp_path / "letter.jpg"
    text.write_text("Dear colleague")
    send_photograph(page, text)
    page.get_by_role("status").get_by_text("not a photograph").wait_for()
    assert not served.image_folder.exists() or not [p for p in served.image_folder.rglob("*") if p.is_file()]
    page.get_by_role("button", name="Remove letter.jpg").click()
    send_photograph(page, photograph_file)
    page.wait_for_url("**/examinations/*")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_main_job_works_when_scripts_are_off(
    chromium: Browser, served: Clinic, photograph_file: Path
) -> None:
    context = chromium.new_context(base_url=served.address, java_script_enabled=False)
    context.set_default_timeout(15_000)
    page = context.new_page()
    sign_in(page)
    register(page, mrn="A-5")
    add_lesion(page)
    send_photograph(page, photograph_file)
    page.wait_for_url("**/examinations/*")
    page.goto("/")
    assert page.locator(f"{COUNT_CHARTS} table").count() == 7
    context.close()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_charts_leave_their_tables_when_the_library_cannot_be_loaded(
    signed_in: Page, complaints: list[str], photograph_file: Path
) -> None:
    page = signed_in
    page.route("**/chart.umd.min.js", lambda route: route.abort())
    register(page, mrn="A-6")
    add_lesion(page)
    send_photograph(page, photograph_file)
    page.wait_for_url("**/examinations/*")
    page.goto("/")
    assert page.locator(f"{COUNT_CHARTS} table").count() == 7
    assert page.locator("figure[data-chart] canvas").first.is_hidden()
    assert complaints == []


def fetch(served: Clinic, path: str) -> Any:
    """What the API says to a token of the nurse's."""
    token = served.flask("tokens", "create", USERNAME, "--all").strip()
    request = urllib.request.Request(
        f"{served.address}/api/v1{path}", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=15) as answer:
        return json.load(answer)


def is_drawn(figure: Any) -> bool:
    """Whether Chart.js has put colour on the canvas."""
    drawn: bool = figure.locator("canvas").evaluate(
        """canvas => {
            const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            return globalThis.Chart.getChart(canvas) !== undefined && pixels.some(value => value !== 0);
        }"""
    )
    return drawn


def series_sum(figure: Any, label: str) -> int:
    """The chart's own numbers for one outcome, added up."""
    total: int = figure.locator("canvas").evaluate(
        """(canvas, label) => globalThis.Chart.getChart(canvas).data.datasets
            .filter(series => series.label.toLowerCase().startsWith(label))
            .flatMap(series => series.data).reduce((sum, value) => sum + value, 0)""",
        label,
    )
    return total


def first_bar(figure: Any) -> dict[str, float]:
    """The middle of the first bar that is not zero, in the canvas."""
    place: dict[str, float] = figure.locator("canvas").evaluate(
        """canvas => {
            const chart = globalThis.Chart.getChart(canvas);
            for (const meta of chart.getSortedVisibleDatasetMetas()) {
                const index = chart.data.datasets[meta.index].data.findIndex(value => value > 0);
                if (index >= 0) {
                    const bar = meta.data[index];
                    return {x: bar.x, y: (bar.y + bar.base) / 2};
                }
            }
        }"""
    )
    return place
