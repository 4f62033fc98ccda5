"""The follow-up part of the REST API: a lesion over time, laboratory reports, comparisons."""

from __future__ import annotations

import uuid
from typing import Any

from melanoma_app.models import Histopathology
from melanoma_app.prediction.follow_up_schemas import (
    ComparisonArgumentsSchema,
    ComparisonSchema,
    HistopathologyListSchema,
    HistopathologySchema,
    LesionHistorySchema,
    NewHistopathologySchema,
)
from melanoma_app.rest import ApiBlueprint
from melanoma_app.security.authentication import current_actor, requires_token
from melanoma_app.security.permissions import Permission
from melanoma_app.services.comparison import Comparison, read_comparison
from melanoma_app.services.histopathology import record_histopathology
from melanoma_app.services.lesion_history import LesionHistory, read_lesion_history

blueprint = ApiBlueprint(
    "follow-up",
    __name__,
    url_prefix="/api/v1/lesions/<uuid:lesion_id>",
    description="A lesion over time: its history, laboratory reports, two photographs compared",
)


@blueprint.route("/history")
@requires_token(Permission.READ_PATIENTS)
@blueprint.response(200, LesionHistorySchema)
def show_history(lesion_id: uuid.UUID) -> LesionHistory:
    """A lesion with its photographs, the trend of the probability, its reviews and laboratory reports."""
    return read_lesion_history(public_id=lesion_id, actor=current_actor())


@blueprint.route("/histopathology")
@requires_token(Permission.READ_PATIENTS)
@blueprint.response(200, HistopathologyListSchema)
def list_histopathology(lesion_id: uuid.UUID) -> LesionHistory:
    """The laboratory reports on a lesion, newest first: the first one counts."""
    return read_lesion_history(public_id=lesion_id, actor=current_actor())


@blueprint.route("/histopathology", methods=["POST"])
@requires_token(Permission.WRITE_PATIENTS)
@blueprint.arguments(NewHistopathologySchema)
@blueprint.response(201, HistopathologySchema)
def create_histopathology(details: dict[str, Any], lesion_id: uuid.UUID) -> Histopathology:
    """Record a laboratory report on a lesion; record a corrected one again."""
    return record_histopathology(lesion_public_id=lesion_id, actor=current_actor(), **details)


@blueprint.route("/comparison")
@requires_token(Permission.READ_PATIENTS)
@blueprint.arguments(ComparisonArgumentsSchema, location="query")
@blueprint.response(200, ComparisonSchema)
def compare(arguments: dict[str, Any], lesion_id: uuid.UUID) -> Comparison:
    """Two photographs of a lesion, and what lies between them.

    404 when one is not of this lesion; 422 when there are fewer than two, or both are the same.
    """
    return read_comparison(
        lesion_public_id=lesion_id,
        left_id=arguments["left"],
        right_id=arguments["right"],
        actor=current_actor(),
    )
