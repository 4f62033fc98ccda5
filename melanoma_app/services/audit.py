"""The audit chain: append an entry in the caller's transaction, and verify that none was touched."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, func, select

from melanoma_app.errors import InvalidInputError
from melanoma_app.extensions import db
from melanoma_app.models import AuditChain, AuditEvent, Clinic, Patient
from melanoma_app.models.audit import FIRST_HASH, SEALED_COLUMNS, compute_hash
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor

ENTRIES_AT_ONCE: Final = 2000
"""How many entries are verified in one short transaction: writers are never kept waiting for the whole chain."""
_COLUMNS: Final = (*SEALED_COLUMNS, AuditEvent.entry_hash)
_ORIGIN_LENGTH: Final = 64
_UNPRINTABLE: Final = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_Entry = Row[Any]


@dataclass(frozen=True, kw_only=True)
class ChainFault:
    """A place where a chain does not hold."""

    chain_id: int
    sequence: int
    explanation: str


@dataclass(frozen=True, kw_only=True)
class ChainHead:
    """Where a chain ended at some moment; noted outside the database it shows what was cut off later.

    Args:
        chain_id: Which chain.
        sequence: The number of its last entry; 0 before the first.
        entry_hash: The seal of that entry, hexadecimal.
    """

    chain_id: int
    sequence: int
    entry_hash: str

    def __str__(self) -> str:
        return f"{self.chain_id}:{self.sequence}:{self.entry_hash}"

    @classmethod
    def read(cls, text: str) -> ChainHead:
        """Take a head back in from what `str` made of it.

        Raises:
            InvalidInputError: It is none.
        """
        chain_id, _, rest = text.strip().partition(":")
        sequence, _, entry_hash = rest.partition(":")
        is_hash = len(entry_hash) == len(FIRST_HASH) and set(entry_hash) <= set("0123456789abcdef")
        if not (chain_id.isdecimal() and sequence.isdecimal() and is_hash):
            raise InvalidInputError(
                f"“{text.strip()[:80]}” is no head of a chain. `flask audit head` prints them as CHAIN:NUMBER:HASH."
            )
        return cls(chain_id=int(chain_id), sequence=int(sequence), entry_hash=entry_hash)


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
        origin=_one_line(actor.origin if actor else origin),
        request_id=_one_line(actor.request_id if actor else request_id),
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
    return db.session.scalars(
        select(AuditChain)
        .where(_is_of(clinic_id))
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def read_heads() -> Sequence[ChainHead]:
    """Where every chain ends now."""
    heads = [_head_of(row) for row in db.session.execute(_ends())]
    db.session.commit()
    return heads


def verify_chains(*, heads: Iterable[ChainHead] = ()) -> Iterator[ChainFault]:
    """Walk every chain from its first entry and yield whatever was edited, deleted, reordered or cut off.

    What was cut off together with the chain's own row cannot be seen from inside: that takes a head noted outside.
    Others may write meanwhile; what they append after a chain was begun is left to the next time.

    Args:
        heads: Where chains ended at earlier moments.
    """
    ends = read_heads()
    orphans = db.session.scalars(
        select(Clinic.id)
        .outerjoin(AuditChain, AuditChain.clinic_id == Clinic.id)
        .where(AuditChain.id.is_(None))
    ).all()
    db.session.commit()
    for clinic_id in orphans:
        yield ChainFault(chain_id=0, sequence=0, explanation=f"clinic {clinic_id} has lost its chain")
    for end in ends:
        yield from _verify(end)
    for head in heads:
        yield from _compare(head)


def verify_clinic_chain(*, actor: Actor) -> Iterator[ChainFault]:
    """As `verify_chains`, for the chain of the actor's clinic."""
    end = _head_of(db.session.execute(_ends().where(_is_of(actor.clinic_id))).one())
    db.session.commit()
    yield from _verify(end)


