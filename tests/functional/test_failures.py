"""A part fails: the database, the model, the disk. The person is told, nothing is half kept, the rest works."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.api import error_of
from tests.browsing import Browser
from tests.databases import find_free_port
from tests.factories import PASSWORD
from tests.records import Records


class TestDatabaseGone:
    @pytest.fixture
    def client(self, make_app: Callable[..., Flask]) -> FlaskClient:
        """An app whose database server is not there."""
        app = make_app(DATABASE_URL=f"mysql+pymysql://clinic:hunter2@127.0.0.1:{find_free_port()}/clinic")
        app.testing = False  # as when it serves
        return app.test_client()

    @pytest.fixture
    def database_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'unused.sqlite3'}"

    def test_api_says_so_when_called(self, client: FlaskClient) -> None:
        response = client.get("/api/v1/patients", headers={"Authorization": "Bearer x"})

        error_of(response, HTTPStatus.SERVICE_UNAVAILABLE)
        assert response.headers["Retry-After"].isdigit()
        assert not {"Traceback", "pymysql", "hunter2"} & set(response.get_data(as_text=True).split())

    def test_page_says_so_when_somebody_signs_in(self, client: FlaskClient) -> None:
        browser = Browser(client)

        page = browser.sign_in("ada", PASSWORD)

        assert page.status == 503
        assert "database does not answer" in page.text
        assert "hunter2" not in page.response.get_data(as_text=True)

    def test_page_says_so_when_a_session_is_there(self, client: FlaskClient) -> None:
        with client.session_transaction() as session:
            session["token"] = "of-a-session"

        page = Browser(client).open("/")

        assert page.status == 503
        assert "Traceback" not in page.text


@pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)  # a file drops nobody
def test_requests_go_on_when_the_server_has_dropped_the_connections(
    client: FlaskClient, headers: dict[str, str], records: Records
) -> None:
    assert client.get("/api/v1/patients", headers=headers).status_code == 200
    with records.engine.connect() as connection:
        own = connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar_one()
        others = [
            row[0] for row in connection.exec_driver_sql("SHOW PROCESSLIST") if row[0] != own and row[3]
        ]
        for number in others:
            connection.exec_driver_sql(f"KILL {number}")

    assert others
    assert client.get("/api/v1/patients", headers=headers).status_code == 200
