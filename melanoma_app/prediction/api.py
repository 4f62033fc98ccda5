"""The photographs and predictions part of the REST API."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, request
from werkzeug.datastructures import FileStorage

from melanoma_app.models import Prediction
from melanoma_app.prediction.schemas import ExaminationSchema, PredictionSchema, ResultSchema
from melanoma_app.record_schemas import ImageRecordSchema
from melanoma_app.rest import ApiBlueprint
from melanoma_app.security.authentication import current_actor, requires_token
from melanoma_app.security.permissions import Permission
from melanoma_app.services.examinations import record_examination, score_image
from melanoma_app.services.heat_maps import draw_heat_map
from melanoma_app.services.lesion_images import ImageRecord, StoredImage, read_image, read_thumbnail
from melanoma_app.services.predictions import Result, read_prediction, read_result

blueprint = ApiBlueprint(
    "images", __name__, url_prefix="/api/v1", description="Photographs and what models said of them"
)


@blueprint.route("/lesions/<uuid:lesion_id>/images", methods=["POST"])
@requires_token(Permission.ADD_IMAGES)
@blueprint.arguments(ExaminationSchema, location="multipart")
@blueprint.response(201, ImageRecordSchema)
def create_image(details: dict[str, Any], lesion_id: uuid.UUID) -> ImageRecord:
    """Store a photograph of a lesion, and its prediction where the patient has agreed to one.

    413 when the file or its picture is too large, 415 when it is no JPEG or PNG, 422 when it is damaged; 422 with
    `fields.quality` when the quality gate stops it: send it again with a `quality_override_reason`, or take a better
    one. 409 when the patient has refused care. A refused file leaves nothing behind.

    The same file sent again for the same lesion gives the photograph that is there, so a call that was not answered may
    be repeated. 503 with `Retry-After` when too many photographs come in at the same time.
    """
    image: FileStorage = details.pop("image")
    return record_examination(
        lesion_public_id=lesion_id, upload=image.read(), actor=current_actor(), **details
    )


@blueprint.route("/images/<uuid:image_id>")
@requires_token(Permission.READ_PATIENTS)
@blueprint.response(200, ResultSchema)
def show_image(image_id: uuid.UUID) -> Result:
    """A photograph with everything that was said of it: newest prediction, first reads, checklist, review."""
    return read_result(image_public_id=image_id, actor=current_actor())


@blueprint.route("/images/<uuid:image_id>/file")
@requires_token(Permission.READ_PATIENTS)
@blueprint.file_response("image/jpeg")
def show_file(image_id: uuid.UUID) -> Response:
    """The photograph: always a JPEG, upright and without metadata."""
    return _answer_with(read_image(public_id=image_id, actor=current_actor()), f"{image_id}.jpg")


@blueprint.route("/images/<uuid:image_id>/thumbnail")
@requires_token(Permission.READ_PATIENTS)
@blueprint.file_response("image/jpeg")
def show_thumbnail(image_id: uuid.UUID) -> Response:
    """The photograph in small."""
    return _answer_with(read_thumbnail(public_id=image_id, actor=current_actor()), f"{image_id}-small.jpg")


@blueprint.route("/images/<uuid:image_id>/predictions", methods=["POST"])
@requires_token(Permission.ADD_IMAGES)
@blueprint.response(201, PredictionSchema)
def create_prediction(image_id: uuid.UUID) -> Prediction:
    """Let the active model look at a stored photograph; earlier predictions stay.

    409 when the patient has not agreed to analysis by a model.
    """
    return score_image(image_public_id=image_id, actor=current_actor())


@blueprint.route("/predictions/<uuid:prediction_id>")
@requires_token(Permission.READ_PATIENTS)
@blueprint.response(200, PredictionSchema)
def show_prediction(prediction_id: uuid.UUID) -> Prediction:
    """A stored prediction."""
    return read_prediction(public_id=prediction_id, actor=current_actor())


@blueprint.route("/predictions/<uuid:prediction_id>/heat-map")
@requires_token(Permission.READ_PATIENTS)
@blueprint.file_response("image/jpeg")
def show_heat_map(prediction_id: uuid.UUID) -> Response:
    """Where in the photograph the model found what speaks for malignancy: coarse, and no outline of the lesion.

    409 when the patient has not agreed to analysis by a model, or the model cannot draw one any more.
    """
    content = draw_heat_map(prediction_public_id=prediction_id, actor=current_actor())
    return Response(content, mimetype="image/jpeg")


def _answer_with(stored: StoredImage, name: str) -> Response:
    response = Response(stored.content, mimetype="image/jpeg")
    response.headers["Content-Disposition"] = f'inline; filename="{name}"'
    response.set_etag(stored.sha256)
    response.make_conditional(request)
    return response
