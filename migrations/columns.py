"""Add columns to a filled table, and take them away: one statement on MySQL, which commits every DDL at once.

SQLite has no such statement, but keeps several in one transaction. There a check stands with its column: the copy of
the table that Alembic would make to add one cannot replace a table that others refer to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic import op


@dataclass(frozen=True, kw_only=True)
class NewColumn:
    """A column that may be empty.

    Args:
        name: Of the column.
        type: Of its values.
        check: Condition of a row; it may name columns added before this one.
        check_name: Of that constraint, in full.
    """

    name: str
    type: sa.types.TypeEngine[Any]
    check: str = ""
    check_name: str = ""

    @property
    def constraint(self) -> str:
        """The check in SQL; empty where there is none."""
        return f"CONSTRAINT {self.check_name} CHECK ({self.check})" if self.check else ""


def choice(name: str, table: str, *values: str) -> NewColumn:
    """A column that holds one of these words, as `stored_enum` does."""
    condition = "{} IN ({})".format(name, ", ".join(f"'{value}'" for value in values))
    return NewColumn(name=name, type=sa.String(length=32), check=condition, check_name=f"ck_{table}_{name}")


def add_columns(table: str, *columns: NewColumn) -> None:
    """Add columns with their checks."""
    dialect = op.get_bind().dialect
    described = [f"ADD COLUMN {one.name} {one.type.compile(dialect=dialect)}" for one in columns]
    if dialect.name == "sqlite":
        for one, words in zip(columns, described, strict=True):
            op.execute(f"ALTER TABLE {table} {words} {one.constraint}")
    else:
        checks = [f"ADD {one.constraint}" for one in columns if one.check]
        op.execute(f"ALTER TABLE {table} {', '.join([*described, *checks])}")


def drop_columns(table: str, *columns: NewColumn) -> None:
    """Take the columns away again, with their checks."""
    if op.get_bind().dialect.name == "sqlite":
        for one in reversed(columns):
            op.execute(f"ALTER TABLE {table} DROP COLUMN {one.name}")
    else:
        checks = [f"DROP CONSTRAINT {one.check_name}" for one in columns if one.check]
        op.execute(
            f"ALTER TABLE {table} {', '.join(checks + [f'DROP COLUMN {one.name}' for one in columns])}"
        )
