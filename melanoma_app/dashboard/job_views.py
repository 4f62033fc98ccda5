"""The jobs: what goes on in the background, how far it is, and what was set aside."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from melanoma_app.errors import ConflictError
from melanoma_app.extensions import job_queue
from melanoma_app.models import Job
from melanoma_app.models.vocabulary import JobState
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.jobs import can_retry, cancel_job, find_job, list_failures, list_jobs, retry_job
from melanoma_app.services.rescoring import start_rescoring
from melanoma_app.services.uploads import count_photographs

KIND_WORDS = {
    "rescore": "Re-scoring",
    "import_images": "Import of photographs",
    "bulk_upload": "Bulk upload",
}
STATE_WORDS = {
    "collecting": "Waiting for photographs",
    "waiting": "Waiting",
    "running": "Running",
    "done": "Done",
    "failed": "Stopped",
    "cancelled": "Cancelled",
}
ON_ITS_WAY = "It goes on by itself: you may leave this page."
NO_REDIS = "Redis does not answer at present, so the job waits. Workers begin it once Redis is back."

blueprint = Blueprint("jobs", __name__)
blueprint.add_app_template_filter(lambda job: KIND_WORDS[job.kind], "job_kind")
blueprint.add_app_template_filter(lambda job: STATE_WORDS[job.state], "job_state")


@blueprint.get("/jobs")
@requires(Permission.ADD_IMAGES)
def jobs() -> ResponseReturnValue:
    """The newest jobs of the clinic, or the uploads of who is no administrator."""
    return render_template("dashboard/jobs.html", jobs=list_jobs(actor=current_actor()))


@blueprint.post("/jobs")
@requires(Permission.MANAGE_MODELS)
def rescore() -> ResponseReturnValue:
    """Begin to score every photograph with the active model."""
    try:
        job = start_rescoring(actor=current_actor(), model=request.form.get("model") or None)
    except ConflictError as error:
        flash(error.message)
        return redirect(url_for(".jobs"), HTTPStatus.SEE_OTHER)
    return _show_begun(job)


@blueprint.get("/jobs/<uuid:public_id>")
@requires(Permission.ADD_IMAGES)
def job(public_id: uuid.UUID) -> ResponseReturnValue:
    """How far a job is, and what was set aside."""
    shown = find_job(public_id=public_id, actor=current_actor())
    return render_template(
        "dashboard/job.html",
        job=shown,
        failures=list_failures(job=shown),
        can_retry=can_retry(shown),
        photographs=count_photographs(job=shown) if shown.state is JobState.COLLECTING else None,
    )


@blueprint.get("/jobs/<uuid:public_id>/progress")
@requires(Permission.ADD_IMAGES)
def progress(public_id: uuid.UUID) -> Response:
    """How far a job is, for the page that watches it."""
    shown = find_job(public_id=public_id, actor=current_actor())
    return jsonify(
        state=STATE_WORDS[shown.state],
        is_over=shown.is_over,
        total=shown.total,
        done=shown.done,
        failed=shown.failed,
        note=shown.note,
    )


@blueprint.post("/jobs/<uuid:public_id>/cancel")
@requires(Permission.ADD_IMAGES)
def cancel(public_id: uuid.UUID) -> ResponseReturnValue:
    """Do nothing more for a job."""
    try:
        cancelled = cancel_job(public_id=public_id, actor=current_actor())
    except ConflictError as error:
        flash(error.message)
    else:
        job_queue.wake(cancelled.id)  # to remove the photographs that an upload has brought
        flash("The job is cancelled. What it has done stays.")
    return redirect(url_for(".job", public_id=public_id), HTTPStatus.SEE_OTHER)


@blueprint.post("/jobs/<uuid:public_id>/retry")
@requires(Permission.ADD_IMAGES)
def retry(public_id: uuid.UUID) -> ResponseReturnValue:
    """Begin what failed in a job, or was left of it, again."""
    try:
        again = retry_job(public_id=public_id, actor=current_actor())
    except ConflictError as error:
        flash(error.message)
        return redirect(url_for(".job", public_id=public_id), HTTPStatus.SEE_OTHER)
    if again.state is JobState.COLLECTING:
        flash("Send the photographs of the rows that were set aside once more.")
        return redirect(url_for(".job", public_id=public_id), HTTPStatus.SEE_OTHER)
    return _show_begun(again)


def _show_begun(begun: Job) -> ResponseReturnValue:
    flash(ON_ITS_WAY if job_queue.wake(begun.id) else NO_REDIS)
    return redirect(url_for(".job", public_id=begun.public_id), HTTPStatus.SEE_OTHER)
