"""The two databases that the tests run on: a SQLite file, and a MariaDB server of the tests' own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pymysql
from flask_migrate import upgrade
from sqlalchemy import create_engine

from config import Settings
from melanoma_app import create_app
from melanoma_app.extensions import db
from melanoma_app.models import Base
from melanoma_app.models.audit import FIRST_HASH

SECRET_KEY = "a-key-that-only-the-tests-know-0123456789"
FIRST_CLINIC_ID = 1
_START_TIMEOUT_S = 60
_AS_FAST_AS_IT_GOES = (
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=16M",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--performance-schema=OFF",
)


def find_mariadb() -> tuple[str, str] | None:
    """The server and its set-up program; None where MariaDB is not installed."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    server = shutil.which("mariadbd", path=path)
    setup = shutil.which("mariadb-install-db", path=path)
    return (server, setup) if server and setup else None


def find_free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class MariaDbServer:
    """A server in a folder of its own; its default charset is latin1, as on many an old machine."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, folder: Path, *options: str) -> MariaDbServer:
        programs = find_mariadb()
        assert programs is not None
        server, setup = programs
        data = folder / "data"
        as_user = ("--user=root",) if os.getuid() == 0 else ()
        if not data.exists():
            subprocess.run(
                [
                    setup,
                    "--no-defaults",
                    f"--datadir={data}",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    *as_user,
                ],
                check=True,
                capture_output=True,
            )
        port = find_free_port()
        with (folder / "server.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    server,
                    "--no-defaults",
                    f"--datadir={data}",
                    # A server that starts deletes what others keep in a folder that they share.
                    f"--tmpdir={folder}",
                    f"--socket={folder / 's'}",
                    f"--port={port}",
                    "--bind-address=127.0.0.1",
                    "--character-set-server=latin1",
                    *_AS_FAST_AS_IT_GOES,
                    *options,
                    *as_user,
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        started = cls(folder=folder, port=port, process=process)
        started._wait()
        return started

    def start_again(self) -> None:
        """Come back on the same port with the same data, after `stop` or a crash."""
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(self.process.args, stdout=log, stderr=subprocess.STDOUT)
        self._wait()

    def url(self, database: str) -> str:
        """The address of one of its databases; without TLS, which would take most of a connection's time."""
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{database}?ssl_disabled=true"

    def create_database(self, name: str) -> str:
        """Make an empty database and give its address; one of that name is dropped first."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")
            cursor.execute(f"CREATE DATABASE `{name}`")
        return self.url(name)

    def connect(self) -> pymysql.Connection:
        return pymysql.connect(host="127.0.0.1", port=self.port, user="root", ssl_disabled=True)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                self.connect().close()
            except pymysql.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    log = (self.folder / "server.log").read_text(errors="replace")
                    raise RuntimeError(f"mariadbd did not start:\n{log}") from None
                time.sleep(0.05)
            else:
                return


def copy_sqlite(source: Path, target: Path) -> Path:
    """Put a copy of a closed SQLite file in the place of another, whose own log goes."""
    for ending in ("", "-wal", "-shm"):
        Path(f"{target}{ending}").unlink(missing_ok=True)
    shutil.copyfile(source, target)
    return target


def migrate(*, database_url: str, instance_folder: Path) -> None:
    """Bring an empty database to the newest revision, as `flask db upgrade` does."""
    app = create_app(
        Settings.from_environment(
            {
                "DATABASE_URL": database_url,
                "INSTANCE_FOLDER": str(instance_folder),
                "SECRET_KEY": SECRET_KEY,
                "DEMO": "0",
            }
        )
    )
    with app.app_context():
        upgrade()
        db.engine.dispose()


def empty(database_url: str) -> None:
    """Delete every row but those of the migrations: the first clinic, and the two audit chains, as if new."""
    engine = create_engine(database_url)
    with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            if table.name == "audit_chain":
                connection.execute(table.delete())
                chains = {1: None, 2: FIRST_CLINIC_ID}
                for number, owner in chains.items():
                    connection.execute(
                        table.insert().values(
                            id=number, clinic_id=owner, last_sequence=0, last_hash=FIRST_HASH
                        )
                    )
            elif table.name == "clinic":
                connection.execute(table.delete().where(table.c.id != FIRST_CLINIC_ID))
                connection.execute(table.update().values(name="Clinic", time_zone="UTC", is_demo=False))
            else:
                connection.execute(table.delete())
    engine.dispose()
