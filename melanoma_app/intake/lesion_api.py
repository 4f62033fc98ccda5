"""The lesions part of the REST API."""

from __future__ import annotations

import uuid
from typing import Any

from melanoma_app.intake.lesion_schemas import LesionSchema, NewLesionSchema
from melanoma_app.models import Lesion
from melanoma_app.rest import ApiBlueprint
from melanoma_app.security.authentication import current_actor, requires_token
from melanoma_app.security.permissions import Permission
from melanoma_app.services.lesions import add_lesion, edit_lesion

blueprint = ApiBlueprint(
    "patient-lesions",
    __name__,
    url_prefix="/api/v1",
    description="Lesions of a patient, marked on the body map",
)


@blueprint.route("/patients/<uuid:patient_id>/lesions", methods=["POST"])
@requires_token(Permission.WRITE_PATIENTS)
@blueprint.arguments(NewLesionSchema)
@blueprint.response(201, LesionSchema)
def create_lesion(details: dict[str, Any], patient_id: uuid.UUID) -> Lesion:
    """Add a lesion to a patient; it gets the patient's next number.

    422 when the place is off the body or contradicts the site or the side.
    """
    return add_lesion(patient_public_id=patient_id, actor=current_actor(), **details)


@blueprint.route("/lesions/<uuid:lesion_id>", methods=["PUT"])
@requires_token(Permission.WRITE_PATIENTS)
@blueprint.arguments(NewLesionSchema)
@blueprint.response(200, LesionSchema)
def replace_lesion(details: dict[str, Any], lesion_id: uuid.UUID) -> Lesion:
    """Replace what is said of where a lesion is and what it looks like; its number stays."""
    return edit_lesion(public_id=lesion_id, actor=current_actor(), **details)
