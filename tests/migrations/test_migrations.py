"""The migrations: up, down and up again on both databases, equal to the models, and kind to what is stored."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import check, downgrade, upgrade
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from config import PROJECT_ROOT, Settings
from melanoma_app import create_app
from melanoma_app.extensions import db
from melanoma_app.models import Base
from melanoma_app.models.connection import engine_options
from melanoma_app.services.name_search import name_words, search_keys
from tests.databases import SECRET_KEY
from tests.factories import ModelActivationFactory, PredictionFactory
from tests.records import Records

FOLDER = PROJECT_ROOT / "migrations"
VERSIONS = sorted((FOLDER / "versions").glob("*.py"))


@pytest.fixture
def migrating_app(empty_database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """An app on a database without any table, in its context."""
    app = create_app(
        Settings.from_environment(
            {
                "DATABASE_URL": empty_database_url,
                "INSTANCE_FOLDER": str(tmp_path),
                "SECRET_KEY": SECRET_KEY,
                "DEMO": "0",
            }
        )
    )
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def connection(migrating_app: Flask, empty_database_url: str) -> Iterator[Connection]:
    """A way into the same database."""
    engine = create_engine(empty_database_url, **engine_options(empty_database_url))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_all_tables_come_and_go_when_migrated_up_down_and_up(migrating_app: Flask) -> None:
    upgrade()
    assert tables(db.engine) == set(Base.metadata.tables)

    downgrade(revision="base")
    assert tables(db.engine) == set()

    upgrade()
    assert tables(db.engine) == set(Base.metadata.tables)


def test_every_step_goes_back_and_forth_when_taken_alone(migrating_app: Flask) -> None:
    for version in VERSIONS:
        revision = version.name[:4]
        upgrade(revision=revision)
        before = schema(db.engine)
        downgrade(revision="-1")
        upgrade(revision=revision)
        assert schema(db.engine) == before, version.name


def schema(engine: Engine) -> dict[str, list[str]]:
    """Every table's columns and indexes."""
    inspector = inspect(engine)
    return {
        table: sorted(
            [column["name"] for column in inspector.get_columns(table)]
            + [str(index["name"]) for index in inspector.get_indexes(table)]
        )
        for table in inspector.get_table_names()
    }


def test_models_equal_the_database_when_compared(migrating_app: Flask) -> None:
    upgrade()

    with db.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_check_finds_nothing_when_migrated(migrating_app: Flask) -> None:
    upgrade()

    check()  # raises or exits when models and tables differ


def test_constraints_equal_the_models_when_compared_by_name(migrating_app: Flask) -> None:
    upgrade()

    inspector = inspect(db.engine)
    for table in Base.metadata.sorted_tables:
        found = {one["name"] for one in inspector.get_check_constraints(table.name)}
        wanted = {one.name for one in table.constraints if one.__visit_name__ == "check_constraint"}
        assert wanted <= found, table.name


def test_tables_keep_every_script_when_the_servers_charset_is_latin1(
    migrating_app: Flask, database_kind: str
) -> None:
    upgrade()

    with db.engine.begin() as connection:
        connection.execute(text("UPDATE clinic SET name = :name"), {"name": "Клиника 李 🏥"})
        assert connection.execute(text("SELECT name FROM clinic")).scalar_one() == "Клиника 李 🏥"


def test_first_clinic_is_open_when_migrated(migrating_app: Flask) -> None:
    upgrade()

    with db.engine.connect() as connection:
        chains = connection.execute(
            text("SELECT clinic_id, last_sequence FROM audit_chain ORDER BY id")
        ).all()
        assert [tuple(row) for row in chains] == [(None, 0), (1, 0)]


