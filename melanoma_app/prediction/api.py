"""The prediction part of the REST API."""

from __future__ import annotations

import uuid
from typing import Any

from werkzeug.datastructures import FileStorage

from melanoma_app.models import Prediction
from melanoma_app.prediction.schemas import ExaminationSchema, PredictionSchema
from melanoma_app.rest import ApiBlueprint
from melanoma_app.security.authentication import current_actor, requires_token
from melanoma_app.security.permissions import Permission
from melanoma_app.services.examinations import record_examination
from melanoma_app.services.predictions import read_prediction

blueprint = ApiBlueprint(
    "predictions", __name__, url_prefix="/api/v1", description="Photographs and their predictions"
)


@blueprint.route("/lesions/<uuid:lesion_id>/images", methods=["POST"])
@requires_token(Permission.ADD_IMAGES)
@blueprint.arguments(ExaminationSchema, location="multipart")
@blueprint.response(201, PredictionSchema)
def create_image(details: dict[str, Any], lesion_id: uuid.UUID) -> Prediction:
    """Store a photograph of a lesion and answer with its prediction.

    413 when the file or its picture is too large, 415 when it is no JPEG or PNG, 422 when it is damaged,
    409 when the patient has refused analysis by a model. A refused file leaves nothing behind.
    """
    image: FileStorage = details.pop("image")
    return record_examination(
        lesion_public_id=lesion_id, upload=image.read(), actor=current_actor(), **details
    )


@blueprint.route("/predictions/<uuid:prediction_id>")
@requires_token(Permission.READ_PATIENTS)
@blueprint.response(200, PredictionSchema)
def show_prediction(prediction_id: uuid.UUID) -> Prediction:
    """A stored prediction."""
    return read_prediction(public_id=prediction_id, actor=current_actor())
