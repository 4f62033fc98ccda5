"""An upgrade while the version before still runs: the new tables take what it writes, and give what it reads.

Expand, backfill, contract: what a migration takes away must have been out of use since a version that it names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import Engine, MetaData, create_engine

from config import PROJECT_ROOT
from melanoma_app.models import Clinic, User
from melanoma_app.models.connection import engine_options
from tests import databases
from tests.factories import UserSessionFactory
from tests.factories.work import JobFactory, JobItemFactory
from tests.migrations.schemas import find_breaks, read_schema
from tests.records import Records

PREVIOUS_RELEASE = "0043"
"""Where the tables of the version before this one end, which goes on during an upgrade. Each release sets it anew."""
FOLDER = PROJECT_ROOT / "migrations"
SINCE = sorted(
    name for path in (FOLDER / "versions").glob("*.py") if (name := path.name[:4]) > PREVIOUS_RELEASE
)
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture
def database_url(empty_database_url: str, tmp_path: Path) -> str:
    """A database of the test's own: the others share theirs."""
    databases.migrate(database_url=empty_database_url, instance_folder=tmp_path)
    return empty_database_url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A way past the app."""
    engine = create_engine(database_url, **engine_options(database_url))
    yield engine
    engine.dispose()


@pytest.fixture
def filled(
    ids: dict[str, str], recount: Callable[[], None], clinic: Clinic, user: User, records: Records
) -> None:
    """A row or more in most tables; but no upload, which the way back refuses."""
    for table, column in (("staged_photograph", "job_id"), ("job_item", "job_id"), ("job", "id")):
        records.execute(
            f"DELETE FROM {table} WHERE {column} IN (SELECT id FROM (SELECT * FROM job) j WHERE kind = 'bulk_upload')"
        )
    UserSessionFactory(user=user)
    job = JobFactory(clinic_id=clinic.id, made_by_id=user.id)
    JobItemFactory(job_id=job.id)
    recount()


def test_new_tables_serve_the_version_before_when_upgraded_step_by_step(
    app: Flask, filled: None, engine: Engine
) -> None:
    """Each step with rows in place; at the end the older program's rows go in anew, naming its columns alone."""
    kept: dict[str, Rows] = {}
    with app.app_context():
        for revision in reversed(SINCE):
            kept[revision] = read_rows(engine)
            downgrade(revision="-1")
        of_the_version_before, rows = read_schema(engine), read_rows(engine)
        assert all(rows[table] for table in ("patient", "prediction", "audit_event", "user_session"))

        before = of_the_version_before
        for revision in SINCE:
            upgrade(revision=revision)
            after = read_schema(engine)
            breaks = list(find_breaks(before, after))
            assert not breaks or is_contract(revision), f"{revision}: {breaks}"
            # What this step has made is filled for the next one.
            write_rows(engine, {name: kept[revision][name] for name in after.keys() - before.keys()})
            assert in_order(read_rows(engine)) == in_order(kept[revision])
            before = after

    delete_all(engine)
    write_rows(engine, rows)
    written = read_rows(engine)
    for name, found in rows.items():
        again = [
            {column: row[column] for column in of_the_version_before[name].columns} for row in written[name]
        ]
        assert in_order({name: again}) == in_order({name: found})


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_migration_is_taken_back_when_a_row_refers_to_one_that_is_gone(app: Flask, engine: Engine) -> None:
    """SQLite looks at references only afterwards while tables are copied; MariaDB never lets such a row in."""
    with app.app_context():
        downgrade(revision=SINCE[-2])
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            driver.execute("PRAGMA foreign_keys = OFF")  # type: ignore[union-attr]
            connection.exec_driver_sql("INSERT INTO merged_lesion VALUES (1, 999, 999, 1)")
            connection.commit()
            driver.execute("PRAGMA foreign_keys = ON")  # type: ignore[union-attr]

        with pytest.raises(SystemExit, match="was taken back: a row of merged_lesion"):
            upgrade()
        with engine.begin() as connection:
            found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
            connection.exec_driver_sql("DELETE FROM merged_lesion")
        assert found == SINCE[-2]

        upgrade()
        with engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
        assert found == SINCE[-1]


