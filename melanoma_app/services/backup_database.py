"""The database's part of a backup, written and read by the engine's own tools: sqlite3, mariadb-dump, mysqldump."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from sqlalchemy import URL, MetaData, inspect, select, text

from melanoma_app.errors import UnavailableError
from melanoma_app.extensions import db
from melanoma_app.models import AuditChain, Base, Clinic
from melanoma_app.services.audit_grants import REVISION_TABLE

DUMP_NAMES: Final = {"sqlite": "database.sqlite3", "mysql": "database.sql"}
"""What the database is called in an archive, by the engine; MariaDB counts as MySQL."""
_DUMPERS: Final = ("mariadb-dump", "mysqldump")
_CLIENTS: Final = ("mariadb", "mysql")
_TEXT: Final = re.compile(rb"'(?:[^'\\]|\\.)*'", re.DOTALL)
_LOG_POSITION: Final = re.compile(rb"-- CHANGE .*_LOG_FILE='([^']+)', .*_LOG_POS=(\d+);")
_HEAD_LINES: Final = 60
"""Where the dump says at which place of the binary log it stands."""


@dataclass(frozen=True, kw_only=True)
class LogPosition:
    """A place in the server's binary log."""

    file: str
    position: int


def engine_name() -> str:
    """`sqlite` or `mysql`."""
    return db.engine.url.get_backend_name()


def read_revision() -> str:
    """The schema's; empty in a database without tables."""
    if not inspect(db.engine).has_table(REVISION_TABLE):
        return ""
    revision = db.session.scalar(text(f"SELECT version_num FROM {REVISION_TABLE}"))  # noqa: S608 # nosec B608
    db.session.commit()
    return revision or ""


def estimate_size() -> int:
    """About how many bytes a dump takes."""
    if engine_name() == "sqlite":
        path = Path(db.engine.url.database or "")
        return sum(one.stat().st_size for one in (path, Path(f"{path}-wal")) if one.exists())
    size = db.session.scalar(
        text(
            "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE()"
        )
    )
    db.session.commit()
    return int(size or 0)


def dump_database(*, target: Path, notes_log_position: bool = False) -> None:
    """Write the database as it stands at one moment; nobody is kept waiting.

    Args:
        target: The file, which must not exist.
        notes_log_position: Have the dump say where the server's binary log stands at that moment.

    Raises:
        UnavailableError: The tool is missing or has failed, or the disk is full.
    """
    if engine_name() == "sqlite":
        try:
            with closing(sqlite3.connect(db.engine.url.database or "")) as connection:
                # Not a copy of the pages: what was deleted stays behind.
                connection.execute("VACUUM INTO ?", (str(target),))
        except sqlite3.Error as error:
            raise UnavailableError(f"The database could not be copied ({error}).") from error
        return
    with _option_file() as options, target.open("xb") as output:
        if notes_log_position:
            with options.open("a") as file:  # each program passes over the name that it does not know
                file.write("[mysqldump]\nloose-source-data=2\nloose-master-data=2\n")
        _run(
            _DUMPERS,
            options,
            "--single-transaction",
            "--quick",
            "--hex-blob",
            "--skip-triggers",
            # A restore needs no right to lock tables then.
            "--skip-add-locks",
            "--no-tablespaces",
            "--default-character-set=utf8mb4",
            output=output,
        )
    with target.open("rb") as file:
        file.seek(max(0, target.stat().st_size - 200))
        if b"-- Dump completed" not in file.read():
            raise UnavailableError("The dump of the database ends too early. Try again.")


def count_dumped_rows(dump: Path) -> dict[str, int]:
    """The rows of every table in a dump, counted in the dump itself: the database has moved on meanwhile."""
    if engine_name() == "sqlite":
        with closing(sqlite3.connect(f"file:{dump}?mode=ro", uri=True)) as connection:
            names = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
            return {
                name: connection.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0]  # noqa: S608 # nosec B608
                for (name,) in names.fetchall()
            }
    counts: dict[str, int] = {}
    table = ""
    with dump.open("rb") as file:
        for line in file:
            if line.startswith((b"CREATE TABLE `", b"INSERT INTO `")):
                table = line.split(b"`", 2)[1].decode()
                counts.setdefault(table, 0)
            if line.startswith((b"INSERT INTO `", b"(")):
                # The dump writes no line break within a value. Outside of texts there is one bracket a row.
                counts[table] += _TEXT.sub(b"", line).count(b"(")
    return counts


def find_log_position(dump: Path) -> LogPosition | None:
    """Where the binary log stood when the dump was made, if it says so."""
    if engine_name() == "sqlite":
        return None
    with dump.open("rb") as file:
        for line, _ in zip(file, range(_HEAD_LINES), strict=False):
            if found := _LOG_POSITION.match(line):
                return LogPosition(file=found[1].decode(), position=int(found[2]))
    return None


