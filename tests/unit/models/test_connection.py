"""What a database connection is opened with."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from melanoma_app.models.connection import engine_options


def test_values_stay_out_of_the_message_when_a_statement_fails(empty_database_url: str) -> None:
    engine = create_engine(empty_database_url, **engine_options(empty_database_url))
    with engine.connect() as connection, pytest.raises(DBAPIError) as failure:
        connection.execute(text("INSERT INTO nowhere (name) VALUES (:name)"), {"name": "Garcia"})
    engine.dispose()
    assert "INSERT INTO nowhere" in str(failure.value)
    assert "Garcia" not in str(failure.value)
