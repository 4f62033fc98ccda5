"""What every table shares: constraint names, the column types all three databases keep alike, the public id."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, NoReturn, TypeVar

from sqlalchemy import BigInteger, Connection, Dialect, Enum, Integer, MetaData, Uuid, event
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapper, mapped_column, object_session
from sqlalchemy.types import DateTime, TypeDecorator

from melanoma_app.models.clock import clinic_clock


class Base(DeclarativeBase):
    """The declarative base; its naming convention lets migrations name every constraint."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


Model = TypeVar("Model", bound=Base)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time with microseconds; naive times are refused, for nobody knows what they mean."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """MySQL drops the microseconds unless told to keep six digits."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store the UTC clock reading."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored: use datetime.now(UTC)")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


def utc_now() -> datetime:
    """The present moment, aware, in UTC, as the clinic's clock says: see `clock.py`."""
    return clinic_clock.now()


def stored_enum(vocabulary: type[StrEnum], *, name: str = "") -> Enum:
    """A column type that keeps the member's value and lets the database refuse any other.

    Args:
        vocabulary: The words.
        name: Of the constraint, where a table has two columns of one vocabulary.
    """
    name = name or "".join(
        f"_{letter.lower()}" if letter.isupper() else letter for letter in vocabulary.__name__
    ).lstrip("_")
    return Enum(
        vocabulary,
        name=name,
        native_enum=False,
        create_constraint=True,
        validate_strings=True,
        length=32,
        values_callable=lambda members: [member.value for member in members],
    )


# SQLite only counts up by itself in a column declared INTEGER.
BigId = BigInteger().with_variant(Integer, "sqlite")
PrimaryKey = Annotated[int, mapped_column(BigId, primary_key=True)]
PublicId = Annotated[uuid.UUID, mapped_column(Uuid(native_uuid=False), unique=True, default=uuid.uuid4)]
"""Random, so that a URL tells neither how many records there are nor where the next one is."""


def append_only(message: str) -> Callable[[type[Model]], type[Model]]:
    """For a table whose rows are written once: a change or a deletion through the session raises `message`."""

    def refuse(mapper: Mapper[Any], connection: Connection, target: Any) -> NoReturn:
        raise RuntimeError(message)

    def refuse_change(mapper: Mapper[Any], connection: Connection, target: Any) -> None:
        # A row counts as dirty, too, when something was added to a collection of its that stands in another table.
        session = object_session(target)
        if session is None or session.is_modified(target, include_collections=False):
            refuse(mapper, connection, target)

    def guard(model: type[Model]) -> type[Model]:
        event.listen(model, "before_update", refuse_change)
        event.listen(model, "before_delete", refuse)
        return model

    return guard
