"""What all factories share: a session of their own, which commits every record at once."""

from __future__ import annotations

from typing import Generic, TypeVar

from factory.alchemy import SQLAlchemyModelFactory
from sqlalchemy.orm import scoped_session, sessionmaker

from tests.records import end_app_transaction

T = TypeVar("T")

# Apart from the app's: a request would otherwise wait for a transaction that the test has left open.
session = scoped_session(sessionmaker(expire_on_commit=False))


class RecordFactory(SQLAlchemyModelFactory, Generic[T]):
    """Makes a record and commits it."""

    class Meta:
        abstract = True
        sqlalchemy_session = session
        sqlalchemy_session_persistence = "commit"

    def __new__(cls, *args: object, **values: object) -> T:  # type: ignore[misc]  # what a call gives
        end_app_transaction()
        return cls.create(*args, **values)
