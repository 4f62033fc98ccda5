"""The filters of the audit page."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Final

from flask_wtf import FlaskForm
from wtforms import BooleanField, DateField, SelectChoice, SelectField, StringField
from wtforms.validators import Length, Optional

from melanoma_app.accounts.audit_words import ACTION_WORDS
from melanoma_app.errors import InvalidInputError
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.audit_log import AuditFilter

_ANY: Final = SelectChoice("", "All")


class AuditForm(FlaskForm):
    """Which entries are shown. It is sent as a form and answered with an address that holds no MRN."""

    class Meta:
        csrf = False  # every POST is checked before the view; the address needs no token

    patient = StringField("Patient", validators=[Length(max=64)])
    person = StringField("Person", validators=[Length(max=120)])
    action = SelectField(
        "What",
        choices=[_ANY, *(SelectChoice(action.value, words) for action, words in ACTION_WORDS.items())],
        default="",
    )
    date_from = DateField("From", validators=[Optional()])
    date_to = DateField("To", validators=[Optional()])
    record = StringField("Record", validators=[Length(max=64)])
    with_lists = BooleanField("Also lists that showed the patient", false_values=("",))

    def read(
        self,
        *,
        names: Iterable[str] = (),
        find_patient: Callable[[str], uuid.UUID | None] = lambda mrn: None,
    ) -> AuditFilter | None:
        """The filters, or None when one is wrong; what is wrong then stands beside its field.

        Args:
            names: What the address says something of; a filter that there is not is refused.
            find_patient: Gives the public id of the patient with an MRN.
        """
        is_right = self.validate()
        for name in sorted(set(names) - set(self.data)):
            self.form_errors.append(f"There is no filter “{name[:40]}”. Take it out of the address.")
            is_right = False
        patient, record = _read_id(self.patient.data), _read_id(self.record.data)
        if self.patient.data and is_right and patient is None:
            patient = find_patient(self.patient.data)
            if patient is None:
                self.patient.errors = [
                    "No patient of your clinic has this MRN. Correct it, or send a record's id."
                ]
                is_right = False
        if self.record.data and record is None:
            self.record.errors = ["This is no id of a record. Take it from the address of its page."]
            is_right = False
        if not is_right:
            return None
        try:
            return AuditFilter(
                patient=patient,
                with_lists=self.with_lists.data,
                person=(self.person.data or "").strip(),
                action=AuditAction(self.action.data) if self.action.data else None,
                date_from=self.date_from.data,
                date_to=self.date_to.data,
                record=record,
            )
        except InvalidInputError as error:
            for name, messages in error.fields.items():
                self[name].errors = [*self[name].errors, *messages]
            return None


def _read_id(text: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID((text or "").strip())
    except ValueError:
        return None
