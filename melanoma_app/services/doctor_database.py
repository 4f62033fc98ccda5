"""The doctor's look at the database: reached, told how to keep texts and transactions, at this program's tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from melanoma_app.extensions import db
from melanoma_app.models import Base
from melanoma_app.services.doctor_findings import Finding, broken, look, well
from melanoma_app.services.migration_state import compare_revision

SKEW_TO_LOOK_AT_S: Final = 2
SKEW_BROKEN_S: Final = 60
OLDEST: Final = {"mysql": (8, 0), "mariadb": (10, 11)}
"""What the tests run on."""
NAMED_AT_MOST: Final = 5


def examine_database(*, migrations: Path) -> Iterator[Finding]:
    """Look at the database; what cannot be asked is left out when it is not reached.

    Args:
        migrations: The folder of this program's migrations.
    """
    part, where = "database", db.engine.url.render_as_string(hide_password=True)
    file = db.engine.url.database or ""
    if db.engine.dialect.name == "sqlite" and not Path(file).is_file():  # which looking would make
        yield broken(part, f"There is no file {file} yet. Make it: flask db upgrade, or start the app.")
        return
    try:
        connection = db.engine.connect()
    except DBAPIError as error:
        reason = str(error.orig.args[-1]) if error.orig and error.orig.args else "no reason given"
        yield broken(part, f"{where} cannot be used ({reason}). Start it, or correct DATABASE_URL.")
        return
    with connection:
        yield well(part, f"{where} answers.")
        if connection.dialect.name == "sqlite":
            yield _say_sqlite(connection)
        else:
            yield _say_version(connection)
            yield _say_isolation(connection)
            yield _say_texts(connection)
            yield _say_clock(connection)
        yield _say_migrations(connection, migrations)


def _say_sqlite(connection: Connection) -> Finding:
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    faults = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if faults:
        return broken(
            "SQLite",
            f"A row of {faults[0]} refers to one of {faults[2]} that is gone. Restore a backup: docs/backup.md.",
        )
    if mode != "wal":
        return look(
            "SQLite",
            f"It keeps its log as “{mode}”, so that readers wait for writers. Put the file on a local disk.",
        )
    return well("SQLite", "Readers do not wait for writers, and every row refers to one that is there.")


def _say_version(connection: Connection) -> Finding:
    dialect, version = connection.dialect, connection.dialect.server_version_info or (0,)
    kind = "mariadb" if getattr(dialect, "is_mariadb", False) else "mysql"
    told = ".".join(str(one) for one in version[:3])
    modes = str(connection.scalar(text("SELECT @@SESSION.sql_mode")))
    if tuple(version[:2]) < OLDEST[kind]:
        oldest = ".".join(str(one) for one in OLDEST[kind])
        return look("server", f"{kind} {told} is older than {oldest}, the oldest that is tested. Upgrade it.")
    if "STRICT_TRANS_TABLES" not in modes:
        return broken(
            "server",
            "It cuts what is too long without a word. Add STRICT_TRANS_TABLES to its sql_mode.",
        )
    return well("server", f"{kind} {told}, which refuses what it cannot keep whole.")


def _say_isolation(connection: Connection) -> Finding:
    level = connection.get_isolation_level()
    if level != "READ COMMITTED":
        return broken(
            "isolation", f"{level}, not READ COMMITTED: something between us and the database changes it."
        )
    return well("isolation", "READ COMMITTED.")


def _say_texts(connection: Connection) -> Finding:
    charset = connection.scalar(text("SELECT @@SESSION.character_set_connection"))
    narrow = connection.scalars(
        text(
            "SELECT DISTINCT table_name FROM information_schema.columns WHERE table_schema = DATABASE() "
            "AND character_set_name IS NOT NULL AND character_set_name <> 'utf8mb4' ORDER BY table_name"
        )
    ).all()
    ours = [name for name in narrow if name in Base.metadata.tables]
    if charset != "utf8mb4":
        return broken(
            "charset", f"The connection speaks {charset}, so that some names are lost: use utf8mb4."
        )
    if ours:
        return broken(
            "charset",
            f"These tables cannot keep every name: {_first(ours)}. Convert them: ALTER TABLE … CONVERT TO CHARACTER "
            "SET utf8mb4.",
        )
    return well("charset", "utf8mb4 everywhere, which takes every name.")


def _say_clock(connection: Connection) -> Finding:
    before = datetime.now(UTC)  # this machine's own: the clinic's is the database's, if they differ
    theirs: datetime | None = connection.scalar(text("SELECT UTC_TIMESTAMP(6)"))
    after = datetime.now(UTC)
    if theirs is None:
        return look("database's clock", "The database does not tell the time.")
    skew_s = abs((theirs.replace(tzinfo=UTC) - (before + (after - before) / 2)).total_seconds())
    return say_skew("database's clock", skew_s, "the database's machine")


def say_skew(part: str, skew_s: float, other: str) -> Finding:
    """Judge how far another clock is from ours.

    Args:
        part: What the line is called.
        skew_s: Seconds, whichever is ahead.
        other: Whose clock it is.
    """
    words = f"It differs from ours by {skew_s:.1f} s"
    advice = f"Let NTP set the clocks of this machine and of {other} (timedatectl)."
    if skew_s >= SKEW_BROKEN_S:
        return broken(part, f"{words}, so one of them is wrong. {advice}")
    if skew_s >= SKEW_TO_LOOK_AT_S:
        return look(part, f"{words}. {advice}")
    return well(part, f"{words}.")


def _say_migrations(connection: Connection, migrations: Path) -> Finding:
    revision = None
    if inspect(connection).has_table("alembic_version"):
        revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    state = compare_revision(revision, migrations=migrations)
    if state.is_newer:
        return look(
            "migrations",
            f"The database is at {revision}, which this program does not know: a newer one upgraded it. Install that.",
        )
    if state.missing:
        return broken(
            "migrations",
            f"{len(state.missing)} missing: {_first(state.missing)}. Back up, then run: flask db upgrade",
        )
    return well("migrations", f"At the newest, {revision}.")


def _first(names: tuple[str, ...] | list[str]) -> str:
    rest = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {rest} more" if rest > 0 else "")
