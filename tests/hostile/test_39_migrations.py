"""39: migrations up, down, up on filled data, two at once."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import check, downgrade, upgrade
from sqlalchemy import Engine, create_engine, delete, inspect, make_url, select, text

from config import PROJECT_ROOT
from melanoma_app.extensions import db, migrate
from melanoma_app.models import Base, Job
from melanoma_app.models.connection import engine_options
from melanoma_app.models.vocabulary import JobKind
from melanoma_app.services.audit import verify_chains
from tests import databases

BEFORE_ACCOUNTS = "0031"
"""The last revision before what closed accounts need; the later ones widen tables that are full."""
LOST_ON_THE_WAY_BACK = {
    "user": {"failed_sign_ins", "held_until"},
    "clinic": {"requires_second_factor", "retention_years"},
    "api_token": {"scopes", "last_used_at"},
}
"""Columns that the older revision does not know, and one that the rows before do not have either."""
MADE_SINCE = {
    "user_session",
    "second_factor",
    "recovery_code",
    "password_reset",
    "patient_erasure",
    "file_to_delete",
    "job",
    "job_item",
    "staged_photograph",
}
HEAD = sorted(path.name for path in (PROJECT_ROOT / "migrations" / "versions").glob("*.py"))[-1][:4]


class TestFilledData:
    @pytest.fixture
    def database_url(self, empty_database_url: str, tmp_path: Path) -> str:
        """A database of the test's own: the others share theirs."""
        databases.migrate(database_url=empty_database_url, instance_folder=tmp_path)
        return empty_database_url

    def test_rows_and_chain_stay_when_migrated_down_and_up_again(
        self, app: Flask, ids: dict[str, str], recount: Callable[[], None], database_url: str
    ) -> None:
        recount()
        before = rows(database_url)
        assert all(before[table] for table in ("patient", "lesion_image", "prediction", "audit_event"))

        with app.app_context():
            # The older program cannot read one, so the way back waits until there is none.
            db.session.execute(delete(Job).where(Job.kind == JobKind.BULK_UPLOAD))
            db.session.commit()
            downgrade(revision=BEFORE_ACCOUNTS)
            assert not MADE_SINCE & set(inspect(db.engine).get_table_names())
            upgrade()

            assert rows(database_url) == before
            assert list(verify_chains()) == []
            check()
            db.session.remove()


def rows(url: str) -> dict[str, list[str]]:
    """Every row of the tables that the older revision has too, as text and sorted."""
    engine = create_engine(url, **engine_options(url))
    with engine.connect() as connection:
        found = {
            table.name: sorted(
                str(tuple(row))
                for row in connection.execute(
                    select(
                        *(one for one in table.c if one.name not in LOST_ON_THE_WAY_BACK.get(table.name, ()))
                    )
                )
            )
            for table in Base.metadata.sorted_tables
            if table.name not in MADE_SINCE
        }
    engine.dispose()
    return found


class TestTwoAtOnce:
    @pytest.fixture
    def engine(self, empty_database_url: str) -> Iterator[Engine]:
        engine = create_engine(empty_database_url, **engine_options(empty_database_url))
        yield engine
        engine.dispose()

    def test_both_end_well_when_one_database_is_upgraded_twice_at_once(
        self, empty_database_url: str, engine: Engine, tmp_path: Path
    ) -> None:
        known = ("SECRET_KEY", "DATABASE_URL", "INSTANCE_FOLDER", "ENVIRONMENT", "DEMO")
        variables = {name: value for name, value in os.environ.items() if name not in known} | {
            "DATABASE_URL": empty_database_url,
            "INSTANCE_FOLDER": str(tmp_path),
            "SECRET_KEY": databases.SECRET_KEY,
            "DEMO": "0",
        }
        command = [sys.executable, "-m", "flask", "db", "upgrade"]
        both = [
            subprocess.Popen(
                command, cwd=PROJECT_ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            for _ in range(2)
        ]

        said = [process.communicate(timeout=120)[0].decode() for process in both]

        assert [process.returncode for process in both] == [0, 0], said
        assert set(inspect(engine).get_table_names()) == {*Base.metadata.tables, "alembic_version"}
        with engine.connect() as connection:
            assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [
                HEAD
            ]

    def test_line_says_that_another_is_running_when_it_does_not_end(
        self, empty_database_url: str, engine: Engine, make_app: Callable[..., Flask]
    ) -> None:
        app = make_app(DATABASE_URL=empty_database_url)
        migrate.configure_callbacks.append(impatient)
        try:
            with app.app_context(), locked(engine):
                with pytest.raises(SystemExit, match="Another upgrade of this database is running"):
                    upgrade()
                assert inspect(engine).get_table_names() == []
            with app.app_context():
                upgrade()
        finally:
            migrate.configure_callbacks.remove(impatient)

        assert set(Base.metadata.tables) <= set(inspect(engine).get_table_names())


def impatient(config: object) -> object:
    """Wait for no other upgrade."""
    config.attributes["wait_s"] = 0  # type: ignore[attr-defined]
    return config


@contextmanager
def locked(engine: Engine) -> Iterator[None]:
    """As if another upgrade were at work."""
    database = make_url(str(engine.url)).database
    if engine.dialect.name == "sqlite":
        with Path(f"{database}.upgrading").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    else:
        with engine.connect() as connection:
            name = f"melanoma.upgrade.{database}"
            assert connection.scalar(text("SELECT GET_LOCK(:name, 0)"), {"name": name}) == 1
            yield
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name})
