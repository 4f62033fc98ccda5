"""Patients: register, edit, read; and the rules about what a name, an MRN and a birth date can be."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload
from sqlalchemy.orm.exc import StaleDataError

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import AuditChain, Patient, PatientMerge
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, BirthDatePrecision, FitzpatrickSkinType, Gender
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.birth_dates import age_in_years
from melanoma_app.services.consent_purposes import CONSENT_FIELDS, note_decisions
from melanoma_app.services.counting import recount_patients
from melanoma_app.services.name_search import replace_search_keys
from melanoma_app.services.patient_merges import find_merge_of
from melanoma_app.services.record_totals import add_to_totals
from melanoma_app.services.text import search_name, tidy_mrn, tidy_text

OLDEST_AGE_YEARS: Final = 130
"""The oldest documented person reached 122 years (Robine and Allard 1998, doi 10.1126/science.279.5358.1831h)."""
COUNTED_BY: Final = frozenset({"birth_date", "gender", "fitzpatrick_skin_type"})
"""What is said of a patient that statistics count by."""
_MRN: Final = re.compile(r"[A-Z0-9][A-Z0-9./_-]{0,31}")


class MergedPatientError(ConflictError):
    """The record was merged into another one, so it is neither read nor written.

    Args:
        merge: Which holds; with the kept patient.
    """

    def __init__(self, merge: PatientMerge) -> None:
        self.kept_public_id = merge.kept.public_id
        super().__init__(
            "This record was merged into another record of the same person. "
            f"Open that one: {self.kept_public_id}."
        )


@dataclass(frozen=True, kw_only=True)
class PatientDetails:
    """What staff say of a patient; None where nobody has asked."""

    mrn: str
    family_name: str
    given_name: str
    birth_date: date
    gender: Gender
    birth_date_precision: BirthDatePrecision = BirthDatePrecision.EXACT
    fitzpatrick_skin_type: FitzpatrickSkinType | None = None
    personal_history_of_melanoma: bool | None = None
    family_history_of_melanoma: bool | None = None
    consent_to_care: bool | None = None
    consent_to_ai_analysis: bool | None = None
    consent_to_research: bool | None = None


def register_patient(*, details: PatientDetails, actor: Actor) -> Patient:
    """Add a patient to the actor's clinic.

    Raises:
        InvalidInputError: A value cannot be right; `fields` says which and why.
        ConflictError: The clinic already has a patient with that MRN.
    """
    patient = enter_patient(values=check_details(details=details, actor=actor), actor=actor)
    db.session.commit()
    return patient


def enter_patient(*, values: dict[str, Any], actor: Actor, chain: AuditChain | None = None) -> Patient:
    """Add a patient with search keys, consents and audit entry, in the caller's transaction.

    Args:
        values: As `check_details` gives them.
        actor: Who registers.
        chain: The clinic's audit chain, where the caller has locked it.

    Raises:
        ConflictError: The clinic already has a patient with that MRN; the transaction can go on.
    """
    chain = chain or lock_chain(actor.clinic_id)
    patient = Patient(public_id=uuid.uuid4(), clinic_id=actor.clinic_id, **values)
    with _refusing_taken_mrn(values["mrn"]):
        db.session.add(patient)
    replace_search_keys(patient)
    note_decisions(patient=patient, fields=values, actor=actor)
    record_event(
        action=AuditAction.PATIENT_REGISTERED,
        actor=actor,
        subject_public_id=patient.public_id,
        patient=patient,
        chain=chain,
    )
    add_to_totals(clinic_id=patient.clinic_id, patients=1)
    return patient


def edit_patient(*, public_id: uuid.UUID, details: PatientDetails, version: int, actor: Actor) -> Patient:
    """Replace what is said of a patient.

    Args:
        public_id: The patient.
        details: All of it, changed or not.
        version: The one that was read before editing; another one since means that somebody else has edited.
        actor: Who edits.

    Raises:
        NotFoundError: The clinic has no such patient.
        InvalidInputError: A value cannot be right, or an answer about a consent would be taken out of the record.
        ConflictError: Somebody else has edited meanwhile, or another patient holds the MRN; nothing is changed.
    """
    lock_chain(actor.clinic_id)
    patient = find_patient(public_id=public_id, actor=actor)
    if patient.version != version:
        raise _edited_meanwhile()
    values = check_details(details=details, actor=actor)
    _refuse_unasking(patient, values)
    try:
        with _refusing_taken_mrn(values["mrn"]):
            changed = sorted(name for name, value in values.items() if _assign(patient, name, value))
    except StaleDataError as error:
        raise _edited_meanwhile() from error
    if "search_name" in changed:
        replace_search_keys(patient)
    note_decisions(patient=patient, fields=changed, actor=actor)
    record_event(
        action=AuditAction.PATIENT_EDITED,
        actor=actor,
        subject_public_id=patient.public_id,
        patient=patient,
        details={"changed": [name for name in changed if name != "search_name"]},
    )
    if COUNTED_BY.intersection(changed):
        recount_patients(patient_ids=[patient.id], clinic_id=patient.clinic_id)
    db.session.commit()
    return patient


def find_patient(*, public_id: uuid.UUID, actor: Actor) -> Patient:
    """The clinic's patient of that id, for other services: nothing is audited.

    Every way to a patient's record leads through here, so this is the one place that keeps a merged record from
    being written to, or read as if it were still the whole one.

    Raises:
        NotFoundError: There is none, or none in the actor's clinic.
        MergedPatientError: It was merged into another record, which the error names.
    """
    patient = db.session.scalars(
        select(Patient)
        .where(Patient.public_id == public_id, Patient.clinic_id == actor.clinic_id)
        .options(joinedload(Patient.clinic))
    ).one_or_none()
    if patient is None:
        raise NotFoundError("There is no such patient in your clinic. Search for the name or the MRN.")
    if (merge := find_merge_of(patient)) is not None:
        raise MergedPatientError(merge)
    return patient


def lock_patient(*, public_id: uuid.UUID, actor: Actor) -> Patient:
    """As `find_patient`, with the row locked until the transaction ends and as the last writer left it.

    Whoever adds to a patient's record takes the lock, so that a merge at the same moment waits, or is seen.

    Raises:
        NotFoundError: There is none, or none in the actor's clinic.
        MergedPatientError: It was merged into another record.
    """
    lock_chain(actor.clinic_id)
    db.session.scalars(
        select(Patient)
        .where(Patient.public_id == public_id, Patient.clinic_id == actor.clinic_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    return find_patient(public_id=public_id, actor=actor)


def read_patient(*, public_id: uuid.UUID, actor: Actor) -> Patient:
    """A patient to be shown; the reading is audited.

    Raises:
        NotFoundError: The clinic has no such patient.
    """
    patient = find_patient(public_id=public_id, actor=actor)
    record_event(action=AuditAction.PATIENT_READ, actor=actor, subject_public_id=public_id, patient=patient)
    db.session.commit()
    return patient


def check_details(*, details: PatientDetails, actor: Actor) -> dict[str, Any]:
    """The column values, tidied, or a refusal that names every wrong field.

    Raises:
        InvalidInputError: A value cannot be right.
    """
    values: dict[str, Any] = dict(vars(details))
    values["mrn"] = tidy_mrn(details.mrn)
    problems: dict[str, list[str]] = {}
    if not _MRN.fullmatch(values["mrn"]):
        problems["mrn"] = ["An MRN has up to 32 letters, digits, dots, dashes, slashes and underscores."]
    for field in ("family_name", "given_name"):
        values[field] = tidy_text(values[field])
        if not values[field] or len(values[field]) > Patient.__table__.c[field].type.length:  # type: ignore[attr-defined]
            problems[field] = ["A name has 1 to 100 characters."]
    if problem := check_birth_date(details.birth_date, today=clinic_day(utc_now(), actor=actor)):
        problems["birth_date"] = [problem]
    if problems:
        raise InvalidInputError("Some values need another look.", fields=problems)
    values["search_name"] = search_name(values["family_name"], values["given_name"])
    return values


def check_birth_date(birth_date: date, *, today: date) -> str | None:
    """Say why a birth date cannot be right; None when it can."""
    if birth_date > today:
        return f"The birth date {birth_date:%d %b %Y} is in the future. Check day, month and year."
    if age_in_years(birth_date, on=today) > OLDEST_AGE_YEARS:
        return f"This birth date would make the patient older than {OLDEST_AGE_YEARS} years. Check the year."
    return None


def clinic_day(moment: datetime, *, actor: Actor) -> date:
    """The date of a moment where the actor's clinic is."""
    return moment.astimezone(ZoneInfo(actor.user.clinic.time_zone)).date()


def _assign(patient: Patient, name: str, value: Any) -> bool:
    if getattr(patient, name) == value:
        return False
    setattr(patient, name, value)
    return True


def _refuse_unasking(patient: Patient, values: dict[str, Any]) -> None:
    """An answer can be changed, but not made to look as if nobody had asked."""
    unasked = [f for f in CONSENT_FIELDS.values() if values[f] is None and getattr(patient, f) is not None]
    if unasked:
        message = "The patient has answered this. Choose yes or no; the earlier answer stays in the history."
        raise InvalidInputError(message, fields={field: [message] for field in unasked})


@contextmanager
def _refusing_taken_mrn(mrn: str) -> Iterator[None]:
    """What is changed within is written at its end; a refusal undoes that alone, so that a page can still be made."""
    try:
        with db.session.begin_nested():
            yield
    except IntegrityError as error:
        message = f"Another patient of the clinic already has the MRN {mrn}. Search for it before you go on."
        raise ConflictError(message, fields={"mrn": [message]}) from error


def _edited_meanwhile() -> ConflictError:
    return ConflictError(
        "Somebody else has edited this patient meanwhile, so nothing was changed. "
        "Look at what they wrote, then make your change again."
    )
