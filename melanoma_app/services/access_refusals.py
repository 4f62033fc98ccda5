"""Refusals: who asked for a record that is none of theirs, or for what their role does not allow."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from melanoma_app.extensions import db
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event


def record_refusal(
    *, actor: Actor, endpoint: str, status: HTTPStatus, subject_public_id: uuid.UUID | None
) -> None:
    """Audit a refusal in a transaction of its own: what the refused act had begun is undone first.

    Args:
        actor: Who asked.
        endpoint: What for.
        status: 403 or 404.
        subject_public_id: The id they named; nothing is said about whether it exists.
    """
    # Out of the session first: undoing would make it forget who is signed in, whom the error page names.
    db.session.expunge_all()
    db.session.rollback()
    record_event(
        action=AuditAction.ACCESS_REFUSED,
        actor=actor,
        subject_public_id=subject_public_id,
        details={"endpoint": endpoint, "status": status.value},
    )
    db.session.commit()
