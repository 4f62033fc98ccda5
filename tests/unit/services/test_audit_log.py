from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert

from melanoma_app.extensions import db
from melanoma_app.models import AuditChain, AuditEvent, Clinic
from melanoma_app.models.audit import FIRST_HASH
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit_log import AuditFilter, list_audit_events
from tests.records import Records

ENTRIES = 3000
PATIENT = uuid.UUID(int=7)
FILTERS = {
    "nothing": AuditFilter(),
    "patient": AuditFilter(patient=PATIENT),
    "patient and lists": AuditFilter(patient=PATIENT, with_lists=True),
    "person": AuditFilter(person="user-7"),
    "action": AuditFilter(action=AuditAction.REVIEW_SIGNED),
    "days": AuditFilter(date_from=utc_now().date(), date_to=utc_now().date()),
    "record": AuditFilter(record=PATIENT),
}


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)  # it tells which index it takes
def test_index_answers_without_sorting_when_the_log_is_long(
    actor: Actor, clinic: Clinic, records: Records
) -> None:
    chain, now = records.one(AuditChain, AuditChain.clinic_id == clinic.id), utc_now()
    entries = [
        {
            "chain_id": chain.id,
            "sequence": number,
            "occurred_at": now - timedelta(hours=ENTRIES - number),
            "action": list(AuditAction)[number % 20],
            "actor_name": f"user-{number % 50}",
            "subject_public_id": uuid.UUID(int=number % 200),
            "patient_public_id": uuid.UUID(int=number % 200),
            "origin": "",
            "request_id": "",
            "details": {},
            "previous_hash": FIRST_HASH,
            "entry_hash": FIRST_HASH,
        }
        for number in range(1, ENTRIES + 1)
    ]
    with records.engine.begin() as connection:
        connection.execute(insert(AuditEvent), entries)
    records.execute("UPDATE audit_chain SET last_sequence = :end WHERE id = :id", end=ENTRIES, id=chain.id)
    records.execute("ANALYZE TABLE audit_event")
    asked: list[tuple[str, Any]] = []
    event.listen(db.engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))

    for name, chosen in FILTERS.items():
        asked.clear()
        list_audit_events(chosen=chosen, actor=actor)
        db.session.remove()

        query, parameters = next(one for one in asked if "\nFROM audit_event \n" in one[0])
        with records.engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN {query}", parameters).mappings().all()
        (line,) = [row for row in plan if row["table"] == "audit_event"]
        assert line["key"], name
        # With the lists it takes two indexes, of at most a month, and sorts what it has found.
        assert chosen.with_lists or "filesort" not in line["Extra"], name
