"""Signing a review, and adding to a signed one."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from melanoma_app.models import Addendum, AuditEvent, Clinic, Prediction, Review, User
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, OutcomeLabel, ReviewPlan, Role
from melanoma_app.services import reviews
from melanoma_app.services.actor import Actor
from melanoma_app.services.reviews import add_addendum, sign_review
from tests.factories import (
    AddendumFactory,
    LesionImageFactory,
    PredictionFactory,
    ReviewFactory,
    UserFactory,
    actor_of,
)
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")

BENIGN, MALIGNANT = OutcomeLabel.BENIGN, OutcomeLabel.MALIGNANT
SIGNED = (AuditEvent.action == AuditAction.REVIEW_SIGNED,)


@pytest.fixture
def prediction(clinic: Clinic) -> Prediction:
    """A benign answer about a photograph of the clinic."""
    return PredictionFactory(lesion_image__lesion__patient__clinic=clinic)


def in_days(days: int) -> date:
    return utc_now().date() + timedelta(days=days)


def sign(prediction: Prediction, actor: Actor, **values: Any) -> Review:
    given = {"conclusion": BENIGN, "plan": ReviewPlan.REASSURE} | values
    return sign_review(
        image_public_id=prediction.lesion_image.public_id,
        **({"prediction_public_id": prediction.public_id} | given),
        actor=actor,
    )


def test_review_is_kept_as_it_was_signed_when_it_overrides(
    prediction: Prediction, actor: Actor, records: Records
) -> None:
    given = {
        "conclusion": MALIGNANT,
        "plan": ReviewPlan.MONITOR,
        "due_on": in_days(90),
        "reason": "  Grew\u00a0fast. \n  Two colours. ",
        "clinical_diagnosis": " Melanoma   in situ ",
    }

    returned = sign(prediction, actor, **given)

    kept = records.one(Review)
    assert (kept.conclusion, kept.plan, kept.due_on) == (MALIGNANT, ReviewPlan.MONITOR, in_days(90))
    assert (kept.reason, kept.clinical_diagnosis) == ("Grew fast.\nTwo colours.", "Melanoma in situ")
    assert (kept.prediction_id, kept.signed_by_id) == (prediction.id, actor.user.id)
    assert returned.signed_by.display_name == actor.user.display_name
    event = records.one(AuditEvent, *SIGNED)
    assert event.subject_public_id == kept.public_id
    assert "Grew" not in str(event.details)


def test_no_reason_is_needed_when_the_model_is_agreed_with(
    prediction: Prediction, actor: Actor, records: Records
) -> None:
    sign(prediction, actor)

    assert records.one(Review).reason == ""


def test_review_stands_alone_when_no_model_has_looked(clinic: Clinic, actor: Actor, records: Records) -> None:
    image = LesionImageFactory(lesion__patient__clinic=clinic)

    sign_review(
        image_public_id=image.public_id,
        prediction_public_id=None,
        conclusion=MALIGNANT,
        plan=ReviewPlan.BIOPSY,
        actor=actor,
    )

    assert records.one(Review).prediction_id is None


REFUSED = {
    "override without a reason": ({"conclusion": MALIGNANT, "plan": ReviewPlan.REFER}, "reason"),
    "override with a blank reason": (
        {"conclusion": MALIGNANT, "plan": ReviewPlan.REFER, "reason": " \n\t "},
        "reason",
    ),
    "long reason": ({"reason": "x" * 1001}, "reason"),
    "long diagnosis": ({"clinical_diagnosis": "x" * 201}, "clinical_diagnosis"),
    "reassured about a malignant lesion": ({"conclusion": MALIGNANT, "reason": "Grew."}, "plan"),
    "monitored without a date": ({"plan": ReviewPlan.MONITOR}, "due_on"),
    "due yesterday": ({"plan": ReviewPlan.MONITOR, "due_on": in_days(-1)}, "due_on"),
    "due today": ({"plan": ReviewPlan.MONITOR, "due_on": in_days(0)}, "due_on"),
    "due in six years": ({"plan": ReviewPlan.MONITOR, "due_on": in_days(6 * 366)}, "due_on"),
    "a date without monitoring": ({"plan": ReviewPlan.REFER, "due_on": in_days(9)}, "due_on"),
}


@pytest.mark.parametrize(("values", "field"), REFUSED.values(), ids=REFUSED)
def test_nothing_is_signed_when_a_value_cannot_be_right(
    prediction: Prediction, actor: Actor, records: Records, values: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        sign(prediction, actor, **values)

    assert list(refusal.value.fields) == [field]
    assert records.count(Review) == records.count(AuditEvent, *SIGNED) == 0


def test_second_signature_is_told_of_the_first_when_signed_already(
    prediction: Prediction, actor: Actor, records: Records
) -> None:
    first = ReviewFactory(prediction=prediction)

    with pytest.raises(ConflictError, match=first.signed_by.display_name):
        sign(prediction, actor, conclusion=MALIGNANT, plan=ReviewPlan.REFER, reason="Grew.")

    assert records.one(Review).conclusion is BENIGN
    assert records.count(AuditEvent, *SIGNED) == 0


def test_database_decides_when_two_sign_at_once(
    prediction: Prediction, actor: Actor, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has looked before the first was kept, so only the unique constraint can refuse it."""
    first = ReviewFactory(prediction=prediction)
    refuse: list[Callable[..., None]] = [lambda *_: None, reviews._refuse_second_signature]
    monkeypatch.setattr(reviews, "_refuse_second_signature", lambda *given: refuse.pop(0)(*given))

    with pytest.raises(ConflictError, match=first.signed_by.display_name):
        sign(prediction, actor)

    assert records.one(Review).id == first.id
    assert records.count(AuditEvent, *SIGNED) == 0


