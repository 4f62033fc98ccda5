"""The real server, and a real browser in front of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import psutil
import pytest
from playwright.sync_api import Browser, Page

from config import PROJECT_ROOT
from melanoma_app.models import Clinic as ClinicRecord
from melanoma_app.models.vocabulary import Role
from ml.inference import RELEASED_FOLDER
from tests.chromium import NO_CHROMIUM
from tests.databases import FIRST_CLINIC_ID, find_free_port
from tests.factories import PASSWORD, UserFactory, session
from tests.records import Records

USERNAME = "nora"
START_TIMEOUT_S = 60


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it loudly when the browser was left out."""
    if shutil.which("chromium") is None:
        terminalreporter.section("NOT TESTED IN A BROWSER", red=True, bold=True)
        terminalreporter.line(NO_CHROMIUM, red=True, bold=True)


@dataclass
class Clinic:
    """A clinic that is being served, with one nurse in it."""

    address: str
    environment: dict[str, str]
    image_folder: Path
    process_id: int = 0

    def flask(self, *arguments: str) -> str:
        """What a `flask …` command prints."""
        done = subprocess.run(
            [sys.executable, "-m", "flask", *arguments],
            cwd=PROJECT_ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


@pytest.fixture
def model_folder() -> Path:
    """Where the served app finds its released models."""
    return RELEASED_FOLDER


@pytest.fixture
def served(database_url: str, records: Records, tmp_path: Path, model_folder: Path) -> Iterator[Clinic]:
    """`flask serve` on a migrated database with one nurse."""
    employ(USERNAME, Role.NURSE)
    port = find_free_port()
    clinic = Clinic(
        address=f"http://127.0.0.1:{port}",
        environment=os.environ
        | {
            "DATABASE_URL": database_url,
            "INSTANCE_FOLDER": str(tmp_path / "instance"),
            "IMAGE_FOLDER": str(tmp_path / "images"),
            "MODEL_FOLDER": str(model_folder),
            "PORT": str(port),
            "HOST": "127.0.0.1",
            "DEMO": "0",
        },
        image_folder=tmp_path / "images",
    )
    log = tmp_path / "server.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "flask", "serve"],
            cwd=PROJECT_ROOT,
            env=clinic.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            wait_until_served(clinic.address, server, log)
            clinic.process_id = server.pid
            yield clinic
        finally:
            # Every server of the suite ends here: a second each would be a minute. How it stops by itself is tested.
            processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
            for process in processes:
                process.kill()


def employ(username: str, role: Role) -> None:
    """Give somebody an account in the clinic that is being served."""
    UserFactory(username=username, role=role, clinic=session.get(ClinicRecord, FIRST_CLINIC_ID))


def wait_until_served(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            urllib.request.urlopen(f"{address}/sign-in", timeout=5).close()
        except (URLError, ConnectionError):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained of: script errors and breaches of the content security policy."""
    return []


@pytest.fixture
def page(chromium: Browser, served: Clinic, complaints: list[str]) -> Iterator[Page]:
    """A page of a fresh browser that nobody has signed in with."""
    context = chromium.new_context(base_url=served.address, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(15_000)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text) if "Content Security Policy" in message.text else None
        ),
    )
    yield page
    context.close()


@pytest.fixture
def signed_in(page: Page) -> Page:
    """The nurse's page, on the overview."""
    sign_in(page)
    return page


def sign_in(page: Page, username: str = USERNAME) -> None:
    """Sign somebody in through the form: the nurse, or another whose password is the same."""
    page.goto("/sign-in")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Overview").wait_for()
