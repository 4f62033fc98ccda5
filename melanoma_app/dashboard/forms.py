"""The dashboard's forms: its filters, read from the URL, and the switch to another model."""

from __future__ import annotations

from collections.abc import Mapping

from flask_wtf import FlaskForm
from wtforms import DateField, HiddenField, IntegerField, SelectChoice, SelectField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from melanoma_app.models.model_activation import REASON_LENGTH
from melanoma_app.models.vocabulary import Gender, OutcomeLabel
from melanoma_app.services.patients import OLDEST_AGE_YEARS
from melanoma_app.services.statistics import StatisticsFilter


class FilterForm(FlaskForm):
    """Which tests count; it changes nothing, so it stands in the URL and needs no token."""

    class Meta:
        csrf = False

    date_from = DateField("From", validators=[Optional()])
    date_to = DateField("To", validators=[Optional()])
    gender = SelectField(
        "Gender",
        choices=[
            SelectChoice("", "All"),
            *(SelectChoice(member.value, member.value.capitalize()) for member in Gender),
        ],
        default="",
    )
    age_min = IntegerField("Age from", validators=[Optional(), NumberRange(0, OLDEST_AGE_YEARS)])
    age_max = IntegerField("Age to", validators=[Optional(), NumberRange(0, OLDEST_AGE_YEARS)])
    outcome = SelectField(
        "Result",
        choices=[
            SelectChoice("", "All"),
            *(SelectChoice(member.value, member.value.capitalize()) for member in OutcomeLabel),
        ],
        default="",
    )

    def chosen(self) -> StatisticsFilter:
        """The validated filters as the services take them.

        Raises:
            InvalidInputError: A range ends before it starts.
        """
        return StatisticsFilter(
            date_from=self.date_from.data,
            date_to=self.date_to.data,
            gender=Gender(self.gender.data) if self.gender.data else None,
            age_min=self.age_min.data,
            age_max=self.age_max.data,
            outcome=OutcomeLabel(self.outcome.data) if self.outcome.data else None,
        )


def chosen_outcome(values: Mapping[str, str]) -> OutcomeLabel | None:
    """The worklist's one filter, from the URL; None for all, or for a result that there is not."""
    try:
        return OutcomeLabel(values.get("outcome", ""))
    except ValueError:
        return None


class ActivationForm(FlaskForm):
    """Why another model is to score new photographs, and which one did when the form was opened."""

    replaces = HiddenField()
    reason = TextAreaField(
        "Reason",
        validators=[
            InputRequired("Say why the model is switched; it is kept with the switch."),
            Length(max=REASON_LENGTH, message=f"Shorten the reason to {REASON_LENGTH} characters."),
        ],
    )
