"""The intake pages."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import Blueprint, flash, jsonify, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from melanoma_app.errors import ConflictError, InvalidInputError
from melanoma_app.intake.forms import LesionForm, PatientForm
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AnatomSiteGeneral
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.lesions import add_lesion, read_patient_record
from melanoma_app.services.patient_search import find_similar_patients
from melanoma_app.services.patients import (
    check_birth_date,
    clinic_day,
    edit_patient,
    read_patient,
    register_patient,
)
from melanoma_app.templating import format_age, format_day

blueprint = Blueprint("intake", __name__)


@blueprint.get("/patients/new")
@requires(Permission.WRITE_PATIENTS)
def new_patient() -> ResponseReturnValue:
    """The empty registration form."""
    return render_template("intake/patient_form.html", form=PatientForm(), patient=None)


@blueprint.post("/patients/new")
@requires(Permission.WRITE_PATIENTS)
def register() -> ResponseReturnValue:
    """Register a patient and open the page."""
    form = PatientForm()
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
    """For the page's script: the form's errors so far, and patients of the clinic who look like this one."""
    form = PatientForm()
    form.validate()
    if birth_date := form.birth_date.data:
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
        similar=[
            {
                "name": f"{patient.family_name}, {patient.given_name}",
                "mrn": patient.mrn,
                "born": f"{format_day(patient.birth_date)} ({format_age(patient.birth_date)})",
                "address": url_for("intake.patient", public_id=patient.public_id),
            }
            for patient in similar
        ],
    )


@blueprint.get("/patients/<uuid:public_id>")
@requires(Permission.READ_PATIENTS)
def patient(public_id: uuid.UUID) -> ResponseReturnValue:
    """A patient's page: banner, lesions, images."""
    record = read_patient_record(public_id=public_id, actor=current_actor())
    return render_template("intake/patient.html", record=record, lesion_form=LesionForm())


@blueprint.get("/patients/<uuid:public_id>/edit")
@requires(Permission.WRITE_PATIENTS)
def edit_form(public_id: uuid.UUID) -> ResponseReturnValue:
    """The form with what is on record."""
    patient = read_patient(public_id=public_id, actor=current_actor())
    form = PatientForm()
    form.fill(patient)
    return render_template("intake/patient_form.html", form=form, patient=patient)


@blueprint.post("/patients/<uuid:public_id>/edit")
@requires(Permission.WRITE_PATIENTS)
def edit(public_id: uuid.UUID) -> ResponseReturnValue:
    """Save an edit; who was overtaken by somebody else is told and keeps what they typed."""
    form = PatientForm()
    refusal = None
    if form.validate_on_submit():
        try:
            edit_patient(
                public_id=public_id,
                details=form.details(),
                version=form.version.data or 0,
                actor=current_actor(),
            )
        except (ConflictError, InvalidInputError) as error:
            form.show_problems(error.fields)
            refusal = error.message
        else:
            flash("The changes are saved.")
            return redirect(url_for("intake.patient", public_id=public_id))
    patient = read_patient(public_id=public_id, actor=current_actor())
    return _refused("intake/patient_form.html", form=form, patient=patient, refusal=refusal)


@blueprint.post("/patients/<uuid:public_id>/lesions")
@requires(Permission.WRITE_PATIENTS)
def new_lesion(public_id: uuid.UUID) -> ResponseReturnValue:
    """Add a lesion and go on to photographing it."""
    form = LesionForm()
    if not form.validate_on_submit():
        record = read_patient_record(public_id=public_id, actor=current_actor())
        return _refused("intake/patient.html", record=record, lesion_form=form)
    lesion = add_lesion(
        patient_public_id=public_id,
        anatom_site_general=AnatomSiteGeneral(form.anatom_site_general.data),
        description=form.description.data or "",
        actor=current_actor(),
    )
    flash(f"Lesion {lesion.number} is added. Photograph it now, or come back to it later.")
    return redirect(url_for("prediction.new_examination", public_id=lesion.public_id))


def _refused(template: str, **context: object) -> ResponseReturnValue:
    return render_template(template, **context), HTTPStatus.UNPROCESSABLE_ENTITY
