"""The worklist's pages: what is open, on to the next one, the counts of every page, and the lists as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from bs4 import Tag
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import AuditEvent, Clinic, LesionImage, User
from melanoma_app.models.vocabulary import AuditAction, OutcomeLabel, ReviewPlan, Role
from tests.browsing import Browser, Page, words
from tests.factories import LesionFactory, LesionImageFactory, PredictionFactory, ReviewFactory, UserFactory
from tests.records import Records
from tests.worklists import list_what_waits

NOW = datetime.now(UTC)


@pytest.fixture
def waits(app: Flask, clinic: Clinic) -> Callable[[], None]:
    """Put on the clinic's worklist what the factories wrote: they do not call the services that keep it up."""

    def put_on_worklist() -> None:
        with app.app_context():
            list_what_waits(clinic.id)

    return put_on_worklist


@pytest.fixture
def images(clinic: Clinic, waits: Callable[[], None]) -> list[LesionImage]:
    """Two scored photographs and one that no model has looked at, in the order of the worklist."""
    lesion = LesionFactory(patient__clinic=clinic)
    photographs = [LesionImageFactory(lesion=lesion) for _ in range(3)]
    PredictionFactory(lesion_image=photographs[0], label=OutcomeLabel.MALIGNANT, malignancy_probability=0.75)
    PredictionFactory(lesion_image=photographs[1], malignancy_probability=0.25)
    waits()
    return photographs


@pytest.fixture
def reviews(clinic: Clinic, waits: Callable[[], None]) -> None:
    """Two biopsies without a report, one of them overdue, and one lesion whose monitoring is overdue."""
    for days, plan in ((40, ReviewPlan.BIOPSY), (2, ReviewPlan.BIOPSY), (100, ReviewPlan.MONITOR)):
        moment = NOW - timedelta(days=days)
        due_on: date | None = (NOW - timedelta(days=10)).date() if plan is ReviewPlan.MONITOR else None
        image = LesionImageFactory(lesion__patient__clinic=clinic, captured_at=moment)
        ReviewFactory(prediction=None, lesion_image=image, signed_at=moment, plan=plan, due_on=due_on)
    waits()


def row_links(page: Page, section: str) -> list[str]:
    return [str(link["href"]) for link in page.soup.select(f"#{section} a[data-row]")]


def nav_count(page: Page) -> str | None:
    count = page.soup.select_one(".site-nav [data-count]")
    return words(count) if count else None


def result_of(image: LesionImage) -> str:
    return f"/examinations/{image.public_id}"


def test_unsigned_stand_in_order_when_the_page_is_opened(browser: Browser, images: list[LesionImage]) -> None:
    page = browser.open("/worklist")

    assert row_links(page, "unsigned") == [result_of(image) for image in images]
    assert "Malignant — suspicious 75.0 %" in words(page.soup.select_one("#unsigned tbody tr"))
    assert "No model has looked at it" in page.text


@pytest.mark.usefixtures("reviews")
def test_waiting_is_told_in_words_when_the_page_is_opened(browser: Browser) -> None:
    page = browser.open("/worklist")

    reports = [words(cell) for cell in page.soup.select("#histology td[data-label=Report]")]
    assert reports == ["Overdue", "Awaited"]
    assert "(10 days ago)" in words(page.soup.select_one("#monitoring td[data-label='Was due']"))


def test_only_suspicious_ones_are_shown_when_the_tile_is_opened(
    browser: Browser, images: list[LesionImage]
) -> None:
    overview = browser.open("/")
    tiles = {words(tile.select_one(".tile__label")): tile for tile in overview.soup.select("li.tile")}
    tile = tiles["High risk, unsigned"]
    page = browser.open(str(tile.find("a")["href"]).partition("#")[0])

    assert words(tile.select_one(".tile__number")) == "1"
    assert row_links(page, "unsigned") == [result_of(images[0])]


@pytest.mark.usefixtures("reviews")
def test_tiles_count_what_waits_when_the_overview_is_opened(
    browser: Browser, images: list[LesionImage]
) -> None:
    numbers = {
        words(tile.select_one(".tile__label")): words(tile.select_one(".tile__number"))
        for tile in browser.open("/").soup.select("li.tile")
    }

    assert (numbers["Awaiting review"], numbers["Histology overdue"]) == ("3", "1")


