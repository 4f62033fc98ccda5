"""The pages of a patient's rights: everything on record as files, erasure; and the export for research."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import Blueprint, Response, flash, redirect, render_template, send_file, url_for
from flask.typing import ResponseReturnValue

from melanoma_app.errors import ConflictError, InvalidInputError
from melanoma_app.intake.merged_records import go_to_the_kept_record
from melanoma_app.intake.privacy_forms import ErasureForm, ResearchForm
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.erasure import erase_patient, read_erasure_outlook
from melanoma_app.services.export_archive import ExportedArchive
from melanoma_app.services.patient_export import export_everything
from melanoma_app.services.patients import MergedPatientError
from melanoma_app.services.research_export import export_research, plan_research_export
from melanoma_app.services.small_groups import SMALLEST_GROUP, STEPS

blueprint = Blueprint("privacy", __name__)
blueprint.register_error_handler(MergedPatientError, go_to_the_kept_record)


@blueprint.get("/patients/<uuid:public_id>/export.zip")
@requires(Permission.EXPORT_RECORDS)
def export(public_id: uuid.UUID) -> Response:
    """Everything that is on record of a patient; the file's name says nothing but the public id."""
    return _send(export_everything(public_id=public_id, actor=current_actor()))


@blueprint.get("/patients/<uuid:public_id>/erase")
@requires(Permission.ERASE_PATIENTS)
def erase_form(public_id: uuid.UUID) -> ResponseReturnValue:
    """What an erasure would take, what stays, and whether it can be done today."""
    return _show_erasure(public_id, ErasureForm())


@blueprint.post("/patients/<uuid:public_id>/erase")
@requires(Permission.ERASE_PATIENTS)
def erase(public_id: uuid.UUID) -> ResponseReturnValue:
    """Erase the record."""
    form, refusal = ErasureForm(), None
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    if form.validate_on_submit():
        try:
            erase_patient(
                public_id=public_id,
                mrn=form.mrn.data,
                reason=form.reason.data,
                law_lets_it_go=form.law_lets_it_go.data,
                actor=current_actor(),
            )
        except MergedPatientError:
            raise
        except InvalidInputError as error:
            form.show_problems(error.fields)
        except ConflictError as error:
            status, refusal = error.status, error.message
        else:
            flash("The record is erased. What stays is who erased it, when and on what ground.")
            return redirect(url_for("dashboard.patients"), HTTPStatus.SEE_OTHER)
    return _show_erasure(public_id, form, refusal), status


@blueprint.get("/research")
@requires(Permission.EXPORT_RESEARCH)
def research() -> ResponseReturnValue:
    """What an export for research would hold today."""
    return _show_research()


@blueprint.post("/research")
@requires(Permission.EXPORT_RESEARCH)
def research_file() -> ResponseReturnValue:
    """Make it."""
    try:
        return _send(export_research(actor=current_actor()))
    except ConflictError as error:
        return _show_research(error.message), error.status


def _show_erasure(public_id: uuid.UUID, form: ErasureForm, refusal: str | None = None) -> str:
    outlook = read_erasure_outlook(public_id=public_id, actor=current_actor())
    return render_template("intake/erase.html", form=form, outlook=outlook, refusal=refusal)


def _show_research(refusal: str | None = None) -> str:
    return render_template(
        "intake/research.html",
        form=ResearchForm(),
        plan=plan_research_export(actor=current_actor()),
        steps=[step.replace("_", " ") for step in STEPS],
        smallest_group=SMALLEST_GROUP,
        refusal=refusal,
    )


def _send(exported: ExportedArchive) -> Response:
    response = send_file(
        exported.content, mimetype="application/zip", as_attachment=True, download_name=exported.name
    )
    # Tells a browser that a broken-off download is not the whole file.
    response.content_length = exported.size_bytes
    return response