class TestFilledData:
    """Rows of an early revision are still there, unchanged, at the newest."""

    ROWS = {
        "clinic": {
            "id": 7,
            "public_id": uuid.UUID(int=7).hex,
            "name": "Old clinic",
            "time_zone": "Europe/Vienna",
            "is_demo": 0,
            "created_at": "2025-01-02 03:04:05.678901",
        },
        "audit_chain": {"id": 70, "clinic_id": 7, "last_sequence": 0, "last_hash": "0" * 64},
        "user": {
            "id": 71,
            "public_id": uuid.UUID(int=71).hex,
            "clinic_id": 7,
            "username": "ada",
            "display_name": "Ада",
            "password_hash": "x",
            "role": "nurse",
            "is_active": 1,
            "created_at": "2025-01-02 03:04:05.678901",
        },
        "patient": {
            "id": 72,
            "public_id": uuid.UUID(int=72).hex,
            "clinic_id": 7,
            "mrn": "A-1",
            "family_name": "García",
            "given_name": "李",
            "search_name": "garcia 李",
            "birth_date": "1962-04-27",
            "birth_date_precision": "exact",
            "gender": "female",
            "created_at": "2025-01-02 03:04:05.000001",
            "updated_at": "2025-01-02 03:04:05.000001",
            "version": 3,
        },
    }

    def test_rows_stay_when_upgraded_from_an_early_revision(
        self, migrating_app: Flask, connection: Connection, database_kind: str
    ) -> None:
        upgrade(revision="0005")
        for table, row in self.ROWS.items():
            insert(connection, table, row, database_kind)
        before = {table: read(connection, table) for table in self.ROWS}

        upgrade()

        after = {table: read(connection, table) for table in self.ROWS}
        for table, rows in before.items():
            assert all(row.items() <= now.items() for row, now in zip(rows, after[table][-1:], strict=True))
        assert len(after["clinic"]) == 2

    def test_patients_get_the_forms_of_their_names_when_upgraded_past_0026(
        self, migrating_app: Flask, connection: Connection, database_kind: str
    ) -> None:
        upgrade(revision="0026")
        patients = {72: "garcia-lopez ana maria", 73: "李 li", 74: "o'neil jo"}
        for table in ("clinic", "patient"):
            insert(connection, table, self.ROWS[table], database_kind)
        for key, name in patients.items():
            row = {"id": key, "public_id": uuid.UUID(int=key).hex, "mrn": f"A-{key}", "search_name": name}
            if key == 72:
                connection.execute(text("UPDATE patient SET search_name = :name"), {"name": name})
                connection.commit()
            else:
                insert(connection, "patient", self.ROWS["patient"] | row, database_kind)

        upgrade(revision="0027")

        found: dict[object, set[object]] = {key: set() for key in patients}
        for row in read(connection, "patient_search_key"):
            assert row["clinic_id"] == 7
            found[row["patient_id"]].add(row["key"])
        assert found == {key: search_keys(name_words(name)) for key, name in patients.items()}
        assert found[73] == set()
        downgrade(revision="0026")
        assert read(connection, "patient_search_key") == []

    def test_time_keeps_its_microseconds_when_stored(
        self, migrating_app: Flask, connection: Connection, database_kind: str
    ) -> None:
        upgrade()
        insert(connection, "clinic", self.ROWS["clinic"], database_kind)

        created = connection.execute(text("SELECT created_at FROM clinic WHERE id = 7")).scalar_one()

        assert datetime.fromisoformat(str(created)).microsecond == 678901


class TestAuditOfModelSwitches:
    """0013 widens the vocabulary of a filled, hash-chained log."""

    ENTRY = {
        "id": 1,
        "chain_id": 2,
        "sequence": 1,
        "occurred_at": "2025-01-02 03:04:05.678901",
        "action": "sign_in",
        "actor_name": "ада",
        "actor_public_id": uuid.UUID(int=7).hex,
        "origin": "192.0.2.7",
        "request_id": "r1",
        "details": '{"number": 1}',
        "previous_hash": "0" * 64,
        "entry_hash": "1" * 64,
    }

    def test_entries_stay_when_upgraded_and_taken_back(
        self, migrating_app: Flask, connection: Connection, database_kind: str
    ) -> None:
        upgrade(revision="0012")
        insert(connection, "audit_event", self.ENTRY, database_kind)
        before = read(connection, "audit_event")

        upgrade(revision="0013")
        assert read(connection, "audit_event") == before
        downgrade(revision="0012")
        assert read(connection, "audit_event") == before

    def test_switch_may_be_audited_when_upgraded_and_not_before(
        self, migrating_app: Flask, connection: Connection, database_kind: str
    ) -> None:
        switch = self.ENTRY | {"action": "model_activated"}
        upgrade(revision="0012")
        with pytest.raises(DBAPIError):
            insert(connection, "audit_event", switch, database_kind)
        connection.rollback()

        upgrade(revision="0013")
        insert(connection, "audit_event", switch, database_kind)

        assert len(read(connection, "audit_event")) == 1

    def test_way_back_is_refused_whole_when_a_switch_has_been_audited(
        self, migrating_app: Flask, connection: Connection, database_kind: str
    ) -> None:
        upgrade(revision="0013")
        insert(connection, "audit_event", self.ENTRY | {"action": "model_activated"}, database_kind)
        before = read(connection, "audit_event"), schema(db.engine)

        with pytest.raises(DBAPIError):
            downgrade(revision="0012")
        db.engine.dispose()

        assert (read(connection, "audit_event"), schema(db.engine)) == before
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        assert revision == "0013"


