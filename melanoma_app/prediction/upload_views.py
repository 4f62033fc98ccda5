"""The pages of a bulk upload: a manifest begins it, photographs follow one by one, its job's page shows the rest."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Final

from flask import Blueprint, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage

from melanoma_app.errors import ClinicError, ConflictError, NotFoundError, NotPermittedError, log_failure
from melanoma_app.extensions import job_queue
from melanoma_app.prediction.upload_forms import ManifestForm, PhotographsForm
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.jobs import list_jobs
from melanoma_app.services.upload_arrivals import stage_photograph
from melanoma_app.services.upload_manifest import MOST_ROWS
from melanoma_app.services.uploads import UploadProgress, begin_upload, find_wanted_names, start_upload

REFUSALS_TOLD: Final = 5
LONGEST_NAME: Final = 60
"""Characters of a file's name that a message repeats."""

blueprint = Blueprint("uploads", __name__)


@blueprint.get("/uploads/new")
@requires(Permission.ADD_IMAGES)
def new() -> ResponseReturnValue:
    """The form that begins an upload."""
    return _show_form(ManifestForm())


@blueprint.post("/uploads")
@requires(Permission.ADD_IMAGES)
def start() -> ResponseReturnValue:
    """Begin an upload; the page's script is told where to send the photographs."""
    form = ManifestForm()
    if form.validate_on_submit():
        try:
            job = start_upload(
                manifest=form.manifest.data.read(), default_day=form.captured_on.data, actor=current_actor()
            )
        except ClinicError as error:
            log_failure(error)
            if not error.fields:
                form.form_errors.append(error.message)
            for name, messages in error.fields.items():
                form[name].errors = [*form[name].errors, *messages]
        else:
            page = url_for("jobs.job", public_id=job.public_id)
            if _wants_json():
                addresses = {
                    name: url_for(f".{name}", public_id=job.public_id) for name in ("send", "wanted", "begin")
                }
                return jsonify(page=page, **addresses), HTTPStatus.CREATED
            flash("The manifest is kept. Now send the photographs.")
            return redirect(page, HTTPStatus.SEE_OTHER)
    if _wants_json():
        problems = [
            message
            for messages in (form.form_errors, *(field.errors for field in form))
            for message in messages
        ]
        return jsonify(
            message="Nothing was kept. Correct this, then send it again.", problems=problems
        ), HTTPStatus.UNPROCESSABLE_ENTITY
    return _show_form(form), HTTPStatus.UNPROCESSABLE_ENTITY


@blueprint.post("/uploads/<uuid:public_id>/photographs")
@requires(Permission.ADD_IMAGES)
def send(public_id: uuid.UUID) -> ResponseReturnValue:
    """Take photographs: one from the page's script, as many as fit into a request from the plain form."""
    form = PhotographsForm()
    page = url_for("jobs.job", public_id=public_id)
    if not form.validate_on_submit():
        find_wanted_names(public_id=public_id, names=(), actor=current_actor())  # may they know of it at all?
        return _refuse("Choose photographs first.", HTTPStatus.UNPROCESSABLE_ENTITY, page)
    refusals: list[tuple[FileStorage, ClinicError]] = []
    progress: UploadProgress | None = None
    for file in form.photographs.data:
        try:
            progress = stage_photograph(
                public_id=public_id, name=file.filename or "", content=file.read(), actor=current_actor()
            )
        except (NotFoundError, NotPermittedError):
            raise
        except ClinicError as error:
            log_failure(error)
            refusals.append((file, error))
    if progress is not None and progress.has_begun:
        job_queue.wake(progress.job_id)
    if _wants_json() and progress is not None and not refusals:
        return jsonify(wanted=progress.wanted, arrived=progress.arrived, has_begun=progress.has_begun)
    if _wants_json():
        return jsonify(message=refusals[0][1].message), refusals[0][1].status
    for file, refusal in refusals[:REFUSALS_TOLD]:
        flash(f"“{(file.filename or '')[:LONGEST_NAME]}”: {refusal.message}")
    if len(refusals) > REFUSALS_TOLD:
        flash(f"{len(refusals) - REFUSALS_TOLD} more files were not taken.")
    return redirect(page, HTTPStatus.SEE_OTHER)


@blueprint.post("/uploads/<uuid:public_id>/wanted")
@requires(Permission.ADD_IMAGES)
def wanted(public_id: uuid.UUID) -> ResponseReturnValue:
    """Which of some files are still to be sent; their names stand in the body, and in no address or log."""
    names = request.form.getlist("name")
    return jsonify(names=find_wanted_names(public_id=public_id, names=names, actor=current_actor()))


@blueprint.post("/uploads/<uuid:public_id>/begin")
@requires(Permission.ADD_IMAGES)
def begin(public_id: uuid.UUID) -> ResponseReturnValue:
    """Begin with the photographs that have come."""
    try:
        job = begin_upload(public_id=public_id, actor=current_actor())
    except ConflictError as error:
        flash(error.message)
    else:
        job_queue.wake(job.id)
        flash("The photographs are being taken in. You may leave this page.")
    return redirect(url_for("jobs.job", public_id=public_id), HTTPStatus.SEE_OTHER)


def _show_form(form: ManifestForm) -> str:
    return render_template(
        "prediction/new_upload.html", form=form, most_rows=MOST_ROWS, jobs=list_jobs(actor=current_actor())
    )


def _refuse(message: str, status: HTTPStatus, page: str) -> ResponseReturnValue:
    if _wants_json():
        return jsonify(message=message), status
    flash(message)
    return redirect(page, HTTPStatus.SEE_OTHER)


def _wants_json() -> bool:
    return request.accept_mimetypes.best == "application/json"
