"""A patient's record as a FHIR file, to be taken to another system."""

from __future__ import annotations

import json
import uuid

from flask import Blueprint, Response

from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.fhir_export import FHIR_JSON, export_patient

blueprint = Blueprint("patient_export", __name__)


@blueprint.get("/patients/<uuid:public_id>/fhir.json")
@requires(Permission.EXPORT_RECORDS)
def fhir(public_id: uuid.UUID) -> Response:
    """A download; its file name says nothing of the patient."""
    bundle = export_patient(public_id=public_id, actor=current_actor())
    response = Response(json.dumps(bundle, ensure_ascii=False, indent=2), mimetype=FHIR_JSON)
    response.headers["Content-Disposition"] = f'attachment; filename="patient-{public_id}.fhir.json"'
    return response