def count_rows() -> dict[str, int]:
    """The rows of every table that the database has now, known to this program or not."""
    counts = {}
    for name in sorted(inspect(db.engine).get_table_names()):
        table = db.engine.dialect.identifier_preparer.quote(name)
        counts[name] = db.session.scalar(text(f"SELECT COUNT(*) FROM {table}"))  # noqa: S608 # nosec B608
    db.session.commit()
    return counts


def describe_records() -> Sequence[str]:
    """Whose records the database holds: the names of its clinics; none where nobody has worked with it yet.

    What the migrations put there (the first clinic, and chains without an entry) counts as nothing.
    """
    counts = count_rows()
    own = {Clinic.__tablename__, AuditChain.__tablename__, REVISION_TABLE}
    chain = AuditChain.__tablename__
    is_used = any(count for name, count in counts.items() if name not in own) or (
        bool(counts.get(chain))
        and bool(db.session.scalar(select(AuditChain.id).where(AuditChain.last_sequence > 0).limit(1)))
    )
    if not is_used:
        db.session.commit()
        return []
    names: Sequence[str] = []
    if counts.get(Clinic.__tablename__):
        # By hand: the table may be of an older schema.
        names = db.session.scalars(text("SELECT name FROM clinic ORDER BY id")).all()
    db.session.commit()
    return names or [Path(db.engine.url.database or "").name]


def load_dump(dump: Path) -> None:
    """Replace every table of ours by those of a dump.

    Raises:
        UnavailableError: It could not be loaded. A SQLite database is then what it was; MySQL is left with a part.
    """
    db.session.remove()
    db.engine.dispose()
    if engine_name() == "sqlite":
        try:
            with (
                closing(sqlite3.connect(f"file:{dump}?mode=ro", uri=True)) as source,
                closing(sqlite3.connect(db.engine.url.database or "", timeout=30)) as target,
            ):
                source.execute("PRAGMA trusted_schema = OFF")
                if source.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
                    raise UnavailableError("The database in the archive is damaged inside. Use an older one.")
                source.backup(target)
        except sqlite3.Error as error:
            raise UnavailableError(f"The database could not be loaded ({error}).") from error
        return
    _drop_tables()
    with _option_file() as options, dump.open("rb") as source_file:
        # Nothing in a dump may reach a shell or a file of this machine: no client command is obeyed.
        _run(_CLIENTS, options, "--binary-mode", "--batch", source=source_file)


def _drop_tables() -> None:
    """Drop what an archive of an older schema does not know of, too: an upgrade makes it anew."""
    ours = {*Base.metadata.tables, REVISION_TABLE}
    found = MetaData()
    with db.engine.begin() as connection:
        connection.execute(text("SET FOREIGN_KEY_CHECKS = 0"))
        found.reflect(connection, only=lambda name, _: name in ours)
        for table in found.tables.values():
            table.drop(connection)
        connection.execute(text("SET FOREIGN_KEY_CHECKS = 1"))


def _run(
    names: Sequence[str],
    options: Path,
    *arguments: str,
    output: IO[bytes] | None = None,
    source: IO[bytes] | None = None,
) -> None:
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        raise UnavailableError(
            f"Neither {' nor '.join(names)} is installed here. Install mariadb-client (or mysql-client)."
        )
    done = subprocess.run(  # noqa: S603 # nosec B603 # arguments of this file, and the database's name
        [program, f"--defaults-file={options}", *arguments, db.engine.url.database or ""],
        stdin=source or subprocess.DEVNULL,
        stdout=output or subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
        raise UnavailableError(f"{Path(program).name} has failed: {lines[-1]}")


@contextmanager
def _option_file() -> Iterator[Path]:
    """A file with address, account and password, for as long as a tool runs: arguments can be seen by everybody."""
    with tempfile.TemporaryDirectory(prefix="clinic-") as folder:  # readable by its owner alone
        path = Path(folder) / "client.cnf"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(_describe_client(db.engine.url))
        yield path


def _describe_client(url: URL) -> str:
    query: Mapping[str, str] = {name: str(value) for name, value in url.query.items()}
    values = {"host": url.host or "localhost", "port": str(url.port or 3306), "user": url.username or ""}
    if url.password:
        values["password"] = str(url.password)
    if "unix_socket" in query:
        values["socket"] = query["unix_socket"]
    else:
        values["protocol"] = "tcp"
    values |= {
        name.replace("_", "-"): query[name] for name in ("ssl_ca", "ssl_cert", "ssl_key") if name in query
    }
    lines = [f"{name}={_quote(value)}" for name, value in values.items()]
    if query.get("ssl_disabled", "").lower() in ("true", "1"):
        lines += ["loose-skip-ssl", "loose-ssl-mode=DISABLED"]
    # Options of a dump's own reader; "loose" ones that a program does not know are passed over.
    lines += ["[mysqldump]", "loose-set-gtid-purged=OFF", "loose-column-statistics=0"]
    lines += ["[mysql]", "loose-sandbox", "loose-skip-system-command", "loose-skip-local-infile"]
    return "\n".join(["[client]", *lines]) + "\n"


def _quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
