"""Heat maps: where in a photograph the model of a prediction found what speaks for malignancy."""

from __future__ import annotations

import io
import uuid
from typing import Final

from PIL import Image

from melanoma_app.errors import ConflictError
from melanoma_app.extensions import classifier, db, decoding, image_storage
from melanoma_app.model_shelf import ModelPin
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.image_files import read_image_file
from melanoma_app.services.model_activation import find_active_pin
from melanoma_app.services.model_answers import may_model_look
from melanoma_app.services.predictions import find_prediction
from ml.inference import ModelIntegrityError, decode_image, overlay_heat_map

HEAT_MAP_LONG_SIDE_PX: Final = 800
"""Of the picture that is given out: the map itself has a dozen places a side, so more pixels tell no more."""
_JPEG_QUALITY: Final = 85


def draw_heat_map(*, prediction_public_id: uuid.UUID, actor: Actor) -> bytes:
    """Lay the heat map of a prediction over its photograph; nothing is stored, and the reading is audited.

    The very model that made the prediction draws it, active or not, and no other takes its place: another model's map
    would not explain this answer. A heat map is an analysis by a model, so it needs the patient's consent today.

    Returns:
        A JPEG, at most 800 pixels along its long side.

    Raises:
        NotFoundError: The clinic has no such prediction.
        ConflictError: The patient has not consented or has withdrawn, or the model is no longer there.
        UnavailableError: The stored photograph is gone or damaged.
    """
    prediction = find_prediction(public_id=prediction_public_id, actor=actor)
    lesion_image, model = prediction.lesion_image, prediction.model_version
    patient = lesion_image.lesion.patient
    active = find_active_pin()
    # No transaction stays open while a network is loaded and run.
    db.session.commit()
    if not may_model_look(patient):
        raise ConflictError(
            "The patient has not consented to analysis by a model, or has withdrawn, so no heat map is drawn. "
            "If they have changed their mind, record it on the patient's page first."
        )
    content = read_image_file(
        key=lesion_image.storage_key, sha256=lesion_image.sha256, store=image_storage.store
    )
    pin = ModelPin(identifier=f"{model.name}-{model.version}", sha256=model.sha256)
    with decoding.slot():
        overlay = _overlay(content, pin, active)
    record_event(
        action=AuditAction.IMAGE_READ,
        actor=actor,
        subject_public_id=lesion_image.public_id,
        patient=patient,
        details={"heat_map_of": str(prediction.public_id), "model": pin.identifier},
    )
    db.session.commit()
    return overlay


def _overlay(content: bytes, pin: ModelPin, active: ModelPin | None) -> bytes:
    image = decode_image(content, long_side_px=HEAT_MAP_LONG_SIDE_PX)
    image.thumbnail((HEAT_MAP_LONG_SIDE_PX, HEAT_MAP_LONG_SIDE_PX), Image.Resampling.BILINEAR)
    try:
        with classifier.shelf.look_back(pin, active=active) as model:
            activation = model.explain(image)
    except ModelIntegrityError as error:
        raise ConflictError(
            f"The model {pin.identifier}, which gave this answer, cannot draw a heat map: it is no longer on the shelf "
            "as it was, is damaged, or was released without heat maps. Ask your engineer to restore its folder, or let "
            "the active model look at the photograph."
        ) from error
    buffer = io.BytesIO()
    overlay_heat_map(image, activation).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
