"""Reading a few rows outside the session, for what watches the app: it waits for no writer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, Select


@contextmanager
def reading(engine: Engine) -> Iterator[PlainReader]:
    """A connection of the pool, past SQLAlchemy's transactions: on SQLite one begins by waiting for whoever writes.

    What fails within is the driver's own error (`engine.dialect.loaded_dbapi.Error`).
    """
    connection = engine.raw_connection()
    try:
        yield PlainReader(engine, connection.cursor())
    finally:
        connection.close()


class PlainReader:
    """Asks the database for plain values."""

    def __init__(self, engine: Engine, cursor: Any) -> None:
        self._engine, self._cursor = engine, cursor

    def rows(self, statement: Select[*tuple[Any, ...]] | str) -> list[tuple[Any, ...]]:
        """What a statement finds: texts and numbers as the driver gives them, no enums and no times."""
        if not isinstance(statement, str):
            statement = str(statement.compile(self._engine, compile_kwargs={"literal_binds": True}))
        self._cursor.execute(statement)
        return list(self._cursor.fetchall())
