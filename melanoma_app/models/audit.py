"""Who saw or changed what: append-only, each entry sealed with the hash of the one before it."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy import JSON, ForeignKey, Index, Row, String, UniqueConstraint, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from melanoma_app.models.base import Base, PrimaryKey, UtcDateTime, append_only, stored_enum
from melanoma_app.models.vocabulary import AuditAction

FIRST_HASH: Final = "0" * 64
"""What the first entry of a chain follows."""


class AuditChain(Base):
    """The end of a chain: one a clinic, and one without a clinic for what happens before anyone is known.

    Its row is locked while an entry is appended, so that entries follow one another; an entry cut off the end
    is missed by its number.
    """

    __tablename__ = "audit_chain"

    id: Mapped[PrimaryKey]
    clinic_id: Mapped[int | None] = mapped_column(ForeignKey("clinic.id"), unique=True)
    last_sequence: Mapped[int] = mapped_column(default=0)
    last_hash: Mapped[str] = mapped_column(String(64), default=FIRST_HASH)


@append_only("an audit event is never changed")
class AuditEvent(Base):
    """One entry. `patient_public_id` lets a patient's whole history be found; names never stand here."""

    __tablename__ = "audit_event"
    __table_args__ = (
        UniqueConstraint("chain_id", "sequence"),
        # What the audit page filters by, newest first.
        Index(None, "patient_public_id", "occurred_at"),
        Index(None, "chain_id", "occurred_at"),
        Index(None, "chain_id", "action", "occurred_at"),
        Index(None, "chain_id", "actor_name", "occurred_at"),
        Index(None, "subject_public_id", "occurred_at"),
    )

    id: Mapped[PrimaryKey]
    chain_id: Mapped[int] = mapped_column(ForeignKey("audit_chain.id"))
    sequence: Mapped[int]
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    action: Mapped[AuditAction] = mapped_column(stored_enum(AuditAction))
    actor_name: Mapped[str] = mapped_column(String(120))
    actor_public_id: Mapped[uuid.UUID | None] = mapped_column(Uuid(native_uuid=False))
    subject_public_id: Mapped[uuid.UUID | None] = mapped_column(Uuid(native_uuid=False))
    patient_public_id: Mapped[uuid.UUID | None] = mapped_column(Uuid(native_uuid=False))
    origin: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(64))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    previous_hash: Mapped[str] = mapped_column(String(64))
    entry_hash: Mapped[str] = mapped_column(String(64))

    def compute_hash(self) -> str:
        """SHA-256 (hexadecimal) over every other field, the previous entry's hash among them."""
        return compute_hash(self)


SEALED_COLUMNS: Final = (
    AuditEvent.chain_id,
    AuditEvent.sequence,
    AuditEvent.occurred_at,
    AuditEvent.action,
    AuditEvent.actor_name,
    AuditEvent.actor_public_id,
    AuditEvent.subject_public_id,
    AuditEvent.patient_public_id,
    AuditEvent.origin,
    AuditEvent.request_id,
    AuditEvent.details,
    AuditEvent.previous_hash,
)
"""What an entry's seal covers."""


def compute_hash(entry: AuditEvent | Row[Any]) -> str:
    """The seal of an entry, or of a row with the sealed columns."""
    fields = {
        "chain_id": entry.chain_id,
        "sequence": entry.sequence,
        "occurred_at": entry.occurred_at.isoformat(timespec="microseconds"),
        "action": entry.action.value,
        "actor_name": entry.actor_name,
        "actor_public_id": str(entry.actor_public_id or ""),
        "subject_public_id": str(entry.subject_public_id or ""),
        "patient_public_id": str(entry.patient_public_id or ""),
        "origin": entry.origin,
        "request_id": entry.request_id,
        "details": entry.details,
        "previous_hash": entry.previous_hash,
    }
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
