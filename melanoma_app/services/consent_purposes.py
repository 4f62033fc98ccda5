"""The purposes of consents: the patient's column of each, its words, and how an answer gets into the history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from melanoma_app.extensions import db
from melanoma_app.models import ConsentDecision, Patient
from melanoma_app.models.vocabulary import ConsentPurpose
from melanoma_app.services.actor import Actor

CONSENT_FIELDS: Final = {
    ConsentPurpose.CARE: "consent_to_care",
    ConsentPurpose.AI_ANALYSIS: "consent_to_ai_analysis",
    ConsentPurpose.RESEARCH: "consent_to_research",
}
"""The patient's column that holds the answer in force."""
CONSENT_LABELS: Final = {
    ConsentPurpose.CARE: "photographs for care",
    ConsentPurpose.AI_ANALYSIS: "analysis by a model",
    ConsentPurpose.RESEARCH: "research",
}
"""What follows "consent to"."""


def note_decisions(*, patient: Patient, fields: Iterable[str], actor: Actor) -> None:
    """Put the answers that stand in these columns into the history, in the caller's transaction.

    Columns of other things, and those that nobody has answered, are passed over. The patient has been flushed.
    """
    fields = set(fields)
    for purpose, field in CONSENT_FIELDS.items():
        if field in fields and getattr(patient, field) is not None:
            db.session.add(
                ConsentDecision(
                    patient_id=patient.id,
                    purpose=purpose,
                    is_given=getattr(patient, field),
                    recorded_by_id=actor.user.id,
                )
            )
    db.session.flush()
