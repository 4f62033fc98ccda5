"""Consents: what a patient allows, purpose by purpose, since when, and every change of mind."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from melanoma_app.extensions import db
from melanoma_app.models import ConsentDecision, Patient
from melanoma_app.models.vocabulary import AuditAction, ConsentPurpose
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.consent_purposes import CONSENT_FIELDS, CONSENT_LABELS, note_decisions
from melanoma_app.services.patients import lock_patient


@dataclass(frozen=True, kw_only=True)
class ConsentState:
    """The answer in force for a purpose.

    Args:
        purpose: What was asked.
        is_given: The answer; None when nobody has asked.
        decision: The entry it comes from; None when nobody has asked, or before there was a history.
    """

    purpose: ConsentPurpose
    is_given: bool | None
    decision: ConsentDecision | None

    @property
    def label(self) -> str:
        """What follows "consent to"."""
        return CONSENT_LABELS[self.purpose]


def record_consent(
    *, patient_public_id: uuid.UUID, purpose: ConsentPurpose, is_given: bool, actor: Actor
) -> ConsentDecision:
    """Record that a patient gives a consent, refuses it or withdraws it.

    Earlier predictions stay: they were made with consent. The same answer once more changes nothing, so that a
    button pressed twice counts once.

    Raises:
        NotFoundError: The clinic has no such patient.
        ConflictError: The patient was merged into another record.
    """
    patient = lock_patient(public_id=patient_public_id, actor=actor)
    field = CONSENT_FIELDS[purpose]
    newest = _newest_decision(patient, purpose)
    if newest is not None and newest.is_given == is_given == getattr(patient, field):
        db.session.commit()
        return newest
    setattr(patient, field, is_given)
    db.session.flush()
    note_decisions(patient=patient, fields=[field], actor=actor)
    record_event(
        action=AuditAction.CONSENT_RECORDED,
        actor=actor,
        subject_public_id=patient.public_id,
        patient=patient,
        details={"purpose": purpose.value, "is_given": is_given},
    )
    decision = _newest_decision(patient, purpose)
    db.session.commit()
    assert decision is not None  # noqa: S101 (just written)
    return decision


def list_consent_decisions(*, patient: Patient) -> Sequence[ConsentDecision]:
    """Every answer of a patient, newest first, with who recorded it; the caller has audited the reading."""
    return db.session.scalars(
        select(ConsentDecision)
        .where(ConsentDecision.patient_id == patient.id)
        .order_by(ConsentDecision.id.desc())
        .options(joinedload(ConsentDecision.recorded_by))
    ).all()


def describe_consents(*, patient: Patient, decisions: Sequence[ConsentDecision]) -> Sequence[ConsentState]:
    """The answer in force for every purpose.

    Args:
        patient: Whose.
        decisions: The history, newest first.
    """
    return [
        ConsentState(
            purpose=purpose,
            is_given=getattr(patient, field),
            decision=next(
                (
                    one
                    for one in decisions
                    if one.purpose is purpose and one.is_given == getattr(patient, field)
                ),
                None,
            ),
        )
        for purpose, field in CONSENT_FIELDS.items()
    ]


def _newest_decision(patient: Patient, purpose: ConsentPurpose) -> ConsentDecision | None:
    return db.session.scalars(
        select(ConsentDecision)
        .where(ConsentDecision.patient_id == patient.id, ConsentDecision.purpose == purpose)
        .order_by(ConsentDecision.id.desc())
        .limit(1)
        .options(joinedload(ConsentDecision.recorded_by))
    ).one_or_none()
