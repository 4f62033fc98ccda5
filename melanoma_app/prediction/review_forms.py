"""The forms of the result page: sign a review, add to a signed one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from flask_wtf import FlaskForm
from wtforms import DateField, HiddenField, RadioField, SelectChoice, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from melanoma_app.models import Prediction
from melanoma_app.models.review import REVIEW_TEXT_LENGTH
from melanoma_app.models.vocabulary import OutcomeLabel, ReviewPlan
from melanoma_app.services.reviews import CLINICAL_DIAGNOSIS_LENGTH

_PLANS = {
    ReviewPlan.REASSURE: "Reassure",
    ReviewPlan.MONITOR: "Monitor, until the date below",
    ReviewPlan.REFER: "Refer",
    ReviewPlan.BIOPSY: "Biopsy",
}


class ReviewForm(FlaskForm):
    """A clinician's judgement, to be signed; `prediction` is the answer that was in front of them, or empty."""

    prediction = HiddenField()
    conclusion = RadioField(
        "Your conclusion",
        choices=[SelectChoice(label.value, label.value.capitalize()) for label in OutcomeLabel],
        validators=[InputRequired("Choose what you take this lesion for.")],
    )
    reason = TextAreaField("Reason, if you override the model", validators=[Length(max=REVIEW_TEXT_LENGTH)])
    clinical_diagnosis = StringField("Clinical diagnosis", validators=[Length(max=CLINICAL_DIAGNOSIS_LENGTH)])
    plan = RadioField(
        "Plan",
        choices=[SelectChoice(plan.value, words) for plan, words in _PLANS.items()],
        validators=[InputRequired("Choose what is to be done.")],
    )
    due_on = DateField("Look again on, if monitored", validators=[Optional()])

    def show_answer(self, prediction: Prediction | None) -> None:
        """Say beside each conclusion whether it agrees with the answer that is shown, and remember that answer."""
        if prediction is None:
            self.prediction.data = ""
            return
        self.prediction.data = str(prediction.public_id)
        words = {
            label: f"I agree: {label}" if label is prediction.label else f"I override the model: {label}"
            for label in sorted(OutcomeLabel, key=lambda label: label is not prediction.label)
        }
        self.conclusion.choices = [SelectChoice(label.value, text) for label, text in words.items()]

    @property
    def prediction_public_id(self) -> uuid.UUID | None:
        """The answer that was in front of the clinician; one that is none of ours cannot be the newest."""
        try:
            return uuid.UUID(self.prediction.data) if self.prediction.data else None
        except ValueError:
            return uuid.UUID(int=0)

    def show_problems(self, problems: Mapping[str, Sequence[str]]) -> None:
        """Put what the service refused beside the fields it belongs to."""
        for name, messages in problems.items():
            self[name].errors = [*self[name].errors, *messages]


class AddendumForm(FlaskForm):
    """Something to add to a signed review."""

    text = TextAreaField(
        "Addendum",
        validators=[InputRequired("Write what is to be added."), Length(max=REVIEW_TEXT_LENGTH)],
    )
