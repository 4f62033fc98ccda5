"""37: audit tampering found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from melanoma_app.extensions import db
from melanoma_app.models import AuditChain, AuditEvent, Clinic, User
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services import audit
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from tests.records import Records

Run = Callable[..., Result]
ENTRIES = 8


@pytest.fixture
def chain(app: Flask, user: User, clinic: Clinic, records: Records) -> AuditChain:
    """The clinic's chain with eight entries; they are verified three at a time."""
    with app.app_context():
        for number in range(ENTRIES):
            record_event(
                action=AuditAction.PATIENT_READ,
                actor=Actor(user=user),
                details={"number": number, "word": "é"},
            )
            db.session.commit()
    return records.one(AuditChain, AuditChain.clinic_id == clinic.id)


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "ENTRIES_AT_ONCE", 3)


@pytest.fixture
def run(app: Flask) -> Run:
    return lambda *arguments: app.test_cli_runner().invoke(args=("audit", *arguments))


def forge(records: Records, chain: AuditChain, *, sequence: int) -> str:
    """Edit an entry and seal it again; gives the new seal."""
    entry = records.one(AuditEvent, AuditEvent.chain_id == chain.id, AuditEvent.sequence == sequence)
    entry.actor_name = "somebody"
    records.execute(
        "UPDATE audit_event SET actor_name = 'somebody', entry_hash = :hash WHERE id = :id",
        hash=entry.compute_hash(),
        id=entry.id,
    )
    return entry.compute_hash()


def forge_from(records: Records, chain: AuditChain, *, sequence: int) -> None:
    """Edit an entry, and seal it and all that follow anew, the chain's own row included."""
    previous = forge(records, chain, sequence=sequence)
    for number in range(sequence + 1, ENTRIES + 1):
        entry = records.one(AuditEvent, AuditEvent.chain_id == chain.id, AuditEvent.sequence == number)
        entry.previous_hash = previous
        previous = entry.compute_hash()
        records.execute(
            "UPDATE audit_event SET previous_hash = :previous, entry_hash = :hash WHERE id = :id",
            previous=entry.previous_hash,
            hash=previous,
            id=entry.id,
        )
    records.execute("UPDATE audit_chain SET last_hash = :hash WHERE id = :id", hash=previous, id=chain.id)


def cut_off_with_the_end(records: Records, chain: AuditChain, *, kept: int) -> None:
    """Delete the last entries, and move the chain's own row back to what is left."""
    last = records.one(AuditEvent, AuditEvent.chain_id == chain.id, AuditEvent.sequence == kept)
    records.execute(
        "DELETE FROM audit_event WHERE chain_id = :id AND sequence > :kept", id=chain.id, kept=kept
    )
    records.execute(
        "UPDATE audit_chain SET last_sequence = :kept, last_hash = :hash WHERE id = :id",
        kept=kept,
        hash=last.entry_hash,
        id=chain.id,
    )


def test_verify_says_so_when_nobody_touched_the_log(chain: AuditChain, run: Run) -> None:
    result = run("verify")

    assert (result.exit_code, result.output) == (0, "Every audit chain holds.\n")


EDIT = "UPDATE audit_event SET {} WHERE sequence = 5"
TAMPERED = {
    "edited": ([EDIT.format("actor_name = 'x'")], "entry 5: the entry was edited"),
    "edited beyond reading": (
        [EDIT.format("patient_public_id = 'zz', actor_public_id = 'nobody'")],
        "entry 5: the entry cannot be read, so it was edited",
    ),
    "deleted": (["DELETE FROM audit_event WHERE sequence = 5"], "entry 5: the entry is missing"),
    "deleted and numbered anew": (
        [
            "DELETE FROM audit_event WHERE sequence = 5",
            *(f"UPDATE audit_event SET sequence = {one - 1} WHERE sequence = {one}" for one in (6, 7, 8)),
        ],
        "entry 5: it does not follow its predecessor",
    ),
    "reordered": (
        [
            f"UPDATE audit_event SET sequence = {new} WHERE sequence = {old}"
            for old, new in ((4, 99), (5, 4), (99, 5))
        ],
        "entry 4: it does not follow its predecessor",
    ),
    "truncated": (["DELETE FROM audit_event WHERE sequence > 6"], "entry 8: entries were cut off the end"),
    "emptied": (["DELETE FROM audit_event"], "entry 8: entries were cut off the end"),
    "end moved back alone": (
        ["UPDATE audit_chain SET last_sequence = 6 WHERE last_sequence = 8"],
        "entry 7: entries stand behind the end of the chain",
    ),
}


@pytest.mark.parametrize(("statements", "told"), TAMPERED.values(), ids=list(TAMPERED))
def test_verify_names_the_place_when_the_log_was_tampered_with(
    chain: AuditChain, run: Run, records: Records, statements: list[str], told: str
) -> None:
    for statement in statements:
        records.execute(statement)

    result = run("verify")

    assert result.exit_code == 1
    assert f"chain {chain.id}, {told}" in result.output.splitlines()


def test_verify_names_the_successor_when_a_middle_entry_was_sealed_again(
    chain: AuditChain, run: Run, records: Records
) -> None:
    forge(records, chain, sequence=5)

    assert f"chain {chain.id}, entry 6: it does not follow its predecessor" in run("verify").output


class TestHead:
    @pytest.fixture
    def note(self, chain: AuditChain, run: Run, tmp_path: Path) -> Path:
        """What an engineer has put away outside the database."""
        printed = run("head").output
        assert f"{chain.id}:{ENTRIES}:{chain.last_hash}\n" in printed
        note = tmp_path / "heads.txt"
        note.write_text(f"# 21 Nov 2026\n{printed}\n", encoding="utf-8")
        return note

    def test_chain_holds_against_its_head_when_it_has_only_grown(
        self, chain: AuditChain, run: Run, note: Path, app: Flask, user: User
    ) -> None:
        with app.app_context():
            record_event(action=AuditAction.SIGN_OUT, actor=Actor(user=user))
            db.session.commit()

        assert run("verify", "--head", str(note)).exit_code == 0
        assert run("verify", "--head", f"{chain.id}:{ENTRIES}:{chain.last_hash}").exit_code == 0

    def test_cut_is_found_when_the_chains_own_end_was_moved_back_too(
        self, chain: AuditChain, run: Run, note: Path, records: Records
    ) -> None:
        cut_off_with_the_end(records, chain, kept=6)
        assert run("verify").exit_code == 0  # from inside it cannot be seen

        result = run("verify", "--head", str(note))

        assert result.exit_code == 1
        assert (
            f"chain {chain.id}, entry 8: entries were cut off the end since the head was noted"
            in result.output
        )

    def test_forgery_is_found_when_everything_after_it_was_sealed_anew(
        self, chain: AuditChain, run: Run, note: Path, records: Records
    ) -> None:
        forge_from(records, chain, sequence=5)
        assert run("verify").exit_code == 0

        result = run("verify", "--head", str(note))

        assert (
            f"chain {chain.id}, entry 8: the entry is another than when the head was noted" in result.output
        )

    @pytest.mark.parametrize("head", ["", "1:2", "x:1:" + "0" * 64, "1:1:" + "g" * 64, "missing.txt"])
    def test_line_says_what_a_head_is_when_it_is_none(self, run: Run, chain: AuditChain, head: str) -> None:
        result = run("verify", "--head", head)

        assert result.exit_code == 1
        assert "flask audit head" in result.output
