"""The prediction pages."""

from __future__ import annotations

import uuid

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import UnprocessableEntity

from melanoma_app.errors import (
    ClinicError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    QualityRefusedError,
    log_failure,
)
from melanoma_app.models import LesionImage
from melanoma_app.models.vocabulary import ClinicalImpression, ImageType
from melanoma_app.prediction.forms import ChecklistForm, ExaminationForm, FirstReadForm
from melanoma_app.prediction.review_views import render_result
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.checklists import record_checklist
from melanoma_app.services.examinations import captured_on_day, record_examination
from melanoma_app.services.first_reads import read_for_first_read, record_first_read
from melanoma_app.services.lesion_images import StoredImage, read_image, read_thumbnail
from melanoma_app.services.lesions import read_lesion
from melanoma_app.services.predictions import find_newest_prediction, find_prediction
from ml.inference import QualityFinding

blueprint = Blueprint("prediction", __name__)


@blueprint.get("/lesions/<uuid:public_id>/images/new")
@requires(Permission.ADD_IMAGES)
def new_examination(public_id: uuid.UUID) -> ResponseReturnValue:
    """The form to choose, drag or take photographs."""
    lesion = read_lesion(public_id=public_id, actor=current_actor())
    return render_template("prediction/new_examination.html", form=ExaminationForm(), lesion=lesion)


@blueprint.post("/lesions/<uuid:public_id>/images/new")
@requires(Permission.ADD_IMAGES)
def examine(public_id: uuid.UUID) -> ResponseReturnValue:
    """Store and score one photograph, then show the result; a refused file leaves nothing behind.

    The page's script sends several, one after the other, and is answered in JSON: where to go on, or what is wrong.
    """
    form = ExaminationForm()
    refusal: ClinicError = InvalidInputError("")
    if form.validate_on_submit():
        try:
            record = record_examination(
                lesion_public_id=public_id,
                upload=form.image.data.read(),
                image_type=ImageType(form.image_type.data),
                captured_at=captured_on_day(form.captured_on.data, actor=current_actor()),
                clin_size_long_diam_mm=form.clin_size_long_diam_mm.data,
                quality_override_reason=form.quality_override_reason.data or "",
                actor=current_actor(),
            )
        except NotFoundError:
            raise
        except ClinicError as error:
            refusal = error
            log_failure(error)
            form.show_problems(error.fields)
        else:
            return _go_on(record.image, wants_first_read=form.own_impression.data)
    if _wants_json():
        return _refuse_in_json(form, refusal)
    lesion = read_lesion(public_id=public_id, actor=current_actor())
    return render_template(
        "prediction/new_examination.html",
        form=form,
        lesion=lesion,
        refusal=refusal.message,
        findings=_findings_of(refusal),
    ), refusal.status


@blueprint.get("/predictions/<uuid:public_id>")
@requires(Permission.READ_PATIENTS)
def result(public_id: uuid.UUID) -> ResponseReturnValue:
    """The page of the answer's photograph; an answer that is no longer the newest is shown as such."""
    prediction = find_prediction(public_id=public_id, actor=current_actor())
    image_id = prediction.lesion_image.public_id
    newest = find_newest_prediction(image=prediction.lesion_image)
    if newest is None or newest.public_id == public_id:
        return redirect(url_for("reviews.result", public_id=image_id))
    return render_result(image_id, prediction_public_id=public_id)


@blueprint.get("/images/<uuid:public_id>")
@requires(Permission.READ_PATIENTS)
def image(public_id: uuid.UUID) -> Response:
    """A stored photograph: always a JPEG of ours, never the bytes that came in."""
    return _show(read_image(public_id=public_id, actor=current_actor()), f"{public_id}.jpg")


@blueprint.get("/images/<uuid:public_id>/thumbnail")
@requires(Permission.READ_PATIENTS)
def thumbnail(public_id: uuid.UUID) -> Response:
    """The small copy of a photograph that lists show."""
    return _show(read_thumbnail(public_id=public_id, actor=current_actor()), f"{public_id}-small.jpg")


@blueprint.route("/examinations/<uuid:public_id>/first-read", methods=["GET", "POST"])
@requires(Permission.REVIEW)
def first_read(public_id: uuid.UUID) -> ResponseReturnValue:
    """The photograph alone, and what the clinician takes it for; then on to the next one, or to the result."""
    form = FirstReadForm()
    if form.validate_on_submit():
        try:
            record_first_read(
                image_public_id=public_id,
                impression=ClinicalImpression(form.impression.data),
                note=form.note.data or "",
                actor=current_actor(),
            )
        except InvalidInputError as error:
            form.note.errors = [error.message]
        else:
            flash("Your impression is recorded.")
            return redirect(_after_first_read(public_id))
    try:
        lesion_image = read_for_first_read(image_public_id=public_id, actor=current_actor())
    except ConflictError as error:
        flash(error.message)
        return redirect(_after_first_read(public_id))
    status = UnprocessableEntity.code if form.errors else 200
    return render_template("prediction/first_read.html", form=form, lesion_image=lesion_image), status


@blueprint.post("/examinations/<uuid:public_id>/checklist")
@requires(Permission.ADD_IMAGES)
def add_checklist(public_id: uuid.UUID) -> ResponseReturnValue:
    """Record the checklists somebody went through."""
    form = ChecklistForm()
    record_checklist(
        image_public_id=public_id,
        abcde=form.abcde(),
        seven_point=form.seven_point(),
        actor=current_actor(),
    )
    flash("The checklists are recorded.")
    return redirect(url_for("reviews.result", public_id=public_id))


def _go_on(lesion_image: LesionImage, *, wants_first_read: bool) -> ResponseReturnValue:
    """To the first read for those who want one and may, else to the result."""
    is_first_read = wants_first_read and Permission.REVIEW in current_actor().permissions
    endpoint = "prediction.first_read" if is_first_read else "reviews.result"
    address = url_for(endpoint, public_id=lesion_image.public_id)
    if _wants_json():
        return jsonify(address=address, image=str(lesion_image.public_id)), 201
    flash("The photograph is stored.")
    return redirect(address)


def _wants_json() -> bool:
    return request.accept_mimetypes.best == "application/json"


def _refuse_in_json(form: ExaminationForm, refusal: ClinicError) -> ResponseReturnValue:
    findings = [
        {"issue": finding.issue.value, "reason": finding.reason, "hint": finding.hint}
        for finding in _findings_of(refusal)
    ]
    return jsonify(message=refusal.message or form.problems, findings=findings), refusal.status


def _findings_of(refusal: ClinicError) -> tuple[QualityFinding, ...]:
    return refusal.findings if isinstance(refusal, QualityRefusedError) else ()


def _after_first_read(public_id: uuid.UUID) -> str:
    """The first read of the next photograph that was sent together with this one; after the last, its result."""
    following = request.args.getlist("then", type=uuid.UUID)
    if not following:
        return url_for("reviews.result", public_id=public_id)
    return url_for("prediction.first_read", public_id=following[0], then=following[1:])


def _show(stored: StoredImage, name: str) -> Response:
    response = Response(stored.content, mimetype="image/jpeg")
    response.headers["Content-Disposition"] = f'inline; filename="{name}"'
    response.set_etag(stored.sha256)
    response.make_conditional(request)
    return response