def _verify(end: ChainHead) -> Iterator[ChainFault]:
    def fault(sequence: int, explanation: str) -> ChainFault:
        return ChainFault(chain_id=end.chain_id, sequence=sequence, explanation=explanation)

    previous_hash, sequence = FIRST_HASH, 0
    for number, entry in _walk(end.chain_id, up_to=end.sequence):
        sequence += 1
        if number != sequence:
            yield fault(sequence, "the entry is missing")
            sequence = number
        elif entry is not None and entry.previous_hash != previous_hash:
            yield fault(sequence, "it does not follow its predecessor")
        if entry is None:
            yield fault(sequence, "the entry cannot be read, so it was edited")
            previous_hash = ""
            continue
        if compute_hash(entry) != entry.entry_hash:
            yield fault(sequence, "the entry was edited")
        previous_hash = entry.entry_hash
    if (sequence, previous_hash) != (end.sequence, end.entry_hash):
        yield fault(end.sequence, "entries were cut off the end")
    # Asked in this order, what is appended between the two questions is never taken for a fault.
    of_chain = AuditEvent.chain_id == end.chain_id
    newest = db.session.scalar(select(func.max(AuditEvent.sequence)).where(of_chain)) or 0
    is_this = AuditChain.id == end.chain_id
    last = db.session.scalar(select(AuditChain.last_sequence).where(is_this)) or 0
    db.session.commit()
    if newest > last:
        yield fault(last + 1, "entries stand behind the end of the chain")


def _walk(chain_id: int, *, up_to: int) -> Iterator[tuple[int, _Entry | None]]:
    """The numbers and entries of a chain in order; None for an entry that holds what no entry can."""
    after = None
    while True:
        wanted = [AuditEvent.chain_id == chain_id, AuditEvent.sequence <= up_to]
        if after is not None:
            wanted.append(AuditEvent.sequence > after)
        query = select(*_COLUMNS).where(*wanted).order_by(AuditEvent.sequence).limit(ENTRIES_AT_ONCE)
        try:
            entries: list[tuple[int, _Entry | None]] = [
                (entry.sequence, entry) for entry in db.session.execute(query)
            ]
        except (LookupError, TypeError, ValueError):  # no word, no JSON, no id, no time
            numbers = query.with_only_columns(AuditEvent.sequence)
            entries = [
                (number, _read_entry(chain_id, number)) for number in db.session.scalars(numbers).all()
            ]
        db.session.commit()
        yield from entries
        if len(entries) < ENTRIES_AT_ONCE:
            return
        after = entries[-1][0]


def _read_entry(chain_id: int, sequence: int) -> _Entry | None:
    of_number = (AuditEvent.chain_id == chain_id, AuditEvent.sequence == sequence)
    try:
        return db.session.execute(select(*_COLUMNS).where(*of_number)).one()
    except (LookupError, TypeError, ValueError):
        return None


def _compare(head: ChainHead) -> Iterator[ChainFault]:
    """Whether the entry that once ended a chain still stands there."""
    found = db.session.scalar(
        select(AuditEvent.entry_hash).where(
            AuditEvent.chain_id == head.chain_id, AuditEvent.sequence == head.sequence
        )
    )
    db.session.commit()
    if head.sequence == 0 or found == head.entry_hash:
        return
    yield ChainFault(
        chain_id=head.chain_id,
        sequence=head.sequence,
        explanation="entries were cut off the end since the head was noted"
        if found is None
        else "the entry is another than when the head was noted",
    )


def _ends() -> Select[int, int, str]:
    return select(AuditChain.id, AuditChain.last_sequence, AuditChain.last_hash).order_by(AuditChain.id)


def _head_of(row: Row[int, int, str]) -> ChainHead:
    return ChainHead(chain_id=row.id, sequence=row.last_sequence, entry_hash=row.last_hash)


def _is_of(clinic_id: int | None) -> ColumnElement[bool]:
    return AuditChain.clinic_id.is_(None) if clinic_id is None else AuditChain.clinic_id == clinic_id


def _one_line(text: str) -> str:
    """What came with the request, as the column takes it: no control character, and not too long."""
    plain = "".join("?" if unicodedata.category(letter) in _UNPRINTABLE else letter for letter in text)
    return plain[:_ORIGIN_LENGTH]
