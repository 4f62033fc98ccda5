"""The audit log as administrators read it: filtered, paged, exported; each reading is an entry itself."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, String, and_, cast, or_, select

from melanoma_app.errors import InvalidInputError
from melanoma_app.extensions import db
from melanoma_app.models import AuditChain, AuditEvent, Patient, PatientMerge
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import ChainFault, record_event, verify_clinic_chain
from melanoma_app.services.paging import PAGE_SIZE, Page, cut_page, newest_first
from melanoma_app.services.patients import clinic_day
from melanoma_app.services.record_export import ROWS_AT_ONCE, ExportedList, export_rows
from melanoma_app.services.text import tidy_mrn

LISTS_LOOKED_THROUGH_DAYS: Final = 31
"""How far back lists are looked through for a patient when no day is given: they have no index by patient."""
FAULTS_SHOWN: Final = 20
_YEARS: Final = (2000, 2999)


@dataclass(frozen=True, kw_only=True)
class AuditFilter:
    """Which entries of the clinic's chain are wanted.

    Args:
        patient: The public id of the patient they concern. What was written under records merged into theirs counts.
        with_lists: Also the lists that showed the patient among others.
        person: The user name of whoever did it.
        action: What was done.
        date_from: First day, as the clinic's clocks say.
        date_to: Last day, likewise.
        record: The public id of the record it was done to.
    """

    patient: uuid.UUID | None = None
    with_lists: bool = False
    person: str = ""
    action: AuditAction | None = None
    date_from: date | None = None
    date_to: date | None = None
    record: uuid.UUID | None = None

    def __post_init__(self) -> None:
        for name, day in (("date_from", self.date_from), ("date_to", self.date_to)):
            if day and not _YEARS[0] <= day.year <= _YEARS[1]:
                message = f"There are no entries of that year. Choose one from {_YEARS[0]} to {_YEARS[1]}."
                raise InvalidInputError(message, fields={name: [message]})
        if self.date_from and self.date_to and self.date_from > self.date_to:
            message = "The range ends before it starts. Exchange the two days."
            raise InvalidInputError(message, fields={"date_to": [message]})

    @property
    def given(self) -> dict[str, Any]:
        """What was asked for, as an address and an audit entry say it; nothing that was left open."""
        values = {
            "patient": self.patient,
            "with_lists": "y" if self.with_lists else None,
            "person": self.person,
            "action": self.action and self.action.value,
            "date_from": self.date_from and self.date_from.isoformat(),
            "date_to": self.date_to and self.date_to.isoformat(),
            "record": self.record,
        }
        return {name: str(value) for name, value in values.items() if value}


def find_patient_id(*, mrn: str, actor: Actor) -> uuid.UUID | None:
    """The public id of the clinic's patient with this MRN, None if there is none; the caller's reading is audited."""
    found = db.session.scalar(
        select(Patient.public_id).where(Patient.clinic_id == actor.clinic_id, Patient.mrn == tidy_mrn(mrn))
    )
    db.session.commit()
    return found


def list_audit_events(
    *, chosen: AuditFilter, actor: Actor, cursor: str | None = None, size: int = PAGE_SIZE
) -> Page[AuditEvent]:
    """A page of the clinic's entries, newest first; the reading becomes an entry, which the next page shows.

    What happened before anyone was known (a wrong user name) belongs to no clinic, and is told by the command line
    alone.

    Raises:
        InvalidInputError: The cursor is not one of this list.
    """
    page = _read_page(_fill_in(chosen, actor), actor=actor, cursor=cursor, size=size)
    record_event(
        action=AuditAction.AUDIT_READ,
        actor=actor,
        subject_public_id=chosen.patient,
        patient=_find_patient(chosen, actor),
        details=chosen.given,
    )
    db.session.commit()
    return page


def export_audit_events(*, chosen: AuditFilter, actor: Actor) -> ExportedList:
    """Every entry that the filters let through, as a file; it is read in pages, so that its size does not matter."""
    wanted = _fill_in(chosen, actor)

    def rows() -> Iterator[dict[str, Any]]:
        cursor = None
        while True:
            page = _read_page(wanted, actor=actor, cursor=cursor, size=ROWS_AT_ONCE)
            db.session.commit()  # writers are not kept waiting for the whole file
            yield from (_describe(entry) for entry in page.items)
            cursor = page.next_cursor
            if cursor is None:
                return

    return export_rows(
        "audit",
        rows(),
        _EXPORTED,
        actor,
        action=AuditAction.AUDIT_EXPORTED,
        details={"filters": chosen.given},
    )


def check_clinic_chain(*, actor: Actor) -> Sequence[ChainFault]:
    """The first places where the clinic's chain does not hold; none when it is whole. The check is audited."""
    faults: list[ChainFault] = []
    for fault in verify_clinic_chain(actor=actor):
        faults.append(fault)
        if len(faults) == FAULTS_SHOWN:
            break
    record_event(action=AuditAction.AUDIT_READ, actor=actor, details={"verified": "y", "faults": len(faults)})
    db.session.commit()
    return faults


