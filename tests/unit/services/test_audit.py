from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from melanoma_app.extensions import db
from melanoma_app.models import AuditChain, AuditEvent, Clinic, User
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services import audit
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


def test_chain_holds_when_it_grows_while_it_is_verified(
    chain: AuditChain, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = audit._walk

    def walk_and_write(chain_id: int, *, up_to: int) -> Iterator[object]:
        """Another person acts between the readings."""
        for entry in walk(chain_id, up_to=up_to):
            yield entry
            record_event(action=AuditAction.SIGN_OUT, actor=actor)
            db.session.commit()

    monkeypatch.setattr(audit, "_walk", walk_and_write)

    assert faults() == []


def test_loss_is_found_when_a_clinic_has_no_chain_any_more(chain: AuditChain, records: Records) -> None:
    records.execute("DELETE FROM audit_event WHERE chain_id = :id", id=chain.id)
    records.execute("DELETE FROM audit_chain WHERE id = :id", id=chain.id)

    assert faults() == [(0, f"clinic {chain.clinic_id} has lost its chain")]


def test_origin_is_one_short_line_when_a_proxy_passes_on_a_lie(user: User, records: Records) -> None:
    record_event(action=AuditAction.SIGN_IN, actor=Actor(user=user, origin="::1\r\nx" + "y" * 100))
    db.session.commit()

    entry = records.one(AuditEvent)
    assert entry.origin == "::1??x" + "y" * 58
    assert faults() == []


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
