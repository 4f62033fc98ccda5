"""Everything that is on record, to compare what was with what is: a refused request changes none of it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select

from melanoma_app.models import Base
from tests.records import Records, end_app_transaction

KEPT_OF_ANY_REQUEST: Final = {"audit_event", "audit_chain", "user_session"}
"""What even a refused request may write: that it was made."""
MARKS_OF_USE: Final = {"last_used_at", "last_seen_at"}


def take_stock(records: Records) -> dict[str, list[str]]:
    """The rows of every table, as text and sorted, and the stored files."""
    end_app_transaction()
    stock = {"files": [path.name for path in records.files()]}
    with records.engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            if table.name not in KEPT_OF_ANY_REQUEST:
                columns = [column for column in table.columns if column.name not in MARKS_OF_USE]
                rows = connection.execute(select(*columns)).all()
                stock[table.name] = sorted(str(tuple(row)) for row in rows)
    return stock
