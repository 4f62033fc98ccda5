"""The prediction pages."""

from __future__ import annotations

import uuid

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import UnprocessableEntity

from melanoma_app.errors import ClinicError, NotFoundError
from melanoma_app.models.vocabulary import ImageType
from melanoma_app.prediction.forms import ExaminationForm
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.examinations import captured_on_day, record_examination
from melanoma_app.services.lesions import read_lesion
from melanoma_app.services.predictions import read_image, read_prediction

blueprint = Blueprint("prediction", __name__)


@blueprint.get("/lesions/<uuid:public_id>/images/new")
@requires(Permission.ADD_IMAGES)
def new_examination(public_id: uuid.UUID) -> ResponseReturnValue:
    """The form to choose, drag or take a photograph."""
    lesion = read_lesion(public_id=public_id, actor=current_actor())
    return render_template("prediction/new_examination.html", form=ExaminationForm(), lesion=lesion)


@blueprint.post("/lesions/<uuid:public_id>/images/new")
@requires(Permission.ADD_IMAGES)
def examine(public_id: uuid.UUID) -> ResponseReturnValue:
    """Store and score the photograph, then show the result; a refused file leaves nothing behind."""
    form = ExaminationForm()
    status, refusal = UnprocessableEntity.code, None
    if form.validate_on_submit():
        try:
            prediction = record_examination(
                lesion_public_id=public_id,
                upload=form.image.data.read(),
                image_type=ImageType(form.image_type.data),
                captured_at=captured_on_day(form.captured_on.data, actor=current_actor()),
                actor=current_actor(),
            )
        except NotFoundError:
            raise
        except ClinicError as error:
            status, refusal = error.status.value, error.message
        else:
            flash("The photograph and its result are stored.")
            return redirect(url_for("prediction.result", public_id=prediction.public_id))
    lesion = read_lesion(public_id=public_id, actor=current_actor())
    return render_template(
        "prediction/new_examination.html", form=form, lesion=lesion, refusal=refusal
    ), status


@blueprint.get("/predictions/<uuid:public_id>")
@requires(Permission.READ_PATIENTS)
def result(public_id: uuid.UUID) -> ResponseReturnValue:
    """What the model said of a photograph."""
    prediction = read_prediction(public_id=public_id, actor=current_actor())
    return render_template("prediction/result.html", prediction=prediction)


@blueprint.get("/images/<uuid:public_id>")
@requires(Permission.READ_PATIENTS)
def image(public_id: uuid.UUID) -> Response:
    """A stored photograph: always a JPEG of ours, never the bytes that came in."""
    stored = read_image(public_id=public_id, actor=current_actor())
    response = Response(stored.content, mimetype="image/jpeg")
    response.headers["Content-Disposition"] = f'inline; filename="{public_id}.jpg"'
    response.set_etag(stored.sha256)
    response.make_conditional(request)
    return response
