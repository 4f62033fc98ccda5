from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pymysql
import pytest
from flask import Flask
from sqlalchemy import make_url

from melanoma_app.errors import InvalidInputError
from melanoma_app.models import AuditEvent, Base
from melanoma_app.services.audit_grants import list_application_grants, list_migration_grants
from tests.api import PATIENT, send_image
from tests.databases import MariaDbServer
from tests.records import Records

PASSWORD = "only-for-the-tests"
FORBIDDEN = (
    "UPDATE audit_event SET actor_name = 'x'",
    "DELETE FROM audit_event",
    "TRUNCATE TABLE audit_event",
    "DROP TABLE audit_event",
    "ALTER TABLE audit_event DROP COLUMN entry_hash",
    "REPLACE INTO audit_event SELECT * FROM audit_event",
    "DELETE FROM audit_chain",
    "CREATE TRIGGER forget BEFORE INSERT ON audit_event FOR EACH ROW SET NEW.actor_name = ''",
    "CREATE TABLE more (id INTEGER)",
)


def test_every_table_has_its_grant_when_printed(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=("audit", "grants", "clinic", "melanoma_app@10.0.0.%"))

    granted = dict(
        re.fullmatch(r"GRANT (.+) ON `clinic`\.`(\w+)` TO 'melanoma_app'@'10\.0\.0\.%';", line).groups()[::-1]
        for line in result.output.splitlines()
    )
    assert granted.keys() == {*Base.metadata.tables, "alembic_version"}
    assert granted.pop("audit_event") == "SELECT, INSERT"
    assert granted.pop("audit_chain") == "SELECT, INSERT, UPDATE"
    assert granted.pop("alembic_version") == "SELECT"
    assert set(granted.values()) == {"SELECT, INSERT, UPDATE, DELETE"}


@pytest.mark.parametrize(
    ("database", "account"),
    [("a`b", "app@%"), ("", "app@%"), ("clinic", "app"), ("clinic", "a'b@%"), ("clinic", "app@%'; DROP")],
)
def test_name_is_refused_when_it_would_have_to_be_quoted(database: str, account: str) -> None:
    with pytest.raises(InvalidInputError):
        list(list_application_grants(database=database, account=account))


@pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)  # SQLite knows no accounts
class TestAccount:
    @pytest.fixture
    def account_url(self, mariadb_server: MariaDbServer, database_url: str) -> Iterator[str]:
        """The same database through an account that has the printed rights and no other."""
        url = make_url(database_url)
        with mariadb_server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("DROP USER IF EXISTS 'app'@'127.0.0.1'")
            cursor.execute(f"CREATE USER 'app'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
            for statement in list_application_grants(database=str(url.database), account="app@127.0.0.1"):
                cursor.execute(statement)
        yield url.set(username="app", password=PASSWORD).render_as_string(hide_password=False)
        with mariadb_server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("DROP USER 'app'@'127.0.0.1'")

    def test_app_does_its_main_job_when_it_has_the_printed_rights_alone(
        self,
        make_app: Callable[..., Flask],
        account_url: str,
        headers: dict[str, str],
        photograph: bytes,
        records: Records,
    ) -> None:
        app = make_app(DATABASE_URL=account_url)
        client = app.test_client()

        patient = client.post("/api/v1/patients", json=PATIENT, headers=headers)
        assert patient.status_code == 201
        site = {"anatom_site_general": "head/neck"}
        lesions = f"/api/v1/patients/{patient.json['id']}/lesions"
        lesion = client.post(lesions, json=site, headers=headers).json
        image = send_image(client, lesion["id"], headers, photograph)
        assert image.status_code == 201
        review = client.post(
            f"/api/v1/images/{image.json['id']}/review",
            json={
                "prediction_id": image.json["prediction"]["id"],
                "conclusion": "benign",
                "plan": "reassure",
                "reason": "Seen by eye",
            },
            headers=headers,
        )
        assert review.status_code == 201, review.json
        assert client.get(f"/api/v1/patients/{patient.json['id']}", headers=headers).status_code == 200
        runner = app.test_cli_runner()
        for command in (("audit", "verify"), ("statistics", "verify"), ("db", "upgrade")):
            assert runner.invoke(args=command).exit_code == 0, command
        assert records.count(AuditEvent) > 5

    def test_server_denies_the_account_whatever_would_change_the_log_when_it_tries(
        self, account_url: str
    ) -> None:
        url = make_url(account_url)
        connection = pymysql.connect(
            host=url.host,
            port=url.port,
            user="app",
            password=PASSWORD,
            database=url.database,
            ssl_disabled=True,
        )
        with connection, connection.cursor() as cursor:
            for statement in FORBIDDEN:
                with pytest.raises(pymysql.err.OperationalError, match="denied"):
                    cursor.execute(statement)


def test_migration_account_may_alter_tables_when_granted() -> None:
    (grant,) = list_migration_grants(database="clinic", account="deploy@localhost")

    assert grant.startswith(
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON `clinic`.*"
    )
