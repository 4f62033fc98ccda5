"""The clinic's clock: this machine's while it agrees with the database's, else the database's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from melanoma_app.models.clock import ClinicClock
from tests.databases import MariaDbServer

MOMENT = timedelta(seconds=10)
DAYS = timedelta(days=2)


@pytest.fixture
def connection(mariadb_server: MariaDbServer) -> Iterator[Any]:
    """Of a server whose time can be set, for this connection alone."""
    with mariadb_server.connect() as connection:
        yield connection


def set_time(connection: Any, ahead: timedelta) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET timestamp = %s", ((datetime.now(UTC) + ahead).timestamp(),))


@pytest.mark.parametrize(("ahead", "word"), [(DAYS, "behind"), (-DAYS, "ahead of")])
def test_time_is_the_databases_when_this_clock_is_wrong(
    connection: Any, ahead: timedelta, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ClinicClock()
    assert abs(clock.now() - datetime.now(UTC)) < MOMENT
    assert clock.is_due
    set_time(connection, ahead)

    clock.look(connection)
    clock.look(connection)

    assert abs(clock.now() - datetime.now(UTC) - ahead) < MOMENT
    (told,) = caplog.messages  # once
    assert f"s {word} that of the database" in told

    set_time(connection, timedelta())
    clock.look(connection)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)
    assert "agrees" in caplog.messages[-1]


def test_time_is_this_machines_when_the_database_differs_by_a_second(
    connection: Any, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ClinicClock()
    set_time(connection, timedelta(seconds=1))

    clock.look(connection)

    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=0.5)
    assert not clock.is_due
    assert caplog.messages == []


def test_time_goes_on_when_the_connection_is_broken(connection: Any) -> None:
    clock = ClinicClock()
    connection.close()

    clock.look(connection)

    assert abs(clock.now() - datetime.now(UTC)) < MOMENT
    connection.connect()
