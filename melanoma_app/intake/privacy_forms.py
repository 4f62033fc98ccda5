"""The forms of erasure and export."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import BooleanField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from melanoma_app.services.erasure import REASON_LENGTH


class ErasureForm(FlaskForm):
    """Whose record goes, and on what ground."""

    mrn = StringField(
        "The patient's MRN, typed once more",
        validators=[InputRequired("Type the patient's MRN."), Length(max=32)],
    )
    reason = TextAreaField(
        "Ground of the erasure",
        validators=[InputRequired("Give the ground of the erasure."), Length(max=REASON_LENGTH)],
    )
    law_lets_it_go = BooleanField("The law lets this record go earlier")

    def show_problems(self, problems: dict[str, list[str]]) -> None:
        """Put the service's messages beside the fields they belong to."""
        for name, messages in problems.items():
            self[name].errors = [*self[name].errors, *messages]


class ResearchForm(FlaskForm):
    """Nothing but the button."""