def insert(connection: Connection, table: str, row: dict[str, object], kind: str) -> None:
    name = f"`{table}`" if kind == "mariadb" else f'"{table}"'
    values = ", ".join(f":{column}" for column in row)
    connection.execute(text(f"INSERT INTO {name} ({', '.join(row)}) VALUES ({values})"), row)
    connection.commit()


def read(connection: Connection, table: str) -> list[dict[str, object]]:
    quoted = connection.dialect.identifier_preparer.quote(table)
    rows = [dict(row) for row in connection.execute(text(f"SELECT * FROM {quoted} ORDER BY id")).mappings()]
    connection.commit()
    return rows


def test_revision_and_file_agree_when_numbered() -> None:
    for number, version in enumerate(VERSIONS, start=1):
        assert re.fullmatch(rf"{number:04d}_[a-z0-9_]+\.py", version.name)
        source = version.read_text(encoding="utf-8")
        assert f'revision = "{number:04d}"' in source
        previous = f'"{number - 1:04d}"' if number > 1 else "None"
        assert f"down_revision = {previous}\n" in source


def test_there_is_one_head_when_the_scripts_are_read() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))

    (head,) = ScriptDirectory.from_config(config).get_heads()

    assert VERSIONS[-1].name.startswith(head)


BAD = {
    "patient.gender": "UPDATE patient SET gender = 'f'",
    "patient.gender in capitals": "UPDATE patient SET gender = 'FEMALE'",
    "patient.birth_date_precision": "UPDATE patient SET birth_date_precision = 'roughly'",
    "patient.fitzpatrick_skin_type": "UPDATE patient SET fitzpatrick_skin_type = 'VII'",
    "patient.birth_date": "UPDATE patient SET birth_date = '1849-12-31'",
    "patient.clinic": "UPDATE patient SET clinic_id = 999999",
    "patient.mrn": "UPDATE patient SET mrn = NULL",
    "lesion.number": "UPDATE lesion SET number = 0",
    "lesion.site": "UPDATE lesion SET anatom_site_general = 'elbow'",
    "lesion.patient": "UPDATE lesion SET patient_id = 999999",
    "lesion_image.width": "UPDATE lesion_image SET width_px = 0",
    "lesion_image.size": "UPDATE lesion_image SET size_bytes = -1",
    "lesion_image.type": "UPDATE lesion_image SET image_type = 'selfie'",
    "prediction.probability above 1": "UPDATE prediction SET malignancy_probability = 1.01",
    "prediction.probability below 0": "UPDATE prediction SET malignancy_probability = -0.01",
    "prediction.threshold": "UPDATE prediction SET threshold = 2",
    "prediction.label": "UPDATE prediction SET label = 'unsure'",
    "prediction.image": "UPDATE prediction SET lesion_image_id = 999999",
    "model_version.threshold": "UPDATE model_version SET threshold = -1",
    "model_activation.number": "UPDATE model_activation SET number = 0",
    "model_activation.model": "UPDATE model_activation SET model_version_id = 999999",
    "model_activation.person": "UPDATE model_activation SET activated_by_id = NULL",
    "model_activation.reason": "UPDATE model_activation SET reason = NULL",
    "model_activation.number taken": "INSERT INTO model_activation (number, model_version_id, activated_at,"
    " activated_by_id, reason) SELECT number, model_version_id, activated_at, activated_by_id, reason"
    " FROM model_activation",
    "user.role": "UPDATE `user` SET role = 'surgeon'",
    "audit_event.action": "INSERT INTO audit_event (chain_id, sequence, occurred_at, action, actor_name, origin,"
    " request_id, details, previous_hash, entry_hash)"
    " VALUES (1, 1, '2026-01-01', 'nothing', '', '', '', '{}', '', '')",
    "patient with images": "DELETE FROM patient",
    "clinic with staff": "DELETE FROM clinic WHERE id <> 1",
}


@pytest.mark.parametrize("sql", BAD.values(), ids=list(BAD))
def test_row_is_refused_by_the_database_when_it_cannot_be(records: Records, sql: str) -> None:
    PredictionFactory()
    ModelActivationFactory()

    with pytest.raises(DBAPIError):
        records.execute(sql)


@pytest.mark.parametrize(
    ("column", "make"),
    [
        ("public_id", lambda one: {"public_id": one.public_id}),
        ("mrn", lambda one: {"mrn": one.mrn}),
    ],
)
def test_second_patient_is_refused_by_the_database_when_it_must_be_unique(
    records: Records, column: str, make: Callable[..., dict[str, object]]
) -> None:
    from sqlalchemy.exc import IntegrityError

    from tests.factories import PatientFactory

    first = PatientFactory(birth_date=date(1990, 1, 1))

    with pytest.raises(IntegrityError):
        PatientFactory(clinic=first.clinic, **make(first))
