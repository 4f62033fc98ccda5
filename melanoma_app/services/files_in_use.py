"""Which keys of the image store the database refers to: whatever removes a file asks here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, or_, select

from melanoma_app.extensions import db
from melanoma_app.models import LesionImage, StagedPhotograph

KEYS_A_QUERY: Final = 500
_KEYS: Final[tuple[tuple[Any, ...], ...]] = (
    (LesionImage.storage_key, LesionImage.thumbnail_key),
    (StagedPhotograph.storage_key,),
)
"""By table."""


def find_keys_in_use(keys: Sequence[str]) -> set[str]:
    """Those of some keys that a row refers to."""
    used: set[str] = set()
    for start in range(0, len(keys), KEYS_A_QUERY):
        some = keys[start : start + KEYS_A_QUERY]
        used |= _read(lambda column, some=some: column.in_(some))  # type: ignore[misc]
    return used.intersection(keys)


def find_keys_beginning(prefix: str) -> set[str]:
    """Every key that a row refers to and that begins so; others of the same rows may be among them."""
    return _read(lambda column: column.startswith(prefix, autoescape=True))


def _read(condition: Callable[[Any], ColumnElement[bool]]) -> set[str]:
    return {
        key
        for columns in _KEYS
        for row in db.session.execute(select(*columns).where(or_(*map(condition, columns))))
        for key in row
        if key
    }
