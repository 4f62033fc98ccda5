"""The one browser of a test run: Playwright lets a process have no second one, and two folders of tests need it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

NO_CHROMIUM = "Chromium is missing, so no page was tested in a browser. Install the package chromium."


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; without it, CI fails and others are told loudly."""
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(NO_CHROMIUM)
        pytest.skip(NO_CHROMIUM)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        yield browser
        browser.close()
