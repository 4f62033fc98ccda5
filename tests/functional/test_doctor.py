"""`flask doctor`: what is wrong is told in its line, with what to do; what is well is told to be."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from melanoma_app.models import AuditEvent, FileToDelete
from melanoma_app.models.base import utc_now
from tests.databases import find_free_port
from tests.factories import PASSWORD
from tests.records import Records
from tests.released import SERVED, flip_a_bit

on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
Lines = dict[str, tuple[str, str]]
KEY = "5d0c1f6e9a7b4382c41e90ffab3d7762"


@pytest.fixture
def consult(make_app: Callable[..., Flask], records: Records) -> Callable[..., tuple[int, Lines]]:
    """Run the doctor with some settings changed: the status, and state and words by part."""

    def run(**changes: str) -> tuple[int, Lines]:
        app = make_app(**{"SECRET_KEY": KEY} | changes)
        result = app.test_cli_runner().invoke(args=["doctor"])
        lines: Lines = {}
        for line in result.stdout.splitlines():
            state, _, rest = line.partition(" ")
            part, _, words = rest.strip().partition(": ")
            assert state in ("ok", "look", "broken"), line
            assert words.endswith((".", "head", "sweep", "rebuild", "upgrade")) or "chmod" in words, line
            if part not in lines or state != "ok":
                lines[part] = state, words
        assert (result.exit_code == 1) == ("broken" in {state for state, _ in lines.values()})
        return result.exit_code, lines

    return run


Consult = Callable[..., tuple[int, Lines]]


def test_every_part_is_well_when_nothing_is_wrong(
    consult: Consult, database_kind: str, records: Records
) -> None:
    status, lines = consult()

    assert status == 0
    assert lines.pop("environment")[0] == "look"
    assert {part: state for part, (state, _) in lines.items() if state != "ok" and part != "disk"} == {}
    assert lines.keys() >= {
        "database",
        "migrations",
        "image store",
        "model",
        "clock",
        "disk",
        "audit",
        "statistics",
    }
    assert records.files() == []
    assert ("isolation" in lines) == ("charset" in lines) == (database_kind == "mariadb")


@pytest.fixture
def _entry(app: Flask, records: Records) -> None:
    arguments = ("users", "create", "ada", "--role", "nurse", "--password", PASSWORD)
    assert app.test_cli_runner().invoke(args=arguments).exit_code == 0


@pytest.mark.usefixtures("_entry")
class TestAudit:
    def test_clock_is_told_when_it_was_set_back(
        self, consult: Consult, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "melanoma_app.services.doctor_records.utc_now", lambda: utc_now() - timedelta(hours=2)
        )

        status, lines = consult()

        assert status == 1
        state, words = lines["clock"]
        assert state == "broken"
        assert "set back" in words
        assert "timedatectl" in words

    @on_sqlite
    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE audit_event SET origin = 'elsewhere'",
            "DELETE FROM audit_event",
            "UPDATE audit_chain SET last_sequence = 0",
        ],
    )
    def test_chain_is_told_when_its_end_was_changed(
        self, consult: Consult, records: Records, change: str
    ) -> None:
        assert records.count(AuditEvent) > 0
        records.execute(change)

        assert consult()[1]["audit"][0] == "broken"


def test_missing_migrations_are_named_when_the_database_is_behind(consult: Consult, records: Records) -> None:
    with records.engine.connect() as connection:
        before = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    records.execute("UPDATE alembic_version SET version_num = '0042'")
    try:
        state, words = consult()[1]["migrations"]
    finally:
        records.execute("UPDATE alembic_version SET version_num = :before", before=before)

    assert state == "broken"
    assert "0043_index_the_audit_page_filters" in words
    assert "flask db upgrade" in words


@on_sqlite
class TestParts:
    def test_database_is_named_without_its_password_when_it_is_not_there(self, consult: Consult) -> None:
        url = f"mysql+pymysql://clinic:hunter2@127.0.0.1:{find_free_port()}/clinic"

        status, lines = consult(DATABASE_URL=url)

        assert status == 1
        assert lines["database"][0] == "broken"
        assert "hunter2" not in str(lines)
        assert lines["image store"][0] == "ok"

    def test_model_is_broken_when_its_file_is_damaged(self, consult: Consult, shelf: Path) -> None:
        flip_a_bit(shelf / SERVED.name / "model.onnx")

        state, words = consult(MODEL_FOLDER=str(shelf), MODEL_NAME=SERVED.name)[1]["model"]

        assert state == "broken"
        assert "flask models" in words

    def test_store_is_broken_when_its_folder_is_a_file(self, consult: Consult, image_folder: Path) -> None:
        image_folder.touch()

        assert consult()[1]["image store"][0] == "broken"

    def test_nothing_is_made_when_there_is_no_database_yet(self, consult: Consult, tmp_path: Path) -> None:
        missing = tmp_path / "not-yet.sqlite3"

        assert consult(DATABASE_URL=f"sqlite:///{missing}")[1]["database"][0] == "broken"
        assert not missing.exists()

    def test_redis_is_told_when_it_does_not_answer(self, consult: Consult) -> None:
        state, words = consult(REDIS_URL=f"redis://:hunter2@127.0.0.1:{find_free_port()}/0")[1]["Redis"]

        assert state == "broken"
        assert "hunter2" not in words

    def test_leftovers_are_told_when_erased_files_are_still_there(
        self, consult: Consult, records: Records
    ) -> None:
        records.execute(
            "INSERT INTO file_to_delete (storage_key, noted_at) VALUES ('ab-cd.jpg', '2026-01-01 00:00:00')"
        )

        assert records.count(FileToDelete) == 1
        assert consult()[1]["erasures"][0] == "look"

    def test_disk_is_told_when_it_is_nearly_full(
        self, consult: Consult, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.statvfs("/")
        full = os.statvfs_result((*real[:3], 10, 10, *real[5:]))
        monkeypatch.setattr("os.statvfs", lambda _path: full)

        assert consult()[1]["disk"][0] == "broken"

    @pytest.mark.parametrize(
        ("changes", "part", "state"),
        [
            ({"SECRET_KEY": "ab" * 20}, "SECRET_KEY", "broken"),
            ({"SECRET_KEY": "please-change-this-secret-key-0001"}, "SECRET_KEY", "look"),
            ({"ENVIRONMENT": "production"}, "TLS and proxy", "look"),
            ({"ENVIRONMENT": "production", "TRUSTED_PROXIES": "1"}, "TLS and proxy", "ok"),
            ({"HOST": "0.0.0.0"}, "environment", "broken"),
            ({"WEB_PROCESSES": "2"}, "processes", "look"),
        ],
        ids=["two letters", "typed", "no proxy", "proxy", "open", "sqlite"],
    )
    def test_setting_is_judged_when_it_is_allowed_but_unwise(
        self, consult: Consult, changes: dict[str, str], part: str, state: str
    ) -> None:
        assert consult(**changes)[1][part][0] == state
