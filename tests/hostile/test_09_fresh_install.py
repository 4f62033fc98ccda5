"""Hostile list 9: fresh install without secrets refuses to start in production."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from flask import Flask

from config import PROJECT_ROOT, ConfigurationError, Environment, Settings
from melanoma_app.models import ApiToken, Clinic, User
from melanoma_app.models.vocabulary import Role
from melanoma_app.serving import prepare
from tests.browsing import Browser
from tests.databases import find_free_port
from tests.factories import PASSWORD, UserFactory
from tests.functional.test_borders import IN_GROUP, PAGES
from tests.records import Records

SECRET = "0123456789abcdef0123456789abcdef"
DATABASE = "mysql+pymysql://clinic:pw@db/clinic"
PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": SECRET, "DATABASE_URL": DATABASE}
START_TIMEOUT_S = 60


def named_problems(environ: dict[str, str]) -> set[str]:
    """The variables that a refusal names, one a line."""
    with pytest.raises(ConfigurationError) as refusal:
        Settings.from_environment(environ)
    return {line.strip().partition(":")[0] for line in str(refusal.value).splitlines()[1:]}


@pytest.mark.parametrize(
    "command", [("-m", "flask", "serve"), ("-c", "import wsgi")], ids=["flask serve", "gunicorn wsgi:app"]
)
def test_nothing_starts_when_production_has_no_secrets(tmp_path: Path, command: tuple[str, ...]) -> None:
    known = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    folder = tmp_path / "instance"
    done = subprocess.run(
        [sys.executable, *command],
        cwd=PROJECT_ROOT,
        env=known | {"ENVIRONMENT": "production", "INSTANCE_FOLDER": str(folder)},
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
    )

    assert done.returncode != 0
    assert "SECRET_KEY: is missing" in done.stderr
    assert "DATABASE_URL: is missing" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not folder.exists()  # no key, no database, no account


@pytest.mark.parametrize("missing", [("SECRET_KEY",), ("DATABASE_URL",), ("SECRET_KEY", "DATABASE_URL")])
def test_secrets_are_asked_for_when_production_lacks_them(missing: tuple[str, ...]) -> None:
    environ = {name: value for name, value in PRODUCTION.items() if name not in missing}

    assert named_problems(environ) == set(missing)


@pytest.mark.parametrize("key", ["   ", "short", "x" * 31])
def test_secret_is_asked_for_when_it_is_blank_or_short_in_production(key: str) -> None:
    assert named_problems({**PRODUCTION, "SECRET_KEY": key}) == {"SECRET_KEY"}


def test_missing_secrets_are_named_when_another_variable_is_wrong_too() -> None:
    assert named_problems({"ENVIRONMENT": "production", "PORT": "0"}) == {
        "SECRET_KEY",
        "DATABASE_URL",
        "PORT",
    }


def test_demo_is_refused_when_in_production() -> None:
    assert named_problems({**PRODUCTION, "DEMO": "1"}) == {"DEMO"}


def test_demo_is_off_when_production_does_not_mention_it() -> None:
    settings = Settings.from_environment(PRODUCTION)

    assert settings.environment is Environment.PRODUCTION
    assert settings.is_production
    assert not settings.demo


def test_no_file_is_written_when_in_production(tmp_path: Path) -> None:
    Settings.from_environment({**PRODUCTION, "INSTANCE_FOLDER": str(tmp_path / "instance")})

    assert not (tmp_path / "instance").exists()


def test_nobody_has_an_account_when_a_new_install_starts_without_the_demo(
    environment: dict[str, str], app: Flask, records: Records
) -> None:
    welcome = prepare(app, Settings.from_environment(environment | {"PORT": str(find_free_port())}))

    assert "There is no account yet." in welcome
    assert records.count(User) == records.count(ApiToken) == 0


class TestDemo:
    @pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.5", "clinic.example", "127.0.0.1.example"])
    def test_demo_is_not_opened_to_the_network_when_another_host_is_named(
        self, environment: dict[str, str], app: Flask, host: str
    ) -> None:
        settings = Settings.from_environment(environment | {"DEMO": "1", "HOST": host})

        with pytest.raises(SystemExit, match="HOST"):
            prepare(app, settings)

    @pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
    def test_every_page_says_so_when_the_demo_is_on(
        self, make_app: Callable[..., Flask], clinic: Clinic, ids: dict[str, str]
    ) -> None:
        client = make_app(DEMO="1").test_client()
        for address in ("/sign-in", "/nowhere"):
            assert says_demo(client.get(address).text), address
        admin = UserFactory(clinic=clinic, role=Role.ADMIN)
        Browser(client).sign_in(admin.username, PASSWORD)
        pages = 0
        for endpoint, group in PAGES.items():
            method, _, address = endpoint.partition(" ")
            if method != "GET" or Role.ADMIN not in IN_GROUP[group] or address.endswith("/report"):
                continue  # the report is a document that says it of the clinic's records
            with client.get(address.format(**ids), follow_redirects=True) as answer:
                if answer.mimetype == "text/html":
                    assert says_demo(answer.text), endpoint
                    pages += 1
        assert pages > 15

    def test_no_page_says_so_when_the_demo_is_off(self, browser: Browser) -> None:
        assert not says_demo(browser.open("/").response.text)
        assert not says_demo(browser.open("/nowhere").response.text)


def says_demo(page: str) -> bool:
    banner = BeautifulSoup(page, "html.parser").select_one("aside.demo-banner")
    return banner is not None and "Do not enter real people" in banner.get_text(" ", strip=True)
