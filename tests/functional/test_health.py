"""Alive and ready: what a proxy asks every few seconds, whatever else has failed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine

from melanoma_app.models import AuditEvent
from melanoma_app.storage import LocalImageStore
from tests.databases import MariaDbServer, find_free_port
from tests.records import Records
from tests.released import SERVED, flip_a_bit

on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
PARTS = {"database", "migrations", "storage", "model"}
LONGEST_S = 6


def ask(client: FlaskClient) -> tuple[int, dict[str, str]]:
    """The status, and of each part whether it is well."""
    response = client.get("/health/ready")
    body: dict[str, Any] = response.json
    assert (body["status"] == "ok") == (response.status_code == 200)
    assert all(check["words"].endswith(".") for check in body["checks"].values())
    return response.status_code, {name: check["status"] for name, check in body["checks"].items()}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer is asked for anew."""
    monkeypatch.setattr("melanoma_app.services.readiness.VALID_S", 0)


def test_process_is_alive_and_ready_when_all_is_well(
    client: FlaskClient, records: Records, image_folder: Path
) -> None:
    assert client.get("/health/live").get_data(as_text=True) == "ok\n"
    response = client.get("/health/ready")

    assert response.status_code == 200
    assert response.json["checks"].keys() == PARTS
    assert "Set-Cookie" not in response.headers
    assert records.count(AuditEvent) == 0
    assert [path for path in image_folder.rglob("*") if path.is_file()] == []


@on_sqlite
def test_database_is_named_when_its_server_is_not_there(make_app: Callable[..., Flask]) -> None:
    port = find_free_port()
    client = make_app(DATABASE_URL=f"mysql+pymysql://clinic:hunter2@127.0.0.1:{port}/clinic").test_client()

    status, parts = ask(client)

    assert status == 503
    assert parts == {"database": "failed", "migrations": "failed", "storage": "ok", "model": "failed"}
    assert client.get("/health/live").status_code == 200
    text = client.get("/health/ready").get_data(as_text=True)
    assert not [word for word in ("hunter2", "127.0.0.1", str(port), "pymysql") if word in text]


@pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)
def test_answer_comes_in_time_and_again_when_the_server_hangs_for_a_while(
    client: FlaskClient, mariadb_server: MariaDbServer, impatient: None
) -> None:
    """A stopped process still takes connections and never says anything."""
    assert ask(client)[0] == 200
    os.kill(mariadb_server.process.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        status, parts = ask(client)
        took_s = time.monotonic() - started
        live = client.get("/health/live").status_code
    finally:
        os.kill(mariadb_server.process.pid, signal.SIGCONT)

    assert (status, parts["database"], live) == (503, "failed", 200)
    assert took_s < LONGEST_S
    deadline = time.monotonic() + LONGEST_S
    while ask(client)[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@on_sqlite
def test_ready_does_not_wait_when_somebody_is_writing(
    client: FlaskClient, database_url: str, impatient: None
) -> None:
    engine = create_engine(database_url)
    with engine.begin():  # holds SQLite's only write lock
        started = time.monotonic()
        assert ask(client)[0] == 200
        assert time.monotonic() - started < 2
    engine.dispose()


@on_sqlite
def test_storage_is_named_when_it_cannot_be_written(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.TemporaryFile", _read_only)
        status, parts = ask(client)
        text = client.get("/health/ready").get_data(as_text=True)

    assert (status, parts.pop("storage"), set(parts.values())) == (503, "failed", {"ok"})
    assert "/images" not in text
    assert ask(client)[0] == 200


@on_sqlite
class TestModel:
    @pytest.fixture
    def environment(self, environment: dict[str, str], shelf: Path) -> dict[str, str]:
        return environment | {"MODEL_FOLDER": str(shelf), "MODEL_NAME": SERVED.name}

    def test_model_is_named_when_its_file_was_damaged_meanwhile(
        self, client: FlaskClient, shelf: Path, impatient: None
    ) -> None:
        assert ask(client)[0] == 200
        flip_a_bit(shelf / SERVED.name / "model.onnx")

        status, parts = ask(client)

        assert (status, parts.pop("model"), set(parts.values())) == (503, "failed", {"ok"})


@pytest.mark.parametrize(("revision", "status"), [("0043", 503), ("9999", 200)])
def test_migrations_are_told_when_the_database_is_behind_or_ahead(
    client: FlaskClient, records: Records, revision: str, status: int
) -> None:
    """Ahead is well: while a clinic is upgraded, the old processes go on until the new ones stand."""
    with records.engine.connect() as connection:
        before = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    records.execute("UPDATE alembic_version SET version_num = :revision", revision=revision)
    try:
        assert ask(client)[0] == status
    finally:
        records.execute("UPDATE alembic_version SET version_num = :revision", revision=before)


@on_sqlite
def test_parts_are_asked_once_when_many_ask_at_the_same_time(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(LocalImageStore, "check", lambda _store: asked.append(time.sleep(0.1)))
    app = make_app()
    threads = [threading.Thread(target=lambda: app.test_client().get("/health/ready")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(asked) == 1


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "readiness":
            thread.join(timeout=LONGEST_S)


def _read_only(*_arguments: object, **_options: object) -> None:
    raise OSError(30, "Read-only file system")
