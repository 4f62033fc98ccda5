"""The forms of the lesion's page: a laboratory report, and which two photographs to compare."""

from __future__ import annotations

from collections.abc import Sequence

from flask_wtf import FlaskForm
from wtforms import DateField, FloatField, RadioField, SelectChoice, SelectField, StringField
from wtforms.validators import InputRequired, Length, Optional

from melanoma_app.models.vocabulary import OutcomeLabel
from melanoma_app.services.histopathology import DIAGNOSIS_LENGTH
from melanoma_app.services.lesion_images import ImageRecord
from melanoma_app.templating import format_day


class MillimetreField(FloatField):
    """A length with decimals, written with a point or a comma."""

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        """Read either, and say in words when it is neither."""
        try:
            super().process_formdata([value.strip().replace(",", ".") for value in valuelist])
        except ValueError as error:
            raise ValueError("Enter the millimetres as a number, such as 0.8.") from error


class HistopathologyForm(FlaskForm):
    """What the laboratory reported."""

    diagnosis = StringField(
        "Diagnosis",
        validators=[
            InputRequired("Enter the diagnosis of the report."),
            Length(max=DIAGNOSIS_LENGTH, message=f"Shorten the diagnosis to {DIAGNOSIS_LENGTH} characters."),
        ],
    )
    outcome = RadioField(
        "The laboratory calls it",
        choices=[SelectChoice(member.value, member.value.capitalize()) for member in OutcomeLabel],
        validators=[InputRequired("Choose malignant or benign, as the report says.")],
    )
    breslow_thickness_mm = MillimetreField("Breslow thickness in mm", validators=[Optional()])
    reported_on = DateField(
        "Date of the report",
        format=["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y"],
        validators=[InputRequired("Enter the date of the report as year-month-day, such as 2026-04-27.")],
    )

    def show_problems(self, problems: dict[str, list[str]]) -> None:
        """Put a service's messages beside the fields they belong to."""
        for name, messages in problems.items():
            if name in self._fields:
                self[name].errors = [*self[name].errors, *messages]


class ComparisonForm(FlaskForm):
    """Which two photographs of a lesion to see together; it changes nothing, so it stands in the URL."""

    class Meta:
        csrf = False

    left = SelectField("On the left")
    right = SelectField("On the right")

    def offer(self, photographs: Sequence[ImageRecord], *, left: ImageRecord, right: ImageRecord) -> None:
        """Offer the photographs, oldest first, with two of them chosen."""
        choices = [
            SelectChoice(
                str(one.image.public_id),
                f"{number}: {format_day(one.image.captured_at)}, {one.image.image_type}",
            )
            for number, one in enumerate(photographs, start=1)
        ]
        for field, chosen in ((self.left, left), (self.right, right)):
            field.choices = choices
            field.data = str(chosen.image.public_id)
