"""Lists that page by key: a page costs the same however far down the list it is."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, and_, or_
from sqlalchemy.orm import InstrumentedAttribute

from melanoma_app.errors import InvalidInputError

PAGE_SIZE: Final = 25
MAXIMUM_PAGE_SIZE: Final = 100
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """Some rows of a list, newest first, and the cursor of the next ones (None at the end)."""

    items: Sequence[T]
    next_cursor: str | None

    def map(self, function: Callable[[T], U]) -> Page[U]:
        """The same page with every item replaced."""
        return Page(items=[function(item) for item in self.items], next_cursor=self.next_cursor)


def newest_first(
    query: Select[Any],
    *,
    time: InstrumentedAttribute[datetime],
    key: InstrumentedAttribute[int],
    cursor: str | None,
    size: int,
) -> Select[Any]:
    """Order by time and key, begin behind the cursor, and fetch one row more than the page holds.

    The condition is written so that MariaDB and SQLite both walk the index instead of scanning it.

    Raises:
        InvalidInputError: The cursor is not one of ours.
    """
    if cursor:
        at, last_id = _read_cursor(cursor)
        query = query.where(_behind(time, key, at, last_id))
    return query.order_by(time.desc(), key.desc()).limit(size + 1)


def newest_rows(
    rows: Select[Any],
    *,
    wanted: Select[Any],
    time: InstrumentedAttribute[datetime],
    key: InstrumentedAttribute[int],
    cursor: str | None,
    size: int,
) -> Select[Any]:
    """The rows of a page, with one more; their keys are found first, so that these are read from an index alone.

    For whole rows MariaDB would begin with another table, or walk from the newest row on to a page far down.

    Args:
        rows: The query of the rows, of the table that `time` and `key` are columns of, and of what is loaded with them.
        wanted: Which rows of that table the list has.
        time: What the list is ordered by.
        key: Decides between two of the same time.
        cursor: Where the page before ended.
        size: Rows a page.

    Raises:
        InvalidInputError: The cursor is not one of ours.
    """
    keys = newest_first(
        wanted.with_only_columns(key.label("page_key")), time=time, key=key, cursor=cursor, size=size
    ).subquery()
    return rows.join(keys, keys.c.page_key == key).order_by(time.desc(), key.desc())


def cut_page(rows: Sequence[T], *, size: int, position: Callable[[T], tuple[datetime, int]]) -> Page[T]:
    """Make a page of what `newest_first` fetched."""
    items = rows[:size]
    has_more = len(rows) > size
    return Page(items=items, next_cursor=_write_cursor(*position(items[-1])) if has_more else None)


def _behind(
    time: InstrumentedAttribute[datetime], key: InstrumentedAttribute[int], at: datetime, last_id: int
) -> ColumnElement[bool]:
    return and_(time <= at, or_(time < at, key < last_id))


def _write_cursor(at: datetime, last_id: int) -> str:
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{last_id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, int]:
    try:
        at, _, last_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition("|")
        moment, number = datetime.fromisoformat(at), int(last_id)
        if moment.tzinfo is None or not 0 <= number < 2**63:
            raise ValueError(cursor)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError, binascii.Error) as error:
        raise InvalidInputError(
            "The cursor is not one that this list gave out. Start again without it.",
            fields={"cursor": ["Not a cursor of this list."]},
        ) from error
    return moment, number
