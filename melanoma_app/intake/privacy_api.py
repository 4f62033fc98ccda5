"""The part of the REST API for a patient's rights: everything on record as files, and erasure."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, send_file
from marshmallow import Schema, fields, validate

from melanoma_app.models import PatientErasure
from melanoma_app.rest import ApiBlueprint, StrictSchema
from melanoma_app.security.authentication import current_actor, requires_token
from melanoma_app.security.permissions import Permission
from melanoma_app.services.erasure import REASON_LENGTH, erase_patient
from melanoma_app.services.patient_export import export_everything

blueprint = ApiBlueprint(
    "patient_rights",
    __name__,
    url_prefix="/api/v1/patients",
    description="What a patient may ask for: everything on record as files, and erasure",
)


class NewErasureSchema(StrictSchema):
    """Whose record goes, and on what ground."""

    mrn = fields.String(
        required=True,
        validate=validate.Length(1, 32),
        metadata={"description": "The patient's, so that nobody erases by a slip"},
    )
    reason = fields.String(
        required=True,
        validate=validate.Length(1, REASON_LENGTH),
        metadata={"description": "The ground; it outlasts the record, so no name"},
    )
    law_lets_it_go = fields.Boolean(
        load_default=False,
        metadata={"description": "The law lets the record go before the retention period is over"},
    )


class ErasureSchema(Schema):
    """What is left of an erased record."""

    id = fields.UUID(attribute="public_id", required=True)
    patient_id = fields.UUID(attribute="patient_public_id", required=True)
    lesions = fields.Integer(required=True, metadata={"description": "How many went"})
    images = fields.Integer(attribute="lesion_images", required=True)
    erased_at = fields.AwareDateTime(required=True)


@blueprint.route("/<uuid:patient_id>/export")
@requires_token(Permission.EXPORT_RECORDS)
@blueprint.file_response("application/zip")
def export(patient_id: uuid.UUID) -> Response:
    """Everything that is on record of a patient: a ZIP of JSON, photographs and audit entries.

    For clinicians and administrators. 409 when the record was merged into another one, which the message names.
    """
    exported = export_everything(public_id=patient_id, actor=current_actor())
    response = send_file(
        exported.content, mimetype="application/zip", as_attachment=True, download_name=exported.name
    )
    response.content_length = exported.size_bytes
    return response


@blueprint.route("/<uuid:patient_id>/erasure", methods=["POST"])
@requires_token(Permission.ERASE_PATIENTS)
@blueprint.arguments(NewErasureSchema)
@blueprint.response(201, ErasureSchema)
def erase(details: dict[str, Any], patient_id: uuid.UUID) -> PatientErasure:
    """Erase a patient's record and its photographs. For administrators.

    409 while the record has to be kept, or is part of a merge.
    """
    return erase_patient(public_id=patient_id, actor=current_actor(), **details)
