from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from melanoma_app.extensions import db
from melanoma_app.models import AuditChain, AuditEvent, Clinic
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event, verify_chains
from melanoma_app.services.clinics import create_clinic
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def chain(actor: Actor, clinic: Clinic, records: Records) -> AuditChain:
    """The clinic's chain with five entries."""
    for number in range(5):
        record_event(
            action=AuditAction.PATIENT_READ,
            actor=actor,
            subject_public_id=uuid.UUID(int=number),
            details={"number": number, "word": "é"},
        )
        db.session.commit()
    return records.one(AuditChain, AuditChain.clinic_id == clinic.id)


def faults() -> list[tuple[int, str]]:
    db.session.remove()
    return [(fault.sequence, fault.explanation) for fault in verify_chains()]


def test_chain_holds_when_nobody_touched_it(chain: AuditChain) -> None:
    assert faults() == []


def test_entries_are_numbered_from_one_when_appended(chain: AuditChain, records: Records) -> None:
    assert [entry.sequence for entry in records.all(AuditEvent)] == [1, 2, 3, 4, 5]
    assert chain.last_sequence == 5


def test_chains_hold_when_clinics_write_in_turns(chain: AuditChain, actor: Actor) -> None:
    other = create_clinic(name="Other")
    for _ in range(3):
        record_event(action=AuditAction.SIGN_IN_FAILED, actor=None, clinic_id=other.id)
        record_event(action=AuditAction.SIGN_IN_FAILED, actor=None)
        record_event(action=AuditAction.SIGN_OUT, actor=actor)
        db.session.commit()

    assert faults() == []


SET = "UPDATE audit_event SET {} WHERE sequence = 3"


@pytest.mark.parametrize(
    "sql",
    [
        SET.format("action = 'sign_in'"),
        SET.format("actor_name = 'somebody'"),
        SET.format("actor_public_id = NULL"),
        SET.format("subject_public_id = 'ffffffffffffffffffffffffffffffff'"),
        SET.format("patient_public_id = 'ffffffffffffffffffffffffffffffff'"),
        SET.format("origin = '203.0.113.9'"),
        SET.format("request_id = 'other'"),
        SET.format("occurred_at = '2020-01-01 00:00:00.000000'"),
        SET.format("""details = '{"number": 7}'"""),
        SET.format("previous_hash = '" + "f" * 64 + "'"),
        SET.format("entry_hash = '" + "f" * 64 + "'"),
    ],
)
def test_edit_is_found_when_any_column_changes(chain: AuditChain, records: Records, sql: str) -> None:
    records.execute(sql)

    assert (3, "the entry was edited") in faults()


def test_deletion_is_found_when_an_entry_is_gone(chain: AuditChain, records: Records) -> None:
    records.execute("DELETE FROM audit_event WHERE sequence = 3")

    assert (3, "the entry is missing") in faults()


def test_deletion_is_found_when_the_others_are_numbered_anew(chain: AuditChain, records: Records) -> None:
    records.execute("DELETE FROM audit_event WHERE sequence = 3")
    for sequence in (4, 5):
        records.execute(
            "UPDATE audit_event SET sequence = :to WHERE sequence = :old", to=sequence - 1, old=sequence
        )

    assert faults()


def test_new_order_is_found_when_two_entries_change_places(chain: AuditChain, records: Records) -> None:
    for old, new in ((2, 99), (3, 2), (99, 3)):
        records.execute("UPDATE audit_event SET sequence = :new WHERE sequence = :old", new=new, old=old)

    assert {sequence for sequence, _ in faults()} >= {2, 3}


@pytest.mark.parametrize("kept", [0, 4])
def test_cut_is_found_when_the_last_entries_are_gone(chain: AuditChain, records: Records, kept: int) -> None:
    records.execute("DELETE FROM audit_event WHERE sequence > :kept", kept=kept)

    assert (5, "entries were cut off the end") in faults()


def test_forgery_is_found_when_one_entry_is_edited_and_hashed_again(
    chain: AuditChain, records: Records
) -> None:
    entry = records.one(AuditEvent, AuditEvent.sequence == 3)
    entry.actor_name = "somebody"
    records.execute(
        "UPDATE audit_event SET actor_name = 'somebody', entry_hash = :hash WHERE sequence = 3",
        hash=entry.compute_hash(),
    )

    assert (4, "it does not follow its predecessor") in faults()


def test_entry_is_dropped_when_its_act_is_rolled_back(actor: Actor, records: Records) -> None:
    record_event(action=AuditAction.SIGN_IN, actor=actor)
    db.session.rollback()

    assert records.count(AuditEvent) == 0
    assert faults() == []


@pytest.mark.parametrize(
    "change",
    [lambda entry: setattr(entry, "actor_name", "x"), lambda entry: db.session.delete(entry)],
    ids=["edit", "delete"],
)
def test_entry_is_refused_a_change_when_it_comes_through_the_app(
    chain: AuditChain, change: Callable[[AuditEvent], None]
) -> None:
    change(db.session.scalars(db.select(AuditEvent).where(AuditEvent.sequence == 3)).one())

    with pytest.raises(RuntimeError, match="never changed"):
        db.session.flush()
    db.session.rollback()
