"""The intake pages: register, edit, and the patient's own page."""

from __future__ import annotations

import uuid
from datetime import date
from http import HTTPStatus

from flask import Blueprint, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from melanoma_app.errors import ConflictError, InvalidInputError
from melanoma_app.intake.forms import ConsentForm, PatientForm
from melanoma_app.intake.lesion_forms import LesionForm
from melanoma_app.intake.merged_records import go_to_the_kept_record
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import BirthDatePrecision
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.consents import describe_consents, list_consent_decisions
from melanoma_app.services.lesions import read_patient_record
from melanoma_app.services.patient_merges import list_merges_into
from melanoma_app.services.patient_search import find_similar_patients
from melanoma_app.services.patients import (
    MergedPatientError,
    check_birth_date,
    clinic_day,
    edit_patient,
    read_patient,
    register_patient,
)
from melanoma_app.services.timeline import NEWEST_ENTRIES, gather_timeline, group_by_day
from melanoma_app.templating import format_age, format_day

blueprint = Blueprint("intake", __name__)
blueprint.register_error_handler(MergedPatientError, go_to_the_kept_record)


@blueprint.get("/patients/new")
@requires(Permission.WRITE_PATIENTS)
def new_patient() -> ResponseReturnValue:
    """The empty registration form.

    What was searched for before is not carried over: a name must not stand in an address, for addresses are logged,
    and which word of a search is the family name would be a guess.
    """
    return render_template("intake/patient_form.html", form=_patient_form(), patient=None)


@blueprint.post("/patients/new")
@requires(Permission.WRITE_PATIENTS)
def register() -> ResponseReturnValue:
    """Register a patient and open the page."""
    form = _patient_form()
    if form.validate_on_submit():
        try:
            patient = register_patient(details=form.details(), actor=current_actor())
        except (ConflictError, InvalidInputError) as error:
            form.show_problems(error.fields)
        else:
            flash("The patient is registered.")
            return redirect(url_for("intake.patient", public_id=patient.public_id))
    return _refused("intake/patient_form.html", form=form, patient=None)


@blueprint.post("/patients/check")
@requires(Permission.WRITE_PATIENTS)
def check_patient() -> ResponseReturnValue:
    """For the page's script: errors so far, the birth date as understood, and patients who look like this one."""
    form = _patient_form()
    form.validate()
    birth_date = form.born[0] if form.born else None
    if birth_date:
        problem = check_birth_date(birth_date, today=clinic_day(utc_now(), actor=current_actor()))
        form.show_problems({"birth_date": [problem] if problem else []})
    similar = find_similar_patients(
        mrn=form.mrn.data or "",
        family_name=form.family_name.data or "",
        given_name=form.given_name.data or "",
        birth_date=birth_date,
        actor=current_actor(),
    )
    return jsonify(
        errors=form.errors,
        born=_describe_birth(*form.born) if form.born and "birth_date" not in form.errors else "",
        similar=[
            {
                "name": f"{patient.family_name}, {patient.given_name}",
                "mrn": patient.mrn,
                "born": _describe_birth(patient.birth_date, patient.birth_date_precision),
                "address": url_for("intake.patient", public_id=patient.public_id),
            }
            for patient in similar
        ],
    )


@blueprint.get("/patients/<uuid:public_id>")
@requires(Permission.READ_PATIENTS)
def patient(public_id: uuid.UUID) -> ResponseReturnValue:
    """A patient's page: banner, lesions on the body map, consents, timeline."""
    record = read_patient_record(public_id=public_id, actor=current_actor())
    decisions = list_consent_decisions(patient=record.patient)
    timeline = gather_timeline(record=record, decisions=decisions)
    shown = timeline if request.args.get("timeline") == "all" else timeline[:NEWEST_ENTRIES]
    return render_template(
        "intake/patient.html",
        record=record,
        lesion_form=LesionForm(),
        consent_form=ConsentForm(),
        consents=describe_consents(patient=record.patient, decisions=decisions),
        merges=list_merges_into(record.patient),
        days=group_by_day(shown, patient=record.patient),
        hidden_entries=len(timeline) - len(shown),
    )


@blueprint.get("/patients/<uuid:public_id>/edit")
@requires(Permission.WRITE_PATIENTS)
def edit_form(public_id: uuid.UUID) -> ResponseReturnValue:
    """The form with what is on record."""
    patient = read_patient(public_id=public_id, actor=current_actor())
    form = _patient_form()
    form.fill(patient)
    return render_template("intake/patient_form.html", form=form, patient=patient)


@blueprint.post("/patients/<uuid:public_id>/edit")
@requires(Permission.WRITE_PATIENTS)
def edit(public_id: uuid.UUID) -> ResponseReturnValue:
    """Save an edit; who was overtaken by somebody else is told and keeps what they typed."""
    form = _patient_form()
    refusal = None
    if form.validate_on_submit():
        try:
            edit_patient(
                public_id=public_id,
                details=form.details(),
                version=form.version.data or 0,
                actor=current_actor(),
            )
        except MergedPatientError:
            raise
        except (ConflictError, InvalidInputError) as error:
            form.show_problems(error.fields)
            refusal = error.message
        else:
            flash("The changes are saved.")
            return redirect(url_for("intake.patient", public_id=public_id))
    patient = read_patient(public_id=public_id, actor=current_actor())
    return _refused("intake/patient_form.html", form=form, patient=patient, refusal=refusal)


def _patient_form() -> PatientForm:
    return PatientForm(today=clinic_day(utc_now(), actor=current_actor()))


def _describe_birth(birth_date: date, precision: BirthDatePrecision) -> str:
    """As the macro `birth` of the templates has it."""
    if precision is BirthDatePrecision.ESTIMATED:
        return f"{birth_date.year} (about {format_age(birth_date)}, estimated)"
    return f"{format_day(birth_date)} ({format_age(birth_date)})"


def _refused(template: str, **context: object) -> ResponseReturnValue:
    return render_template(template, **context), HTTPStatus.UNPROCESSABLE_ENTITY
