"""The audit chain: append an entry in the caller's transaction, and verify that none was touched."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from melanoma_app.extensions import db
from melanoma_app.models import AuditChain, AuditEvent, Patient
from melanoma_app.models.audit import FIRST_HASH
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor


@dataclass(frozen=True, kw_only=True)
class ChainFault:
    """A place where a chain does not hold."""

    chain_id: int
    sequence: int
    explanation: str


def record_event(
    *,
    action: AuditAction,
    actor: Actor | None,
    subject_public_id: uuid.UUID | None = None,
    patient: Patient | None = None,
    details: dict[str, Any] | None = None,
    clinic_id: int | None = None,
    origin: str = "cli",
    request_id: str = "",
    chain: AuditChain | None = None,
) -> None:
    """Append an entry to the clinic's chain; the caller commits, so that act and entry stand or fall together.

    Call it last before the commit: it holds the chain's lock until then.

    Args:
        action: What was done.
        actor: Who did it; None where nobody is known yet, or for the command line.
        subject_public_id: The record it was done to.
        patient: The patient it concerns.
        details: Anything more that the entry should say: texts and whole numbers, never a name or birth date.
        clinic_id: Whose chain, where there is no actor; None is the chain without a clinic.
        origin: Network address or `cli`, where there is no actor.
        request_id: The request, where there is no actor.
        chain: The clinic's, where the caller has locked it in this transaction: many entries then read it once.
    """
    chain = chain or lock_chain(actor.clinic_id if actor else clinic_id)
    entry = AuditEvent(
        chain_id=chain.id,
        sequence=chain.last_sequence + 1,
        occurred_at=utc_now(),
        action=action,
        actor_name=actor.user.username if actor else "",
        actor_public_id=actor.public_id if actor else None,
        subject_public_id=subject_public_id,
        patient_public_id=patient.public_id if patient else None,
        origin=actor.origin if actor else origin,
        request_id=actor.request_id if actor else request_id,
        details=details or {},
        previous_hash=chain.last_hash,
    )
    entry.entry_hash = entry.compute_hash()
    chain.last_sequence, chain.last_hash = entry.sequence, entry.entry_hash
    db.session.add(entry)


def lock_chain(clinic_id: int | None) -> AuditChain:
    """The chain's row, locked until the transaction ends and as the last writer left it.

    Every act of a clinic takes this lock, so what has to be done by one writer at a time is done under it. Who writes
    what is counted takes it first of all: a writer that came to it with locks on records would wait for one that holds
    it and needs those records, and what was read before it may have been merged into another patient meanwhile.

    Args:
        clinic_id: Whose chain; None is the chain without a clinic.
    """
    owner = AuditChain.clinic_id.is_(None) if clinic_id is None else AuditChain.clinic_id == clinic_id
    return db.session.scalars(
        select(AuditChain).where(owner).with_for_update().execution_options(populate_existing=True)
    ).one()


def verify_chains() -> Iterator[ChainFault]:
    """Walk every chain from its first entry and yield whatever was edited, deleted, reordered or cut off."""
    for chain in db.session.scalars(select(AuditChain).order_by(AuditChain.id)):
        previous_hash, sequence = FIRST_HASH, 0
        entries = select(AuditEvent).where(AuditEvent.chain_id == chain.id).order_by(AuditEvent.sequence)
        for entry in db.session.scalars(entries.execution_options(yield_per=1000)):
            sequence += 1
            if entry.sequence != sequence:
                yield ChainFault(chain_id=chain.id, sequence=sequence, explanation="the entry is missing")
                sequence = entry.sequence
            elif entry.previous_hash != previous_hash:
                yield ChainFault(
                    chain_id=chain.id, sequence=sequence, explanation="it does not follow its predecessor"
                )
            if entry.compute_hash() != entry.entry_hash:
                yield ChainFault(chain_id=chain.id, sequence=sequence, explanation="the entry was edited")
            previous_hash = entry.entry_hash
        if (sequence, previous_hash) != (chain.last_sequence, chain.last_hash):
            yield ChainFault(
                chain_id=chain.id, sequence=chain.last_sequence, explanation="entries were cut off the end"
            )
