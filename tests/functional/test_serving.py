"""Starting the server where something stands in the way: one line that says what to do, and no traceback."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect

from config import PROJECT_ROOT, Settings
from melanoma_app import create_app
from melanoma_app.extensions import db
from melanoma_app.models import Base
from melanoma_app.serving import prepare
from tests.databases import MariaDbServer, find_free_port

START_TIMEOUT_S = 60


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    return {"INSTANCE_FOLDER": str(tmp_path / "instance"), "PORT": str(find_free_port()), "DEMO": "0"}


def start(variables: dict[str, str], *command: str) -> tuple[int, str]:
    """What the server says before it gives up, and its status; started by `flask serve` unless told otherwise."""
    known = ("SECRET_KEY", "DATABASE_URL", "HOST", "IMAGE_FOLDER", "ENVIRONMENT")
    done = subprocess.run(
        [sys.executable, *(command or ("-m", "flask", "serve"))],
        cwd=PROJECT_ROOT,
        env={name: value for name, value in os.environ.items() if name not in known} | variables,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip()


def refusal(variables: dict[str, str]) -> str:
    status, said = start(variables)
    assert status == 1
    assert len(said.splitlines()) == 1
    return said


def test_database_is_made_when_it_is_empty(variables: dict[str, str], empty_database_url: str) -> None:
    settings = Settings.from_environment(variables | {"DATABASE_URL": empty_database_url})
    app = create_app(settings)

    assert f":{variables['PORT']}" in prepare(app, settings)

    with app.app_context():
        assert set(Base.metadata.tables) <= set(inspect(db.engine).get_table_names())
        db.engine.dispose()


def test_another_port_is_advised_when_the_port_is_busy(variables: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = refusal(variables | {"PORT": str(port)})
    assert f"Port {port}" in said
    assert f"PORT={port + 1}" in said


@pytest.mark.parametrize("name", ["INSTANCE_FOLDER", "IMAGE_FOLDER"])
def test_folder_is_named_when_it_cannot_be_written(
    variables: dict[str, str], tmp_path: Path, name: str
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    said = refusal(variables | {name: str(in_the_way)})
    assert str(in_the_way) in said
    assert name in said


def test_start_goes_on_with_a_warning_when_the_bucket_does_not_answer(
    variables: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = {
        "IMAGE_STORE_URL": "s3://clinic-images",
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{find_free_port()}",
        "AWS_ACCESS_KEY_ID": "clinic",
        "AWS_SECRET_ACCESS_KEY": "hidden",
    }
    settings = Settings.from_environment(variables | bucket)
    app = create_app(settings)

    prepare(app, settings)

    said = capsys.readouterr().err
    assert "photographs can be neither taken in nor shown" in said
    assert "clinic-images" in said
    assert "hidden" not in said
    with app.app_context():
        db.engine.dispose()


def test_database_is_named_without_its_password_when_it_does_not_answer(variables: dict[str, str]) -> None:
    url = f"mysql+pymysql://clinic:hidden@127.0.0.1:{find_free_port()}/clinic"
    said = refusal(variables | {"DATABASE_URL": url})
    assert "DATABASE_URL" in said
    assert "127.0.0.1" in said
    assert "hidden" not in said


def test_database_is_named_when_the_password_is_wrong(
    variables: dict[str, str], mariadb_server: MariaDbServer
) -> None:
    url = f"mysql+pymysql://nobody:hidden@127.0.0.1:{mariadb_server.port}/clinic"
    said = refusal(variables | {"DATABASE_URL": url})
    assert "Access denied" in said
    assert "hidden" not in said


def test_file_is_named_when_it_is_no_database(variables: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear colleague" * 100)
    assert str(path) in refusal(variables | {"DATABASE_URL": f"sqlite:///{path}"})


def test_newer_database_is_left_alone_when_its_revision_is_unknown(
    variables: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "newer.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()
    assert "newer version" in refusal(variables | {"DATABASE_URL": f"sqlite:///{path}"})


@pytest.mark.parametrize("command", [["-m", "flask", "--debug", "serve"], ["-m", "flask", "run", "--debug"]])
def test_debugger_is_refused_when_in_production(
    variables: dict[str, str], tmp_path: Path, command: list[str]
) -> None:
    status, said = start(
        variables
        | {
            "ENVIRONMENT": "production",
            "SECRET_KEY": "k" * 32,
            "DATABASE_URL": f"sqlite:///{tmp_path / 'clinic.sqlite3'}",
        },
        *command,
    )
    assert status == 1
    assert "FLASK_DEBUG: cannot be on in production" in said


def test_development_server_is_refused_when_in_production(variables: dict[str, str], tmp_path: Path) -> None:
    status, said = start(
        variables
        | {
            "ENVIRONMENT": "production",
            "SECRET_KEY": "k" * 32,
            "DATABASE_URL": f"sqlite:///{tmp_path / 'clinic.sqlite3'}",
        },
        "wsgi.py",
    )
    assert status == 1
    assert "flask serve" in said


def test_every_wrong_setting_is_named_when_several_are(variables: dict[str, str]) -> None:
    status, said = start(variables | {"ENVIRONMENT": "production", "PORT": "many", "DEMO": "1"})
    assert status == 1
    for name in ("PORT", "SECRET_KEY", "DATABASE_URL"):
        assert f"  {name}: " in said
