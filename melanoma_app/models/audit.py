"""Who saw or changed what: append-only, each entry sealed with the hash of the one before it."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint, Uuid
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
        Index(None, "patient_public_id", "occurred_at"),
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
        fields = {
            "chain_id": self.chain_id,
            "sequence": self.sequence,
            "occurred_at": self.occurred_at.isoformat(timespec="microseconds"),
            "action": self.action.value,
            "actor_name": self.actor_name,
            "actor_public_id": str(self.actor_public_id or ""),
            "subject_public_id": str(self.subject_public_id or ""),
            "patient_public_id": str(self.patient_public_id or ""),
            "origin": self.origin,
            "request_id": self.request_id,
            "details": self.details,
            "previous_hash": self.previous_hash,
        }
        return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
