"""The forms of the intake pages."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Any

from flask_wtf import FlaskForm
from wtforms import (
    Field,
    HiddenField,
    IntegerField,
    RadioField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
    ValidationError,
)
from wtforms.validators import UUID, AnyOf, InputRequired, Length, Optional
from wtforms.widgets import HiddenInput

from melanoma_app.models import Patient
from melanoma_app.models.patient_merge import MERGE_REASON_LENGTH
from melanoma_app.models.vocabulary import BirthDatePrecision, ConsentPurpose, FitzpatrickSkinType, Gender
from melanoma_app.services.birth_dates import read_birth_date, write_birth_date
from melanoma_app.services.patients import PatientDetails

_ANSWERS = [SelectChoice("", "Not recorded"), SelectChoice("yes", "Yes"), SelectChoice("no", "No")]


def _choices(vocabulary: type[StrEnum]) -> list[SelectChoice]:
    return [SelectChoice(member.value, member.value.capitalize()) for member in vocabulary]


class PatientForm(FlaskForm):
    """What staff say of a patient.

    Args:
        today: The day where the clinic is: an age counts back from it.
    """

    mrn = StringField(
        "MRN (medical record number)", validators=[InputRequired("Enter the MRN."), Length(max=32)]
    )
    family_name = StringField(
        "Family name", validators=[InputRequired("Enter the family name."), Length(max=100)]
    )
    given_name = StringField(
        "Given name", validators=[InputRequired("Enter the given name."), Length(max=100)]
    )
    birth_date = StringField(
        "Date of birth, or year or age",
        validators=[
            InputRequired(
                "Enter the date of birth, such as 27.4.1962; if it is not known, the year or the age."
            )
        ],
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

    def __init__(self, *args: Any, today: date, **values: Any) -> None:
        super().__init__(*args, **values)
        self._today = today

    @property
    def born(self) -> tuple[date, BirthDatePrecision] | None:
        """What the birth date's text means; a year or an age is an estimate, whatever has been ticked."""
        read = read_birth_date(self.birth_date.data or "", today=self._today)
        if read and self.birth_date_precision.data == BirthDatePrecision.ESTIMATED:
            return read[0], BirthDatePrecision.ESTIMATED
        return read

    def validate_birth_date(self, field: Field) -> None:
        """A text that says nothing of a birth is refused."""
        if self.born is None:
            raise ValidationError(
                "This is no valid date. Write it as 27.4.1962 or 1962-04-27; if it is not known, write the year "
                "or the age alone."
            )

    def details(self) -> PatientDetails:
        """The validated values as the service takes them."""
        assert self.born is not None  # noqa: S101 (validated)
        birth_date, precision = self.born
        skin_type = self.fitzpatrick_skin_type.data
        return PatientDetails(
            mrn=self.mrn.data,
            family_name=self.family_name.data,
            given_name=self.given_name.data,
            birth_date=birth_date,
            birth_date_precision=precision,
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
        self.birth_date.data = write_birth_date(patient.birth_date, patient.birth_date_precision)

    def list_differences(self, patient: Patient) -> list[tuple[str, str, str]]:
        """Where what was typed is not what is on record: label, typed and recorded value in words."""
        recorded = PatientForm(formdata=None, today=self._today)
        recorded.fill(patient)
        is_same_birth = self.born == recorded.born  # however it is written
        untold = {"csrf_token", "version", *(["birth_date"] if is_same_birth else [])}
        return [
            (self[name].label.text, _in_words(self[name]), _in_words(recorded[name]))
            for name in recorded._fields
            if name not in untold and _in_words(self[name]) != _in_words(recorded[name])
        ]

    def show_problems(self, problems: dict[str, list[str]]) -> None:
        """Put a service's messages beside the fields they belong to."""
        for name, messages in problems.items():
            if name in self._fields:
                self[name].errors = [*self[name].errors, *messages]


def _in_words(field: Field) -> str:
    """What a person reads in a field."""
    labels = {choice.value: choice.label for choice in getattr(field, "choices", ())}
    return str(labels.get(field.data or "", field.data or ""))


_QUESTIONS = (
    "personal_history_of_melanoma",
    "family_history_of_melanoma",
    "consent_to_care",
    "consent_to_ai_analysis",
    "consent_to_research",
)
_ANSWER_VALUES = {"": None, "yes": True, "no": False}
_ANSWER_WORDS = {value: word for word, value in _ANSWER_VALUES.items()}


class ConsentForm(FlaskForm):
    """A patient's answer about one purpose."""

    purpose = HiddenField(validators=[AnyOf([purpose.value for purpose in ConsentPurpose])])
    is_given = HiddenField(validators=[AnyOf(["yes", "no"])])


class MergeForm(FlaskForm):
    """The other record of the same person, and why it is."""

    merged = HiddenField(validators=[UUID("Choose the other record.")])
    reason = TextAreaField(
        "Why are the two one person?",
        validators=[InputRequired("Say why the two are one person."), Length(max=MERGE_REASON_LENGTH)],
    )

    def show_problems(self, problems: dict[str, list[str]]) -> None:
        """Put a service's messages beside the fields they belong to."""
        for name, messages in problems.items():
            self[name].errors = [*self[name].errors, *messages]