@pytest.mark.parametrize("seen", ["the older answer", "none", "one of nobody's"])
def test_nothing_is_signed_when_another_answer_was_seen(
    prediction: Prediction, actor: Actor, records: Records, seen: str
) -> None:
    PredictionFactory(lesion_image=prediction.lesion_image, label=MALIGNANT)
    seen_id = {"the older answer": prediction.public_id, "none": None, "one of nobody's": uuid.uuid4()}[seen]

    with pytest.raises(ConflictError, match="new answer"):
        sign(prediction, actor, prediction_public_id=seen_id)

    assert records.count(Review) == 0


@pytest.mark.parametrize("role", [Role.NURSE, Role.ADMIN, Role.ANALYST])
def test_only_a_clinician_signs_when_asked(
    prediction: Prediction, clinic: Clinic, records: Records, role: Role
) -> None:
    with pytest.raises(NotPermittedError):
        sign(prediction, actor_of(UserFactory(clinic=clinic, role=role)))

    assert records.count(Review) == 0


def test_photograph_is_not_there_when_of_another_clinic(prediction: Prediction, outsider: User) -> None:
    with pytest.raises(NotFoundError):
        sign(prediction, actor_of(outsider))


class TestAddendum:
    def test_each_is_kept_under_its_writers_name_when_added(
        self, prediction: Prediction, actor: Actor, records: Records
    ) -> None:
        review = ReviewFactory(prediction=prediction)
        AddendumFactory(review=review)

        add_addendum(review_public_id=review.public_id, text=" Called back. ", actor=actor)

        first, second = records.all(Addendum)
        assert (first.written_by_id, second.written_by_id) == (review.signed_by_id, actor.user.id)
        assert second.text == "Called back."
        event = records.one(AuditEvent, AuditEvent.action == AuditAction.ADDENDUM_ADDED)
        assert event.subject_public_id == second.public_id
        assert "Called" not in str(event.details)

    @pytest.mark.parametrize("text", ["", " \n ", "x" * 1001], ids=["none", "blank", "long"])
    def test_nothing_is_added_when_the_text_cannot_be_kept(
        self, prediction: Prediction, actor: Actor, records: Records, text: str
    ) -> None:
        review = ReviewFactory(prediction=prediction)

        with pytest.raises(InvalidInputError):
            add_addendum(review_public_id=review.public_id, text=text, actor=actor)

        assert records.count(Addendum) == 0

    def test_nothing_is_added_when_it_may_not_be(
        self, prediction: Prediction, clinic: Clinic, outsider: User, records: Records
    ) -> None:
        review = ReviewFactory(prediction=prediction)
        nurse = actor_of(UserFactory(clinic=clinic, role=Role.NURSE))

        with pytest.raises(NotFoundError):
            add_addendum(review_public_id=review.public_id, text="x", actor=actor_of(outsider))
        with pytest.raises(NotPermittedError):
            add_addendum(review_public_id=review.public_id, text="x", actor=nurse)

        assert records.count(Addendum) == 0