class TestNext:
    def go(self, client: FlaskClient, after: object = None) -> str:
        response = client.get("/worklist/next", query_string={"after": after} if after else {})
        assert response.status_code == 302
        return str(response.headers["Location"])

    def test_next_one_is_opened_when_the_one_before_was_signed(
        self, browser: Browser, images: list[LesionImage], waits: Callable[[], None]
    ) -> None:
        ReviewFactory(prediction=None, lesion_image=images[0])
        waits()

        assert self.go(browser.client, images[0].public_id) == result_of(images[1])
        assert self.go(browser.client) == result_of(images[1])

    def test_passed_over_one_is_opened_when_the_end_is_reached(
        self, browser: Browser, images: list[LesionImage], waits: Callable[[], None]
    ) -> None:
        ReviewFactory(prediction=None, lesion_image=images[2])
        waits()

        assert self.go(browser.client, images[2].public_id) == result_of(images[0])
        assert "That was the end of the worklist." in browser.open("/worklist").text

    def test_worklist_says_so_when_nothing_is_left(
        self, browser: Browser, images: list[LesionImage], waits: Callable[[], None]
    ) -> None:
        for image in images:
            ReviewFactory(prediction=None, lesion_image=image)
        waits()

        page = browser.open(f"/worklist/next?after={images[2].public_id}")

        assert page.path == "/worklist"
        assert "Nothing is left to sign." in page.text

    def test_photograph_is_not_there_when_it_is_another_clinics(
        self, sign_in: Callable[[User], Browser], outsider: User, images: list[LesionImage]
    ) -> None:
        assert sign_in(outsider).open(f"/worklist/next?after={images[0].public_id}").status == 404


@pytest.mark.usefixtures("reviews", "images")
class TestCountOfTheNavigation:
    @pytest.mark.parametrize("role", [Role.CLINICIAN, Role.NURSE])
    def test_count_stands_on_every_page_when_one_may_see_patients(
        self, sign_in: Callable[[User], Browser], clinic: Clinic, role: Role
    ) -> None:
        browser = sign_in(UserFactory(clinic=clinic, role=role))

        assert {nav_count(browser.open(address)) for address in ("/", "/models", "/api-docs")} == {"6"}

    def test_there_is_no_count_when_an_analyst_looks(
        self, sign_in: Callable[[User], Browser], clinic: Clinic
    ) -> None:
        page = sign_in(UserFactory(clinic=clinic, role=Role.ANALYST)).open("/")

        assert nav_count(page) is None
        assert not page.soup.select("a[href^='/worklist']")

    def test_there_is_no_count_when_the_page_tells_of_an_error(self, browser: Browser) -> None:
        for address in ("/nowhere", "/patients/5d0f7f0e-6c5b-4d5f-9a62-0f5a4a1f0c11"):
            page = browser.open(address)
            assert page.status == 404
            assert page.soup.select_one(".site-nav a[href='/worklist']")
            assert nav_count(page) is None

    def test_nothing_is_counted_when_all_is_another_clinics(
        self, sign_in: Callable[[User], Browser], outsider: User
    ) -> None:
        page = sign_in(outsider).open("/worklist")

        assert nav_count(page) is None
        assert not page.soup.select("a[data-row]")


class TestExport:
    @pytest.mark.usefixtures("reviews")
    @pytest.mark.parametrize(
        ("address", "rows"),
        [
            ("/patients.csv", 4),
            ("/examinations.csv?outcome=malignant", 1),
            ("/worklist.csv", 6),
            ("/worklist.csv?outcome=malignant", 4),
        ],
    )
    def test_file_has_the_rows_of_the_list_when_exported(
        self,
        browser: Browser,
        images: list[LesionImage],
        records: Records,
        recount: Callable[[], None],
        address: str,
        rows: int,
    ) -> None:
        recount()

        response = browser.client.get(address)

        name = address[1:].partition(".")[0]
        assert response.mimetype == "text/csv"
        assert response.headers["Content-Disposition"] == f"attachment; filename={name}-{NOW:%Y-%m-%d}.csv"
        assert response.headers["Content-Length"] == str(len(response.data))
        assert response.data.startswith(b"\xef\xbb\xbf")
        table = list(csv.DictReader(io.StringIO(response.data.decode("utf-8-sig"), newline="")))
        assert len(table) == rows
        entry = records.one(AuditEvent, AuditEvent.action == AuditAction.RECORDS_EXPORTED)
        assert entry.details == {"list": name, "rows": rows}

    @pytest.mark.parametrize(
        ("address", "role", "offered"),
        [
            ("/patients", Role.CLINICIAN, True),
            ("/examinations?outcome=benign", Role.ADMIN, True),
            ("/worklist", Role.CLINICIAN, True),
            ("/worklist", Role.NURSE, False),
        ],
    )
    def test_link_keeps_the_filters_when_export_is_allowed(
        self,
        sign_in: Callable[[User], Browser],
        clinic: Clinic,
        images: list[LesionImage],
        recount: Callable[[], None],
        address: str,
        role: Role,
        offered: bool,
    ) -> None:
        recount()
        page = sign_in(UserFactory(clinic=clinic, role=role)).open(address)
        links = page.soup.select("main a[download]")

        path, _, query = address.partition("?")
        expected = [f"{path}.csv{'?' + query if query else ''}"] if offered else []
        assert [str(link["href"]) for link in links if isinstance(link, Tag)] == expected

    def test_nothing_is_exported_when_a_filter_is_wrong(self, browser: Browser, records: Records) -> None:
        page = browser.open("/examinations.csv?age_min=x")

        assert page.status == 422
        assert "nothing was exported" in page.text
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.RECORDS_EXPORTED) == 0
