"""What a new database connection is told first, and the options each engine is opened with."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event, make_url

from melanoma_app.models.clock import clinic_clock

BUSY_TIMEOUT_S = 30
"""How long a SQLite writer waits for another before it gives up."""

LEAST_POOL_SIZE = 5
"""SQLAlchemy's own."""


def engine_options(database_url: str, *, threads: int = 1) -> dict[str, Any]:
    """The options for `create_engine`.

    MySQL and MariaDB run at READ COMMITTED, so that a row read under lock is the newest one and gap locks do not
    make writers of unrelated rows wait; connections are tested before use, so that a restarted server is noticed.
    A failed statement's message leaves its values out: they are names and birth dates, and messages are logged.

    Args:
        database_url: Where the database is.
        threads: That use the engine at once. Each finds a connection: who waits for one in vain has a fault, not work.
    """
    if make_url(database_url).get_backend_name() == "sqlite":
        return {
            "hide_parameters": True,
            "pool_size": max(LEAST_POOL_SIZE, threads),
            "connect_args": {"timeout": BUSY_TIMEOUT_S},
        }
    return {
        "hide_parameters": True,
        "isolation_level": "READ COMMITTED",
        "pool_pre_ping": True,
        "pool_recycle": 1800,
        "pool_size": max(LEAST_POOL_SIZE, threads),
        "connect_args": {"connect_timeout": 5, "charset": "utf8mb4"},
    }


@event.listens_for(Engine, "connect")
def _prepare_connection(dbapi_connection: Any, connection_record: Any) -> None:
    if type(dbapi_connection).__module__ != "sqlite3":
        return
    # The driver's own transaction handling is switched off for the explicit BEGIN below.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    # What is deleted is overwritten with zeros, else an erased patient stays readable in the file.
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()


@event.listens_for(Engine, "checkout")
def _compare_clocks(dbapi_connection: Any, connection_record: Any, connection_proxy: Any) -> None:
    """Before a connection is used, once a minute."""
    if type(dbapi_connection).__module__.startswith("pymysql") and clinic_clock.is_due:
        clinic_clock.look(dbapi_connection)


def empty_write_ahead_log(engine: Engine) -> None:
    """Take a SQLite file's log of earlier pages into the file and cut it off, so that nothing deleted stays in it.

    Not within a transaction. While somebody reads, the log stays until the next time; other databases have none.
    """
    if engine.dialect.name != "sqlite":
        return
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


@event.listens_for(Engine, "begin")
def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once on SQLite when another has written between;
    # nearly every request writes at least its audit event, so each takes its turn from the start.
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
