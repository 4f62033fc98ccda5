"""The FHIR part of the REST API."""

from __future__ import annotations

import json
import uuid

from flask import Response

from melanoma_app.rest import ApiBlueprint
from melanoma_app.security.authentication import current_actor, requires_token
from melanoma_app.security.permissions import Permission
from melanoma_app.services.fhir_export import FHIR_JSON, export_patient

blueprint = ApiBlueprint(
    "fhir", __name__, url_prefix="/api/v1/patients", description="Records for other systems, as FHIR R4"
)


@blueprint.route("/<uuid:patient_id>/fhir")
@requires_token(Permission.EXPORT_RECORDS)
@blueprint.response(200, {"type": "object"}, content_type=FHIR_JSON)
def show_bundle(patient_id: uuid.UUID) -> Response:
    """A patient's record as a FHIR R4 Bundle (a collection). For clinicians and administrators.

    Patient, BodyStructure (a lesion), Media (a photograph), Observation (a malignancy probability; a histopathological
    diagnosis) and DiagnosticReport (a photograph's: preliminary, final once signed, appended once something was added).
    """
    bundle = export_patient(public_id=patient_id, actor=current_actor())
    return Response(json.dumps(bundle, ensure_ascii=False), mimetype=FHIR_JSON)
