"""What a database's tables take, and what of it a program that knows only the older tables would stumble over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, inspect
from sqlalchemy.types import BigInteger, Integer, String, TypeEngine


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as the database describes it.

    Args:
        columns: By name, as SQLAlchemy's inspector tells of them.
        unique: What must differ from row to row: the columns of each such rule.
        foreign: The columns that refer to another table.
        checks: The text of each named condition.
    """

    columns: dict[str, Any]
    unique: frozenset[tuple[str, ...]]
    foreign: frozenset[tuple[str, ...]]
    checks: dict[str, str]


Schema = dict[str, Table]


def read_schema(engine: Engine) -> Schema:
    """Every table but Alembic's own."""
    inspector = inspect(engine)
    return {
        name: Table(
            columns={one["name"]: one for one in inspector.get_columns(name)},
            unique=frozenset(
                tuple(sorted(str(column) for column in one["column_names"]))
                for one in (
                    *inspector.get_unique_constraints(name),
                    *(one for one in inspector.get_indexes(name) if one["unique"]),
                )
            ),
            foreign=frozenset(tuple(one["constrained_columns"]) for one in inspector.get_foreign_keys(name)),
            checks={str(one["name"]): str(one["sqltext"]) for one in inspector.get_check_constraints(name)},
        )
        for name in inspector.get_table_names()
        if name != "alembic_version"
    }


def find_breaks(before: Schema, after: Schema) -> Iterator[str]:
    """What a program written for the tables before cannot read or write any more in those after."""
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            yield f"{name}: the table is dropped or renamed"
            continue
        for problem in _find_column_breaks(old, new):
            yield f"{name}.{problem}"
        for problem in (*_find_key_breaks(old, new), *_find_rule_breaks(old, new)):
            yield f"{name}: {problem}"


def _find_key_breaks(old: Table, new: Table) -> Iterator[str]:
    known = set(old.columns)
    for columns in new.unique - old.unique:
        if known >= set(columns):
            yield f"{', '.join(columns)} must now differ from row to row"
    for columns in new.foreign - old.foreign:
        if known >= set(columns):
            yield f"{', '.join(columns)} must now be found in another table"


def _find_rule_breaks(old: Table, new: Table) -> Iterator[str]:
    for check, condition in new.checks.items():
        if check not in old.checks:
            # The rule of a new column lets pass what leaves it empty.
            if any(re.search(rf"\b{re.escape(column)}\b", condition) for column in old.columns):
                yield f"there is a new rule, {check}"
        elif lost := _words(old.checks[check]) - _words(condition):
            yield f"{check} no longer takes {', '.join(sorted(lost))}"
        elif not _words(condition) and condition != old.checks[check]:
            yield f"the rule {check} is another"


def _find_column_breaks(old: Table, new: Table) -> Iterator[str]:
    for name, column in old.columns.items():
        now = new.columns.get(name)
        if now is None:
            yield f"{name} is dropped or renamed"
            continue
        if column["nullable"] and not now["nullable"]:
            yield f"{name} may no longer be empty"
        if column["default"] is not None and now["default"] is None and not now["nullable"]:
            yield f"{name} has lost its default"
        if not _is_wide_enough(column["type"], now["type"]):
            yield f"{name} is narrower: {now['type']!r} after {column['type']!r}"
    for name in new.columns.keys() - old.columns.keys():
        if not new.columns[name]["nullable"] and new.columns[name]["default"] is None:
            yield f"{name} must be filled in, which the older program does not do"


def _is_wide_enough(old: TypeEngine[Any], new: TypeEngine[Any]) -> bool:
    if repr(old) == repr(new):
        return True
    if isinstance(old, String) and type(old) is type(new) and old.collation == new.collation:  # type: ignore[attr-defined]
        return new.length is None or (old.length is not None and new.length >= old.length)  # type: ignore[attr-defined]
    return isinstance(old, Integer) and isinstance(new, BigInteger)


def _words(condition: str) -> set[str]:
    """The vocabulary that a condition lists."""
    return set(re.findall(r"'([^']*)'", condition))
