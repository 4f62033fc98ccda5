"""23: CR/LF in log lines."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import AuditEvent, User
from tests.browsing import Browser
from tests.factories import PASSWORD
from tests.records import Records

FORGED = "x\r\n2026-11-21 ERROR forged\u2028line\x1b[2J\x00\x85"
COLUMNS = {"at", "level", "logger", "request_id", "message", "traceback"}


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """An app that answers failures as when it serves."""
    app.testing = False
    return app.test_client()


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page breaks, and its exception repeats what the visitor sent."""

    def break_down(*, identifier: str, actor: object) -> None:
        raise RuntimeError(f"there is no {identifier}")

    monkeypatch.setattr("melanoma_app.dashboard.views.read_model", break_down)


def lines_of(text: str) -> list[dict[str, str]]:
    """The log's lines but those of requests, each of which must be whole and of our making."""
    lines = [json.loads(line) for line in text.splitlines()]
    requests = [line for line in lines if line["logger"] == "melanoma_app.request"]
    assert all("forged" not in json.dumps(line) for line in requests)
    others = [line for line in lines if line not in requests]
    assert all(line.keys() <= COLUMNS for line in others)
    return others


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)  # nothing here is the database's to say
def test_log_has_one_line_a_message_when_path_and_exception_hold_line_ends(
    client: FlaskClient,
    sign_in: Callable[[User], Browser],
    user: User,
    fail: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    browser = sign_in(user)
    browser.client.application.testing = False
    capsys.readouterr()

    response = browser.client.get(
        f"/models/{quote(FORGED)}", headers={"X-Request-Id": "forged", "User-Agent": "x\tERROR"}
    )

    assert response.status_code == 500
    (line,) = lines_of(capsys.readouterr().err)
    assert FORGED[:5] in line["message"]
    assert FORGED[:5] in line["traceback"]
    assert line["request_id"] == response.headers["X-Request-Id"] != "forged"


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_audit_and_log_stay_whole_when_every_field_holds_line_ends(
    client: FlaskClient, user: User, records: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    browser = Browser(client)
    token = browser.open("/sign-in").form().find("input", attrs={"name": "csrf_token"})["value"]
    for username in (FORGED, user.username):
        response = client.post(
            "/sign-in",
            data={"username": username, "password": PASSWORD, "csrf_token": token, FORGED: FORGED},
            query_string={"next": FORGED},
            environ_base={"REMOTE_ADDR": FORGED + "y" * 100},
        )
        assert response.status_code < 500

    lines_of(capsys.readouterr().err)
    entries = records.all(AuditEvent)
    assert entries
    for entry in entries:
        for text in (entry.actor_name, entry.origin, entry.request_id):
            assert len(text) <= 120
            assert not [letter for letter in text if unicodedata.category(letter) in ("Cc", "Zl", "Zp")]
    assert "\n" not in response.headers["Location"]


@pytest.mark.parametrize("name", ["ada\nroot", "ada\r\n", "\x1b[2Jada", "ada\u2028"])
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_account_is_not_made_when_its_name_holds_a_control_character(
    app: Flask, records: Records, name: str
) -> None:
    arguments = ("users", "create", name, "--role", "nurse", "--password", PASSWORD)

    result = app.test_cli_runner().invoke(args=arguments)

    assert result.exit_code == 1 or records.one(User).username == "ada"
