"""How Alembic reaches the app's database and tables; run by `flask db …`. One upgrade of a database at a time."""

import fcntl
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection, text

from melanoma_app.extensions import db
from melanoma_app.models import Base

WAIT_S = context.config.attributes.get("wait_s", 120)
"""How long to wait for another upgrade: most end in seconds, and this one then finds nothing left to do."""
_RETRY_S = 0.1


def run_migrations() -> None:
    """Upgrade or downgrade through the app's own engine, one transaction a migration."""
    # What there is to do is read under the lock: another upgrade may have done it while this one waited.
    with _only_one(), db.engine.connect() as connection, _tables_may_be_copied(connection):
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            transaction_per_migration=True,
            # SQLite cannot alter a column or drop a constraint: Alembic then copies the table.
            render_as_batch=connection.dialect.name == "sqlite",
            on_version_apply=_check_references,
        )
        with context.begin_transaction():
            context.run_migrations()


@contextmanager
def _tables_may_be_copied(connection: Connection) -> Iterator[None]:
    """Let SQLite drop a table that others refer to, since a copy takes its name: https://sqlite.org/lang_altertable.html.

    Only between transactions can that be switched.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        connection.rollback()
        driver.execute("PRAGMA foreign_keys = ON")


def _check_references(
    ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]
) -> None:
    """Within each migration of SQLite: one that leaves a row behind whose other is gone is taken back as a whole.

    Raises:
        SystemExit: There is such a row.
    """
    if ctx.connection is None or ctx.dialect.name != "sqlite":
        return
    if fault := ctx.connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise SystemExit(
            f"Migration {step.up_revision_id} was taken back: a row of {fault[0]} refers to one of {fault[2]} that is "
            "gone. Run flask doctor; restore a backup if it was so before."
        )


@contextmanager
def _only_one() -> Iterator[None]:
    """Keep out other upgrades of this database; the lock goes with the process or connection that holds it.

    Raises:
        SystemExit: Another upgrade did not end in time.
    """
    if db.engine.dialect.name == "sqlite":
        with _locked_file(db.engine.url.database):
            yield
    else:
        with _locked_name(f"melanoma.upgrade.{db.engine.url.database}"[:64]):
            yield


@contextmanager
def _locked_file(database: str | None) -> Iterator[None]:
    if not database or database == ":memory:":
        yield  # nobody else can reach it
        return
    # Beside the database, never itself: closing a second handle of that would drop SQLite's own locks.
    with Path(f"{database}.upgrading").open("a") as lock:
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    _give_up()
                time.sleep(_RETRY_S)
        yield


@contextmanager
def _locked_name(name: str) -> Iterator[None]:
    """A lock of the server's, on a connection of its own: MySQL ends a transaction, not a lock, with each DDL step."""
    with db.engine.connect() as connection:
        if not connection.scalar(text("SELECT GET_LOCK(:name, :wait)"), {"name": name, "wait": WAIT_S}):
            _give_up()
        try:
            yield
        finally:
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name})


def _give_up() -> None:
    raise SystemExit(
        "Another upgrade of this database is running. Nothing was changed: wait until it has ended, then try again."
    )


if context.is_offline_mode():
    raise SystemExit("Migrations need the database: run them without --sql.")
run_migrations()
