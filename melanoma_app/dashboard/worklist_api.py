"""The worklist part of the REST API."""

from __future__ import annotations

from typing import Any

from melanoma_app.dashboard.worklist_schemas import WorklistArgumentsSchema, WorklistSchema
from melanoma_app.rest import ApiBlueprint
from melanoma_app.security.authentication import current_actor, requires_token
from melanoma_app.security.permissions import Permission
from melanoma_app.services.worklist import list_overdue_monitoring, list_pending_histology, list_unsigned

blueprint = ApiBlueprint(
    "worklist", __name__, url_prefix="/api/v1/worklist", description="What there is to do"
)


@blueprint.route("")
@requires_token(Permission.READ_PATIENTS)
@blueprint.arguments(WorklistArgumentsSchema, location="query")
@blueprint.response(200, WorklistSchema)
def show_worklist(arguments: dict[str, Any]) -> dict[str, Any]:
    """Unsigned photographs, the highest probability first; biopsies without a report; monitoring that is overdue.

    The unsigned photographs come in pages: send their `next_cursor`.
    """
    actor = current_actor()
    return {
        "unsigned": list_unsigned(actor=actor, **arguments),
        "histology_pending": list_pending_histology(actor=actor),
        "monitoring_overdue": list_overdue_monitoring(actor=actor),
    }
