"""The audit part of the REST API."""

from __future__ import annotations

from typing import Any

from melanoma_app.accounts.audit_schemas import AuditArgumentsSchema, AuditPageSchema
from melanoma_app.models import AuditEvent
from melanoma_app.rest import ApiBlueprint
from melanoma_app.security.authentication import current_actor, requires_token
from melanoma_app.security.permissions import Permission
from melanoma_app.services.audit_log import AuditFilter, list_audit_events
from melanoma_app.services.paging import Page

blueprint = ApiBlueprint(
    "audit-log", __name__, url_prefix="/api/v1/audit", description="Who saw or changed what"
)


@blueprint.route("")
@requires_token(Permission.READ_AUDIT)
@blueprint.arguments(AuditArgumentsSchema, location="query")
@blueprint.response(200, AuditPageSchema)
def show_audit(arguments: dict[str, Any]) -> Page[AuditEvent]:
    """The entries of the clinic's audit log, newest first; reading them adds one.

    They come in pages: send `next_cursor`.
    """
    page = {name: arguments.pop(name) for name in ("cursor", "size") if name in arguments}
    return list_audit_events(chosen=AuditFilter(**arguments), actor=current_actor(), **page)
