"""The forms of the intake pages."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from flask_wtf import FlaskForm
from wtforms import DateField, IntegerField, RadioField, SelectChoice, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional
from wtforms.widgets import HiddenInput

from melanoma_app.models import Patient
from melanoma_app.models.vocabulary import AnatomSiteGeneral, BirthDatePrecision, FitzpatrickSkinType, Gender
from melanoma_app.services.lesions import MAXIMUM_DESCRIPTION_LENGTH
from melanoma_app.services.patients import PatientDetails

_ANSWERS = [SelectChoice("", "Not recorded"), SelectChoice("yes", "Yes"), SelectChoice("no", "No")]


def _choices(vocabulary: type[StrEnum]) -> list[SelectChoice]:
    return [SelectChoice(member.value, member.value.capitalize()) for member in vocabulary]


class PatientForm(FlaskForm):
    """What staff say of a patient."""

    mrn = StringField(
        "MRN (medical record number)", validators=[InputRequired("Enter the MRN."), Length(max=32)]
    )
    family_name = StringField(
        "Family name", validators=[InputRequired("Enter the family name."), Length(max=100)]
    )
    given_name = StringField(
        "Given name", validators=[InputRequired("Enter the given name."), Length(max=100)]
    )
    birth_date = DateField(
        "Date of birth",
        format=["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y"],
        validators=[InputRequired("Enter the date of birth as year-month-day, such as 1962-04-27.")],
    )
    birth_date_precision = RadioField(
        "How certain is the date?",
        choices=[
            SelectChoice(BirthDatePrecision.EXACT.value, "Documented"),
            SelectChoice(BirthDatePrecision.ESTIMATED.value, "Estimated"),
        ],
        default=BirthDatePrecision.EXACT.value,
    )
    gender = RadioField(
        "Gender",
        choices=_choices(Gender),
        validators=[InputRequired("Choose a gender; unknown is one of them.")],
    )
    fitzpatrick_skin_type = SelectField(
        "Fitzpatrick skin type",
        choices=[
            SelectChoice("", "Not recorded"),
            *(SelectChoice(t.value, f"Type {t.value}") for t in FitzpatrickSkinType),
        ],
    )
    personal_history_of_melanoma = SelectField("Melanoma in the patient's own history", choices=_ANSWERS)
    family_history_of_melanoma = SelectField("Melanoma in the family", choices=_ANSWERS)
    consent_to_care = SelectField("Consent to photographs for care", choices=_ANSWERS)
    consent_to_ai_analysis = SelectField("Consent to analysis by a model", choices=_ANSWERS)
    consent_to_research = SelectField("Consent to research", choices=_ANSWERS)
    version = IntegerField(widget=HiddenInput(), validators=[Optional()])

    def details(self) -> PatientDetails:
        """The validated values as the service takes them."""
        birth_date: date = self.birth_date.data
        skin_type = self.fitzpatrick_skin_type.data
        return PatientDetails(
            mrn=self.mrn.data,
            family_name=self.family_name.data,
            given_name=self.given_name.data,
            birth_date=birth_date,
            birth_date_precision=BirthDatePrecision(self.birth_date_precision.data),
            gender=Gender(self.gender.data),
            fitzpatrick_skin_type=FitzpatrickSkinType(skin_type) if skin_type else None,
            **{name: _ANSWER_VALUES[self[name].data] for name in _QUESTIONS},
        )

    def fill(self, patient: Patient) -> None:
        """Show what is on record."""
        for name, field in self._fields.items():
            if name in _QUESTIONS:
                field.data = _ANSWER_WORDS[getattr(patient, name)]
            elif hasattr(patient, name):
                field.data = getattr(patient, name)
        self.fitzpatrick_skin_type.data = patient.fitzpatrick_skin_type or ""

    def show_problems(self, problems: dict[str, list[str]]) -> None:
        """Put a service's messages beside the fields they belong to."""
        for name, messages in problems.items():
            if name in self._fields:
                self[name].errors = [*self[name].errors, *messages]


_QUESTIONS = (
    "personal_history_of_melanoma",
    "family_history_of_melanoma",
    "consent_to_care",
    "consent_to_ai_analysis",
    "consent_to_research",
)
_ANSWER_VALUES = {"": None, "yes": True, "no": False}
_ANSWER_WORDS = {value: word for word, value in _ANSWER_VALUES.items()}


class LesionForm(FlaskForm):
    """Where a lesion is."""

    anatom_site_general = SelectField(
        "Site",
        choices=[SelectChoice("", "Choose the site"), *_choices(AnatomSiteGeneral)],
        validators=[InputRequired("Choose where on the body the lesion is.")],
    )
    description = TextAreaField(
        "Where exactly, and what it looks like",
        validators=[Optional(), Length(max=MAXIMUM_DESCRIPTION_LENGTH)],
    )
