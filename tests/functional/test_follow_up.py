"""The lesion's page, two photographs beside each other, and laboratory reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import event

from melanoma_app.extensions import db
from melanoma_app.models import Clinic, Histopathology, Lesion, Prediction, User
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import OutcomeLabel, ReviewPlan
from melanoma_app.templating import format_percent
from tests.browsing import Browser, Page, form_values, words
from tests.factories import (
    AddendumFactory,
    HistopathologyFactory,
    LesionFactory,
    LesionImageFactory,
    ModelVersionFactory,
    PredictionFactory,
    ReviewFactory,
)
from tests.records import Records

FIRST = datetime(2026, 3, 12, 9, tzinfo=UTC)
REPORT = {
    "diagnosis": "Melanoma in situ",
    "outcome": "malignant",
    "breslow_thickness_mm": "",
    "reported_on": "2026-05-04",
}


@pytest.fixture
def lesion(clinic: Clinic) -> Lesion:
    return LesionFactory(patient__clinic=clinic, description="Left forearm,\nnear the elbow")


@pytest.fixture
def predictions(lesion: Lesion) -> Sequence[Prediction]:
    """Three photographs thirty days apart, oldest first; the last one growing and suspicious."""
    model = ModelVersionFactory()
    made = []
    for month, (probability, size_mm) in enumerate([(0.12, 4.5), (0.305, None), (0.83, 6.0)]):
        image = LesionImageFactory(
            lesion=lesion, captured_at=FIRST + timedelta(days=30 * month), clin_size_long_diam_mm=size_mm
        )
        label = OutcomeLabel.MALIGNANT if probability >= 0.5 else OutcomeLabel.BENIGN
        made.append(
            PredictionFactory(
                lesion_image=image, model_version=model, malignancy_probability=probability, label=label
            )
        )
    return made


def address_of(lesion: Lesion, rest: str = "") -> str:
    return f"/lesions/{lesion.public_id}{rest}"


def compare_address(lesion: Lesion, left: Prediction, right: Prediction) -> str:
    ids = [one.lesion_image.public_id for one in (left, right)]
    return address_of(lesion, f"/compare?left={ids[0]}&right={ids[1]}")


def shown_images(page: Page) -> list[str]:
    return [str(image["src"]) for image in page.soup.select("[data-stage] img")]


def record_report(browser: Browser, lesion: Lesion, **changes: str) -> Page:
    return browser.fill_in(
        address_of(lesion), action=address_of(lesion, "/histopathology"), **REPORT | changes
    )


class TestLesion:
    def test_trend_table_and_chart_tell_the_record_when_photographed_over_time(
        self, browser: Browser, lesion: Lesion, predictions: Sequence[Prediction]
    ) -> None:
        trend = browser.open(address_of(lesion)).soup.select_one("[data-trend]")
        assert trend is not None

        rows = [[words(cell) for cell in row.select("td")] for row in trend.select("tbody tr")]
        assert [row[0].split(" (")[0] for row in rows] == ["12 Mar 2026", "11 Apr 2026", "11 May 2026"]
        assert [row[1] for row in rows] == [format_percent(one.malignancy_probability) for one in predictions]
        assert [row[3] for row in rows] == ["4.5 mm", "–", "6 mm"]
        assert [float(str(point["data-probability"])) for point in trend.select("[data-probability]")] == [
            one.malignancy_probability for one in predictions
        ]
        assert "n = 3 of 3 photographs" in words(trend)

    def test_photograph_counts_in_the_table_alone_when_no_model_has_looked(
        self, browser: Browser, lesion: Lesion, predictions: Sequence[Prediction]
    ) -> None:
        LesionImageFactory(lesion=lesion, captured_at=FIRST + timedelta(days=100))

        trend = browser.open(address_of(lesion)).soup.select_one("[data-trend]")

        assert trend is not None
        assert "n = 3 of 4 photographs" in words(trend)
        assert words(trend.select("tbody tr")[-1]).count("No answer") == 1
        assert len(trend.select("[data-probability]")) == len(predictions)

    def test_page_says_that_versions_differ_when_two_models_answered(
        self, browser: Browser, lesion: Lesion, predictions: Sequence[Prediction]
    ) -> None:
        warning = "answers of different versions cannot be compared"
        assert warning not in browser.open(address_of(lesion)).text

        PredictionFactory(lesion_image=predictions[1].lesion_image, threshold=0.3)

        page = browser.open(address_of(lesion))
        assert warning in page.text
        assert len(page.soup.select(".trend__legend li")) == 2

    def test_photograph_tells_who_signed_when_it_is_reviewed(
        self, browser: Browser, lesion: Lesion, predictions: Sequence[Prediction]
    ) -> None:
        review = ReviewFactory(
            prediction=predictions[0],
            plan=ReviewPlan.MONITOR,
            due_on=FIRST.date() + timedelta(days=90),
            signed_by__display_name="Dr Ada",
        )
        AddendumFactory(review=review, text="It itches.")

        page = browser.open(address_of(lesion))

        states = [words(item) for item in page.soup.select(".photograph")]
        assert "Signed by Dr Ada: benign, plan monitor, due 10 Jun 2026" in states[0]
        assert all("Unsigned" in state for state in states[1:])
        assert "It itches." in page.text

    def test_comparison_offers_first_and_newest_when_opened(
        self, browser: Browser, lesion: Lesion, predictions: Sequence[Prediction]
    ) -> None:
        page = browser.open(address_of(lesion))

        form = page.soup.find("form", action=address_of(lesion, "/compare"))
        assert form is not None
        assert form_values(form) == {  # type: ignore[arg-type]  # a form is a tag
            "left": str(predictions[0].lesion_image.public_id),
            "right": str(predictions[2].lesion_image.public_id),
        }

    def test_page_opens_when_there_is_no_photograph(self, browser: Browser, lesion: Lesion) -> None:
        page = browser.open(address_of(lesion))

        assert page.heading == "Lesion 1: Upper extremity"
        assert "No photograph yet" in page.text

    def test_queries_do_not_grow_when_photographs_do(
        self, app: Flask, browser: Browser, lesion: Lesion, records: Records
    ) -> None:
        for _ in range(2):
            AddendumFactory(review=ReviewFactory(prediction=PredictionFactory(lesion_image__lesion=lesion)))
        browser.open(address_of(lesion))
        few = [count_queries(app, browser, address_of(lesion, page)) for page in ("", "/compare")]

        for _ in range(18):
            AddendumFactory(review=ReviewFactory(prediction=PredictionFactory(lesion_image__lesion=lesion)))
        many = [count_queries(app, browser, address_of(lesion, page)) for page in ("", "/compare")]

        assert few == many
        assert records.count(Prediction) == 20


class TestCompare:
    def test_both_photographs_are_shown_when_chosen(
        self, browser: Browser, lesion: Lesion, predictions: Sequence[Prediction]
    ) -> None:
        page = browser.open(compare_address(lesion, predictions[0], predictions[2]))

        assert page.status == 200
        assert shown_images(page) == [f"/images/{predictions[n].lesion_image.public_id}" for n in (0, 2)]
        changes = words(page.soup.select("[data-changes]")[0])
        assert "60 days later" in changes
        assert "+71.0 percentage points" in changes
        assert "+1.5 mm" in changes

    def test_links_lead_to_the_other_photographs_when_followed(
        self, browser: Browser, lesion: Lesion, predictions: Sequence[Prediction]
    ) -> None:
        first, second, third = (f"/images/{one.lesion_image.public_id}" for one in predictions)
        page = browser.open(compare_address(lesion, predictions[0], predictions[2]))

        led = {}
        for link in page.soup.select("a[data-step], a[data-swap]"):
            led[link.get("data-step", "swap")] = shown_images(browser.open(str(link["href"])))

        assert led == {
            "left-newer": [second, third],
            "right-older": [first, second],
            "swap": [third, first],
        }

    def test_change_is_withheld_in_words_when_two_versions_answered(
        self, browser: Browser, lesion: Lesion, predictions: Sequence[Prediction]
    ) -> None:
        PredictionFactory(lesion_image=predictions[2].lesion_image)

        page = browser.open(compare_address(lesion, predictions[0], predictions[2]))

        assert "the probabilities cannot be compared" in page.text
        assert "percentage points" not in page.text

    def test_photograph_is_not_shown_when_of_another_lesion(
        self, browser: Browser, lesion: Lesion, predictions: Sequence[Prediction]
    ) -> None:
        foreign = PredictionFactory(
            lesion_image__lesion__patient=lesion.patient, lesion_image__lesion__number=2
        )

        page = browser.open(compare_address(lesion, predictions[0], foreign))

        assert page.status == 404
        assert not shown_images(page)
        assert "never compared" in page.text

    def test_comparison_is_refused_in_words_when_both_are_the_same(
        self, browser: Browser, lesion: Lesion, predictions: Sequence[Prediction]
    ) -> None:
        page = browser.open(compare_address(lesion, predictions[0], predictions[0]))

        assert page.status == 422
        assert not shown_images(page)
        assert "the same photograph" in page.text

    @pytest.mark.parametrize("left", ["x", "5d0f7f0e-6c5b-4d5f-9a62-0f5a4a1f0c11"])
    def test_photograph_is_unknown_when_the_address_names_none(
        self, browser: Browser, lesion: Lesion, predictions: Sequence[Prediction], left: str
    ) -> None:
        assert browser.open(address_of(lesion, f"/compare?left={left}")).status == 404
        assert predictions


def test_nothing_is_there_when_opened_by_another_clinic(
    sign_in: Callable[[User], Browser],
    outsider: User,
    lesion: Lesion,
    predictions: Sequence[Prediction],
    records: Records,
) -> None:
    browser = sign_in(outsider)

    assert browser.open(address_of(lesion)).status == 404
    assert browser.open(compare_address(lesion, predictions[0], predictions[1])).status == 404
    assert browser.post(address_of(lesion, "/histopathology"), **REPORT).status_code == 404
    assert records.count(Histopathology) == 0


class TestHistopathology:
    @pytest.mark.parametrize("written", ["0.8", " 0,8 "])
    def test_report_is_kept_and_told_when_sent(
        self, browser: Browser, lesion: Lesion, records: Records, written: str
    ) -> None:
        page = record_report(browser, lesion, breslow_thickness_mm=written)

        assert page.path == address_of(lesion)
        assert "The laboratory report is recorded." in page.text
        assert records.one(Histopathology).breslow_thickness_mm == 0.8
        assert "0.8 mm" in words(page.soup.select("[data-report]")[0])

    @pytest.mark.parametrize(
        ("change", "field", "word"),
        [
            ({"diagnosis": ""}, "diagnosis", "Enter the diagnosis"),
            ({"outcome": "unsure"}, "outcome", "choice"),
            ({"breslow_thickness_mm": "thin"}, "breslow_thickness_mm", "such as 0.8"),
            ({"breslow_thickness_mm": "0"}, "breslow_thickness_mm", "above 0"),
            ({"breslow_thickness_mm": "1", "outcome": "benign"}, "breslow_thickness_mm", "malignant lesions"),
            ({"reported_on": "31.02.2026"}, "reported_on", "valid"),
            ({"reported_on": str(utc_now().date() + timedelta(days=1))}, "reported_on", "future"),
            ({"reported_on": "1961-01-01"}, "reported_on", "before the patient's birth"),
        ],
        ids=str,
    )
    def test_sentence_stands_beside_the_field_when_a_value_is_wrong(
        self,
        browser: Browser,
        lesion: Lesion,
        records: Records,
        change: dict[str, str],
        field: str,
        word: str,
    ) -> None:
        page = record_report(browser, lesion, **change)

        assert page.status == 422
        assert word in page.error_of(field)
        assert page.form(address_of(lesion, "/histopathology"))
        assert records.count(Histopathology) == 0

    def test_disagreement_is_told_when_the_model_had_said_otherwise(
        self, browser: Browser, lesion: Lesion, predictions: Sequence[Prediction]
    ) -> None:
        ReviewFactory(prediction=predictions[0], conclusion=OutcomeLabel.MALIGNANT)

        page = record_report(browser, lesion, reported_on="2026-03-20")

        told = words(page.soup.select("[data-laboratory-check]")[0])
        assert "found the lesion malignant ; the model had said benign (12.0 %, threshold 50.0 %)" in told
        assert "They disagree." in told
        assert "That agrees with the laboratory." in told

    def test_earlier_report_is_superseded_when_corrected(self, browser: Browser, lesion: Lesion) -> None:
        HistopathologyFactory(lesion=lesion, diagnosis="Blue naevus")

        page = record_report(browser, lesion)

        newest, earlier = (words(report) for report in page.soup.select("[data-report]"))
        assert "Melanoma in situ" in newest
        assert "This report counts." in newest
        assert "Blue naevus" in earlier
        assert "Superseded" in earlier


def count_queries(app: Flask, browser: Browser, address: str) -> int:
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert browser.open(address).status == 200
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(statements)