def is_contract(revision: str) -> bool:
    """Whether a migration may take something away, and says which version was the last to use it."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    module = ScriptDirectory.from_config(config).get_revision(revision).module
    if not getattr(module, "contract", False):
        return False
    last_used_by = getattr(module, "last_used_by", "")
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?", last_used_by), "say in last_used_by which version used it last"
    return f"\n## {last_used_by}" in (PROJECT_ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def reflect(engine: Engine) -> MetaData:
    tables = MetaData()
    tables.reflect(engine)
    tables.remove(tables.tables["alembic_version"])
    return tables


def read_rows(engine: Engine) -> Rows:
    """Every row of every table, as the driver gives it."""
    names = reflect(engine).tables
    with engine.connect() as connection:
        return {
            name: [
                dict(row)
                for row in connection.exec_driver_sql(f"SELECT * FROM {quote(engine, name)}").mappings()
            ]
            for name in names
        }


def write_rows(engine: Engine, rows: Rows) -> None:
    """Put rows in, naming no column but theirs."""
    mark = "%s" if engine.dialect.name == "mysql" else "?"
    tables = reflect(engine).sorted_tables
    with engine.begin() as connection:
        for table in tables:
            for row in rows.get(table.name, []):
                names = ", ".join(quote(engine, name) for name in row)
                connection.exec_driver_sql(
                    f"INSERT INTO {quote(engine, table.name)} ({names}) VALUES ({', '.join([mark] * len(row))})",
                    tuple(row.values()),
                )


def delete_all(engine: Engine) -> None:
    tables = reflect(engine).sorted_tables
    with engine.begin() as connection:
        for table in reversed(tables):
            connection.execute(table.delete())


def quote(engine: Engine, name: str) -> str:
    return engine.dialect.identifier_preparer.quote(name)


def in_order(rows: Rows) -> dict[str, list[str]]:
    return {name: sorted(map(repr, found)) for name, found in rows.items()}


OLD = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(10) NOT NULL, b VARCHAR(10), "
    "CONSTRAINT words CHECK (a IN ('x', 'y')))"
)
BREAKS = {
    "dropped": ("id INTEGER PRIMARY KEY, a VARCHAR(10) NOT NULL", "t.b is dropped or renamed"),
    "renamed": ("id INTEGER PRIMARY KEY, a VARCHAR(10) NOT NULL, c VARCHAR(10)", "t.b is dropped or renamed"),
    "narrower": ("id INTEGER PRIMARY KEY, a VARCHAR(10) NOT NULL, b VARCHAR(9)", "t.b is narrower"),
    "other type": ("id INTEGER PRIMARY KEY, a VARCHAR(10) NOT NULL, b INTEGER", "t.b is narrower"),
    "not empty": (
        "id INTEGER PRIMARY KEY, a VARCHAR(10) NOT NULL, b VARCHAR(10) NOT NULL",
        "no longer be empty",
    ),
    "no default": (
        "id INTEGER PRIMARY KEY, a VARCHAR(10) NOT NULL, b VARCHAR(10), c INTEGER NOT NULL",
        "t.c must",
    ),
    "unique": (
        "id INTEGER PRIMARY KEY, a VARCHAR(10) NOT NULL, b VARCHAR(10), CONSTRAINT u UNIQUE (b)",
        "differ from row to row",
    ),
    "reference": (
        "id INTEGER PRIMARY KEY, a VARCHAR(10) NOT NULL, b VARCHAR(10) REFERENCES t (a)",
        "found in another table",
    ),
    "fewer words": (
        "id INTEGER PRIMARY KEY, a VARCHAR(10) NOT NULL, b VARCHAR(10), CONSTRAINT words CHECK (a IN ('x', 'z'))",
        "words no longer takes y",
    ),
    "new rule": (
        "id INTEGER PRIMARY KEY, a VARCHAR(10) NOT NULL, b VARCHAR(10), CONSTRAINT long CHECK (length(b) > 2)",
        "there is a new rule, long",
    ),
}


@pytest.mark.parametrize(("columns", "words"), BREAKS.values(), ids=list(BREAKS))
def test_break_is_found_when_a_table_changes(columns: str, words: str) -> None:
    (found,) = find_breaks(schema_of(OLD), schema_of(f"CREATE TABLE t ({columns})"))
    assert words in found


def test_nothing_is_found_when_a_table_only_grows() -> None:
    grown = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(20) NOT NULL, b VARCHAR(10), c INTEGER, "
        "d INTEGER NOT NULL DEFAULT 0, CONSTRAINT words CHECK (a IN ('x', 'y', 'z')), CONSTRAINT c CHECK (c > 0))"
    )
    assert list(find_breaks(schema_of(OLD), schema_of(grown))) == []


def test_dropped_table_is_found_when_it_is_gone() -> None:
    assert list(find_breaks(schema_of(OLD), {})) == ["t: the table is dropped or renamed"]


def schema_of(statement: str) -> Any:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    found = read_schema(engine)
    engine.dispose()
    return found
