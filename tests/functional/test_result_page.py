"""The result page: what the model said, in words that do not mislead, and the review that is signed on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from melanoma_app.models import Addendum, Clinic, Prediction, Review, User
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import ClinicalImpression, OutcomeLabel, ReviewPlan, Role
from tests.browsing import Browser, Page, words
from tests.factories import (
    AddendumFactory,
    FirstReadFactory,
    LesionImageFactory,
    ModelVersionFactory,
    PredictionFactory,
    ReviewFactory,
    UserFactory,
)
from tests.records import Records

PERFORMANCE = {
    "set": "All test images",
    "images": 2498,
    "malignant": 758,
    "benign": 1740,
    "sensitivity": {"value": 0.8905, "low": 0.8668, "high": 0.9129},
    "specificity": {"value": 0.7489, "low": 0.7286, "high": 0.7678},
}
Answer = Callable[..., Prediction]


@pytest.fixture
def answer(clinic: Clinic) -> Answer:
    """Let a model with a known band and performance answer about a photograph of the clinic."""

    def make(**values: Any) -> Prediction:
        model = ModelVersionFactory(
            threshold=0.22, uncertain_from=0.22, uncertain_to=0.62, test_performance=PERFORMANCE
        )
        given = {"model_version": model, "threshold": 0.22} | values
        if "lesion_image" not in values:
            given["lesion_image__lesion__patient__clinic"] = clinic
        return PredictionFactory(**given)

    return make


def open_result(browser: Browser, prediction: Prediction) -> Page:
    return browser.open(f"/examinations/{prediction.lesion_image.public_id}")


def sign(browser: Browser, prediction: Prediction, **values: Any) -> Page:
    page = open_result(browser, prediction)
    return browser.send(page.form(f"{page.path}/review"), page, **values)


class TestWords:
    def test_benign_never_stands_alone_when_the_model_says_so(self, browser: Browser, answer: Answer) -> None:
        page = open_result(browser, answer(malignancy_probability=0.12))

        assert words(page.soup.find(id="verdict-title")) == "Benign 12.0 %, threshold 22.0 %"
        assert "does not rule melanoma out" in page.text
        assert "Uncertain:" not in page.text
        assert "supports, never replaces, a clinician" in page.text

    def test_malignant_says_what_to_do_when_the_model_says_so(self, browser: Browser, answer: Answer) -> None:
        page = open_result(browser, answer(malignancy_probability=0.83, label=OutcomeLabel.MALIGNANT))

        assert words(page.soup.find(id="verdict-title")).startswith("Malignant — suspicious 83.0 %")
        assert "look at this lesion again, in person" in page.text

    @pytest.mark.parametrize(("probability", "is_uncertain"), [(0.22, True), (0.619, True), (0.62, False)])
    def test_uncertain_is_said_plainly_when_inside_the_band(
        self, browser: Browser, answer: Answer, probability: float, is_uncertain: bool
    ) -> None:
        page = open_result(browser, answer(malignancy_probability=probability, label=OutcomeLabel.MALIGNANT))

        assert ("Uncertain:" in page.text) is is_uncertain

    def test_scale_shows_threshold_and_band_when_they_are_known(
        self, browser: Browser, answer: Answer
    ) -> None:
        scale = open_result(browser, answer(malignancy_probability=0.12)).soup.find("svg", class_="scale")

        assert scale["aria-label"] == (
            "Scale from 0 % to 100 %: this photograph 12.0 %, threshold 22.0 %, uncertain from 22.0 % to 62.0 %"
        )
        band = scale.find(class_="scale__band")
        assert (float(band["data-from"]), float(band["data-to"])) == (0.22, 0.62)
        assert float(scale.find(class_="scale__threshold")["x1"].rstrip("%")) == pytest.approx(22)

    def test_operating_point_is_told_in_whole_lesions_when_measured(
        self, browser: Browser, answer: Answer
    ) -> None:
        prediction = answer()
        page = open_result(browser, prediction)

        assert "of 100 malignant lesions among photographs it had not seen" in page.text.lower()
        assert "finds 89 (87 to 91)" in page.text
        assert "clears 75 (73 to 77)" in page.text
        model = prediction.model_version
        assert f"/models/{model.name}-{model.version}" in page.links()

    def test_patient_is_told_in_plain_words_when_the_answer_is_benign(
        self, browser: Browser, answer: Answer
    ) -> None:
        said = words(open_result(browser, answer()).soup.find(class_="said"))

        assert "of 100 spots that are skin cancer, it misses about 11" in said
        assert not {"malignant", "sensitivity", "probability", "threshold"} & set(said.lower().split())

    def test_patient_is_told_the_plan_when_signed(self, browser: Browser, answer: Answer) -> None:
        prediction = answer()
        ReviewFactory(prediction=prediction, conclusion=OutcomeLabel.MALIGNANT, plan=ReviewPlan.BIOPSY)

        said = words(open_result(browser, prediction).soup.find(class_="said"))

        assert "wants a small piece of it examined" in said
        assert "not worried" not in said

    def test_own_impressions_stand_beside_the_models_answer_when_there_are_some(
        self, browser: Browser, answer: Answer
    ) -> None:
        prediction = answer()
        FirstReadFactory(lesion_image=prediction.lesion_image, impression=ClinicalImpression.UNSURE)
        FirstReadFactory(
            lesion_image=prediction.lesion_image,
            read_by=UserFactory(clinic=prediction.lesion_image.lesion.patient.clinic),
            answer_was_shown=True,
        )

        rows = open_result(browser, prediction).soup.select(".table--reads tbody tr")

        blind, other, model = (words(row) for row in rows)
        assert "Unsure" in blind
        assert "before the model's answer" in blind
        assert "after the model's answer" in other
        assert "Benign, 12.0 %" in model

    def test_reason_stands_on_the_page_when_the_quality_check_was_overridden(
        self, browser: Browser, clinic: Clinic, answer: Answer
    ) -> None:
        image = LesionImageFactory(
            lesion__patient__clinic=clinic,
            quality={"findings": ["too_dark"], "measures": {}},
            quality_override_reason="The lamp is broken",
        )

        page = open_result(browser, answer(lesion_image=image))

        assert "too dark" in page.text
        assert "The lamp is broken" in page.text


class TestWithoutAnswer:
    @pytest.mark.parametrize(("consent", "why"), [(None, "Nobody has asked"), (False, "has withdrawn")])
    def test_page_says_why_when_the_patient_does_not_agree(
        self, browser: Browser, clinic: Clinic, consent: bool | None, why: str
    ) -> None:
        image = LesionImageFactory(
            lesion__patient__clinic=clinic, lesion__patient__consent_to_ai_analysis=consent
        )

        page = browser.open(f"/examinations/{image.public_id}")

        assert page.status == 200
        assert why in page.text
        assert "Let the model look" not in page.text
        page.form(f"{page.path}/review")

    def test_model_can_be_asked_when_the_patient_agrees(self, browser: Browser, clinic: Clinic) -> None:
        image = LesionImageFactory(lesion__patient__clinic=clinic)

        page = browser.open(f"/examinations/{image.public_id}")

        assert words(page.form(f"{page.path}/score")) == "Let the model look"


class TestOlderAnswer:
    def test_page_says_so_and_asks_for_no_signature_when_scored_again(
        self, browser: Browser, answer: Answer
    ) -> None:
        older = answer(malignancy_probability=0.11)
        answer(lesion_image=older.lesion_image, malignancy_probability=0.13)

        page = browser.open(f"/predictions/{older.public_id}")

        assert page.path == f"/predictions/{older.public_id}"
        assert "This is an older answer." in page.text
        assert "11.0 %" in words(page.soup.find(id="verdict-title"))
        image_address = f"/examinations/{older.lesion_image.public_id}"
        assert image_address in page.links()
        assert not page.soup.find("form", action=f"{image_address}/review")

    def test_address_leads_to_the_photographs_page_when_the_answer_is_the_newest(
        self, browser: Browser, answer: Answer
    ) -> None:
        newest = answer()

        page = browser.open(f"/predictions/{newest.public_id}")

        assert page.path == f"/examinations/{newest.lesion_image.public_id}"
        assert "older answer" not in page.text


class TestReview:
    def test_signed_review_is_locked_and_the_next_one_offered_when_signed(
        self, browser: Browser, user: User, answer: Answer, records: Records
    ) -> None:
        prediction = answer()
        due_on = utc_now().date() + timedelta(days=90)

        page = sign(
            browser,
            prediction,
            conclusion="malignant",
            reason="Two colours",
            plan="monitor",
            due_on=due_on.isoformat(),
        )

        review = words(page.soup.find(id="review"))
        assert "overrides the model, which said benign, 12.0 %" in review
        assert "Two colours" in review
        assert user.display_name in review
        assert not page.soup.find("form", action=f"{page.path}/review")
        assert f"/worklist/next?after={prediction.lesion_image.public_id}" in page.links()
        assert records.one(Review).due_on == due_on

    def test_everything_typed_stays_when_an_override_has_no_reason(
        self, browser: Browser, answer: Answer, records: Records
    ) -> None:
        page = sign(
            browser, answer(), conclusion="malignant", plan="biopsy", clinical_diagnosis="Melanoma in situ"
        )

        assert page.status == 422
        assert "Say why" in page.error_of("reason")
        assert page.soup.find(attrs={"name": "clinical_diagnosis"})["value"] == "Melanoma in situ"
        assert page.soup.find("input", attrs={"name": "plan", "value": "biopsy"}).has_attr("checked")
        assert page.soup.find(class_="notice--alarm").has_attr("autofocus")
        assert records.count(Review) == 0

    def test_nothing_changes_when_somebody_else_has_signed_meanwhile(
        self, browser: Browser, answer: Answer, records: Records
    ) -> None:
        prediction = answer()
        page = open_result(browser, prediction)
        first = ReviewFactory(prediction=prediction, plan=ReviewPlan.REFER)

        refused = browser.send(page.form(f"{page.path}/review"), page, conclusion="benign", plan="reassure")

        assert refused.status == 409
        assert first.signed_by.display_name in words(refused.soup.find(class_="notice--alarm"))
        assert records.one(Review).plan is ReviewPlan.REFER

    def test_new_answer_is_shown_when_a_model_has_looked_again_meanwhile(
        self, browser: Browser, answer: Answer, records: Records
    ) -> None:
        prediction = answer()
        page = open_result(browser, prediction)
        newest = answer(lesion_image=prediction.lesion_image, malignancy_probability=0.13)

        refused = browser.send(page.form(f"{page.path}/review"), page, conclusion="benign", plan="reassure")

        assert refused.status == 409
        assert refused.soup.find(attrs={"name": "prediction"})["value"] == str(newest.public_id)
        assert records.count(Review) == 0

    def test_addenda_stand_below_with_name_when_added(
        self, browser: Browser, answer: Answer, records: Records
    ) -> None:
        review = ReviewFactory(prediction=answer())
        AddendumFactory(review=review, text="First addition")
        page = browser.open(f"/examinations/{review.lesion_image.public_id}")

        page = browser.send(page.form(f"/reviews/{review.public_id}/addenda"), page, text="Second addition")

        first, second = (words(item) for item in page.soup.select(".addenda li"))
        assert first.startswith(f"First addition {review.signed_by.display_name}")
        assert second.startswith("Second addition")
        assert records.count(Addendum) == 2

    def test_no_form_is_offered_when_a_nurse_looks(
        self, sign_in: Callable[[User], Browser], clinic: Clinic, answer: Answer
    ) -> None:
        page = open_result(sign_in(UserFactory(clinic=clinic, role=Role.NURSE)), answer())

        assert "A clinician signs it." in page.text
        assert not page.soup.find("form", action=f"{page.path}/review")
