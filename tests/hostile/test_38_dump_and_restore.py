"""38: dump and restore: counts, hashes, chain equal."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import create_engine, func, make_url, select, text

from melanoma_app.models import AuditChain, Base, LesionImage
from tests.databases import MariaDbServer
from tests.records import Records

Restore = Callable[[], str]


@pytest.fixture
def restore(
    app: Flask, database_kind: str, database_url: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Restore:
    """Dump the database as an engineer would, and restore it elsewhere; gives the address of the copy."""

    def by_mariadb() -> str:
        server: MariaDbServer = request.getfixturevalue("mariadb_server")
        own = ["--no-defaults", "--skip-ssl", "-h", "127.0.0.1", "-P", str(server.port), "-u", "root"]
        name = str(make_url(database_url).database)
        dump = ["mariadb-dump", *own, "--single-transaction", "--routines", "--triggers", name]
        (tmp_path / "dump.sql").write_bytes(subprocess.run(dump, check=True, capture_output=True).stdout)
        copy = server.create_database("restored")
        with (tmp_path / "dump.sql").open("rb") as file:
            subprocess.run(["mariadb", *own, "restored"], check=True, stdin=file)
        return copy

    def by_sqlite() -> str:
        copy = tmp_path / "restored.sqlite3"
        with sqlite3.connect(str(make_url(database_url).database)) as source, sqlite3.connect(copy) as target:
            source.backup(target)
        source.close()
        target.close()
        return f"sqlite:///{copy}"

    return {"mariadb": by_mariadb, "sqlite": by_sqlite}[database_kind]


def describe(url: str, images: Path) -> dict[str, object]:
    """How many rows each table has, where each audit chain ends, and the digest of every photograph as stored."""
    engine = create_engine(url)
    with engine.connect() as connection:
        counts = {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in Base.metadata.sorted_tables
        }
        chains = connection.execute(
            select(AuditChain.id, AuditChain.last_sequence, AuditChain.last_hash).order_by(AuditChain.id)
        ).all()
        kept = connection.execute(select(LesionImage.storage_key, LesionImage.sha256)).all()
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    engine.dispose()
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in images.rglob("*")
        if path.is_file()
    }
    assert kept
    assert all(digests[key] == sha256 for key, sha256 in kept)
    return {
        "counts": counts,
        "chains": [tuple(row) for row in chains],
        "files": digests,
        "revision": revision,
    }


def test_everything_is_as_it_was_when_restored_from_a_dump(
    make_app: Callable[..., Flask],
    ids: dict[str, str],
    recount: Callable[[], None],
    restore: Restore,
    database_url: str,
    image_folder: Path,
    records: Records,
    tmp_path: Path,
) -> None:
    recount()
    before = describe(database_url, image_folder)

    url = restore()
    shutil.copytree(image_folder, tmp_path / "restored-images")

    assert describe(url, tmp_path / "restored-images") == before
    restored = make_app(DATABASE_URL=url, IMAGE_FOLDER=str(tmp_path / "restored-images"))
    runner = restored.test_cli_runner()
    for command in (("audit", "verify"), ("statistics", "verify"), ("db", "check")):
        result = runner.invoke(args=command)
        assert result.exit_code == 0, result.output