def _fill_in(chosen: AuditFilter, actor: Actor) -> AuditFilter:
    """Lists are looked through from a day on, so that the search ends."""
    if not (chosen.patient and chosen.with_lists) or chosen.date_from:
        return chosen
    last = chosen.date_to or clinic_day(utc_now(), actor=actor)
    return replace(chosen, date_from=last - timedelta(days=LISTS_LOOKED_THROUGH_DAYS))


def _read_page(chosen: AuditFilter, *, actor: Actor, cursor: str | None, size: int) -> Page[AuditEvent]:
    chain_id = select(AuditChain.id).where(AuditChain.clinic_id == actor.clinic_id).scalar_subquery()
    wanted = select(AuditEvent).where(AuditEvent.chain_id == chain_id, *_conditions(chosen, actor))
    rows = db.session.scalars(
        newest_first(wanted, time=AuditEvent.occurred_at, key=AuditEvent.id, cursor=cursor, size=size)
    ).all()
    return cut_page(rows, size=size, position=lambda entry: (entry.occurred_at, entry.id))


def _conditions(chosen: AuditFilter, actor: Actor) -> Iterator[ColumnElement[bool]]:
    if chosen.patient:
        yield _concerns(chosen, actor)
    if chosen.person:
        yield AuditEvent.actor_name == chosen.person.strip().lower()
    if chosen.action:
        yield AuditEvent.action == chosen.action
    if chosen.record:
        yield AuditEvent.subject_public_id == chosen.record
    if chosen.date_from:
        yield AuditEvent.occurred_at >= _midnight(chosen.date_from, actor)
    if chosen.date_to:
        yield AuditEvent.occurred_at < _midnight(chosen.date_to + timedelta(days=1), actor)


def _concerns(chosen: AuditFilter, actor: Actor) -> ColumnElement[bool]:
    assert chosen.patient is not None  # noqa: S101 (asked for by the caller)
    # An erased patient is no row any more, but still stands in the log: the id alone is enough.
    kept = select(Patient.id).where(Patient.public_id == chosen.patient, Patient.clinic_id == actor.clinic_id)
    merged = select(Patient.public_id).join(PatientMerge, PatientMerge.merged_id == Patient.id)
    ids = [chosen.patient, *db.session.scalars(merged.where(PatientMerge.kept_id.in_(kept)))]
    concerns = AuditEvent.patient_public_id.in_(ids)
    if not chosen.with_lists:
        return concerns
    named = or_(*(cast(AuditEvent.details, String).contains(str(one)) for one in ids))
    return or_(concerns, and_(AuditEvent.action == AuditAction.PATIENTS_LISTED, named))


def _find_patient(chosen: AuditFilter, actor: Actor) -> Patient | None:
    if chosen.patient is None:
        return None
    return db.session.scalars(
        select(Patient).where(Patient.public_id == chosen.patient, Patient.clinic_id == actor.clinic_id)
    ).one_or_none()


def _midnight(day: date, actor: Actor) -> datetime:
    return datetime.combine(day, time(), tzinfo=ZoneInfo(actor.user.clinic.time_zone))


_EXPORTED: Final = (
    "sequence",
    "occurred_at",
    "action",
    "person",
    "person_id",
    "origin",
    "patient_id",
    "record_id",
    "request_id",
    "details",
    "previous_hash",
    "entry_hash",
)


def _describe(entry: AuditEvent) -> dict[str, Any]:
    return {
        "sequence": entry.sequence,
        "occurred_at": entry.occurred_at,
        "action": entry.action,
        "person": entry.actor_name,
        "person_id": entry.actor_public_id,
        "origin": entry.origin,
        "patient_id": entry.patient_public_id,
        "record_id": entry.subject_public_id,
        "request_id": entry.request_id,
        "details": json.dumps(entry.details, sort_keys=True),
        "previous_hash": entry.previous_hash,
        "entry_hash": entry.entry_hash,
    }
