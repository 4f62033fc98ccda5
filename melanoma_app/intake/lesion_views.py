"""The pages that add a lesion and correct what is said of it."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from melanoma_app.errors import ConflictError, InvalidInputError
from melanoma_app.intake.body_drawing import draw_body
from melanoma_app.intake.lesion_forms import LesionForm
from melanoma_app.models import Lesion
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.body_map import describe_site
from melanoma_app.services.lesions import add_lesion, edit_lesion, read_lesion, read_patient_record

blueprint = Blueprint("lesions", __name__)
# For the body map's macro, which pages of other blueprints may draw as well.
blueprint.add_app_template_global(draw_body)
blueprint.add_app_template_global(describe_site)


@blueprint.post("/patients/<uuid:public_id>/lesions")
@requires(Permission.WRITE_PATIENTS)
def add(public_id: uuid.UUID) -> ResponseReturnValue:
    """Add a lesion and go on to photographing it; a refusal shows the form by itself, with what was typed."""
    form = LesionForm()
    refusal = None
    if form.validate_on_submit():
        try:
            lesion = add_lesion(patient_public_id=public_id, actor=current_actor(), **form.details())
        except (ConflictError, InvalidInputError) as error:
            form.show_problems(error.fields)
            refusal = error.message
        else:
            flash(f"Lesion {lesion.number} is added. Photograph it now, or come back to it later.")
            return redirect(url_for("prediction.new_examination", public_id=lesion.public_id))
    record = read_patient_record(public_id=public_id, actor=current_actor())
    page = render_template(
        "lesions/lesion_form.html",
        form=form,
        refusal=refusal,
        patient=record.patient,
        lesion=None,
        others=[entry.lesion for entry in record.lesions],
        number=record.next_lesion_number,
    )
    return page, HTTPStatus.UNPROCESSABLE_ENTITY


@blueprint.get("/lesions/<uuid:public_id>/edit")
@requires(Permission.WRITE_PATIENTS)
def edit_form(public_id: uuid.UUID) -> ResponseReturnValue:
    """The form with what is on record."""
    lesion = read_lesion(public_id=public_id, actor=current_actor())
    form = LesionForm()
    form.fill(lesion)
    return _show_edit_form(form, lesion)


@blueprint.post("/lesions/<uuid:public_id>/edit")
@requires(Permission.WRITE_PATIENTS)
def edit(public_id: uuid.UUID) -> ResponseReturnValue:
    """Save a correction and go back to the patient."""
    form = LesionForm()
    if form.validate_on_submit():
        try:
            lesion = edit_lesion(public_id=public_id, actor=current_actor(), **form.details())
        except InvalidInputError as error:
            form.show_problems(error.fields)
        else:
            flash(f"The changes to lesion {lesion.number} are saved.")
            address = url_for("intake.patient", public_id=lesion.patient.public_id)
            return redirect(f"{address}#lesion-{lesion.number}")
    lesion = read_lesion(public_id=public_id, actor=current_actor())
    return _show_edit_form(form, lesion), HTTPStatus.UNPROCESSABLE_ENTITY


def _show_edit_form(form: LesionForm, lesion: Lesion) -> str:
    return render_template(
        "lesions/lesion_form.html",
        form=form,
        patient=lesion.patient,
        lesion=lesion,
        others=[],
        number=lesion.number,
    )
