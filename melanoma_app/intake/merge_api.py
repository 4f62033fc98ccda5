"""The merges part of the REST API."""

from __future__ import annotations

import uuid
from typing import Any

from melanoma_app.errors import InvalidInputError
from melanoma_app.intake.schemas import MergeSchema, NewMergeSchema
from melanoma_app.models import PatientMerge
from melanoma_app.rest import ApiBlueprint
from melanoma_app.security.authentication import current_actor, requires_token
from melanoma_app.security.permissions import Permission
from melanoma_app.services.patient_merges import merge_patients, revert_merge

blueprint = ApiBlueprint(
    "patient-merges",
    __name__,
    url_prefix="/api/v1",
    description="One person who was registered twice made one record, and two again",
)


@blueprint.route("/patients/<uuid:patient_id>/merge", methods=["POST"])
@requires_token(Permission.MERGE_PATIENTS)
@blueprint.arguments(NewMergeSchema)
@blueprint.response(201, MergeSchema)
def create_merge(details: dict[str, Any], patient_id: uuid.UUID) -> PatientMerge:
    """Merge another record of the same person into this one; its lesions move here. For clinicians and administrators.

    409 when one of them is merged already, or they disagree on a consent.
    """
    try:
        return merge_patients(
            kept_public_id=patient_id,
            merged_public_id=details["merged_patient_id"],
            reason=details["reason"],
            actor=current_actor(),
        )
    except InvalidInputError as error:
        names = {"merged": "merged_patient_id"}
        fields = {names.get(name, name): problems for name, problems in error.fields.items()}
        raise InvalidInputError(error.message, fields=fields) from error


@blueprint.route("/merges/<uuid:merge_id>/revert", methods=["POST"])
@requires_token(Permission.MERGE_PATIENTS)
@blueprint.response(200, MergeSchema)
def undo_merge(merge_id: uuid.UUID) -> PatientMerge:
    """Undo a merge: the lesions go back under their former numbers. For clinicians and administrators.

    409 when it has been undone already.
    """
    return revert_merge(public_id=merge_id, actor=current_actor())
