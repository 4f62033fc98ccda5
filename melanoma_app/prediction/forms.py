"""The forms of the prediction pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import (
    BooleanField,
    DateField,
    RadioField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length, Optional

from melanoma_app.models.checklist import ABCDE, SEVEN_POINT_WEIGHTS
from melanoma_app.models.lesion import QUALITY_OVERRIDE_LENGTH
from melanoma_app.models.vocabulary import ClinicalImpression, ImageType
from melanoma_app.prediction.follow_up_forms import MillimetreField
from melanoma_app.services.first_reads import NOTE_LENGTH


class ExaminationForm(FlaskForm):
    """A photograph of a lesion and how it was taken."""

    image = FileField("Photograph", validators=[FileRequired("Choose or take a photograph.")])
    image_type = SelectField(
        "How it was taken",
        choices=[SelectChoice(member.value, member.value.capitalize()) for member in ImageType],
        default=ImageType.DERMOSCOPIC.value,
    )
    captured_on = DateField("Taken on, if not today", validators=[Optional()])
    clin_size_long_diam_mm = MillimetreField("Longest diameter of the lesion in mm", validators=[Optional()])
    quality_override_reason = StringField(
        "Why this photograph must do",
        validators=[
            Length(max=QUALITY_OVERRIDE_LENGTH, message=f"Use up to {QUALITY_OVERRIDE_LENGTH} characters.")
        ],
    )
    own_impression = BooleanField("Record my own impression before I see the result")

    @property
    def problems(self) -> str:
        """Everything wrong with the form, as sentences."""
        return " ".join(str(message) for messages in self.errors.values() for message in messages)

    def show_problems(self, fields: Mapping[str, Sequence[str]]) -> None:
        """Put what a service found wrong beside the fields it belongs to."""
        for name, messages in fields.items():
            if name in self and name != "image":
                self[name].errors = [*self[name].errors, *messages]


class FirstReadForm(FlaskForm):
    """What a clinician takes a lesion for."""

    impression = RadioField(
        "I take this lesion for",
        choices=[SelectChoice(member.value, member.value.capitalize()) for member in ClinicalImpression],
        validators=[InputRequired("Say what you take it for; unsure is an answer, too.")],
    )
    note = TextAreaField(
        "Note", validators=[Length(max=NOTE_LENGTH, message=f"Use up to {NOTE_LENGTH} characters.")]
    )


class ChecklistForm(FlaskForm):
    """The ABCDE criteria and the seven-point checklist: a box for each criterion, and one for each list gone through.

    Ticking a criterion says that its list was gone through. `templates/components/checklists.html` has the words.
    """

    abcde_done = BooleanField()
    seven_point_done = BooleanField()
    abcde_names = ABCDE
    seven_point_weights = SEVEN_POINT_WEIGHTS

    def abcde(self) -> dict[str, bool] | None:
        """Each ABCDE criterion, found or not; None when the list was not gone through."""
        return self._answers(ABCDE, is_done=self.abcde_done.data)

    def seven_point(self) -> dict[str, bool] | None:
        """Each criterion of the seven-point checklist, found or not; None when it was not gone through."""
        return self._answers(SEVEN_POINT_WEIGHTS, is_done=self.seven_point_done.data)

    def _answers(self, names: Iterable[str], *, is_done: bool) -> dict[str, bool] | None:
        answers = {name: bool(self[name].data) for name in names}
        return answers if is_done or any(answers.values()) else None


for _name in (*ABCDE, *SEVEN_POINT_WEIGHTS):
    setattr(ChecklistForm, _name, BooleanField())
