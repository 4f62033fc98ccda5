"""The embedded clinic's whole disk is full, database, photographs and all: people are told, and nothing dies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
import requests

from tests.cluster.machines import Machine, wait_until
from tests.databases import SECRET_KEY, find_free_port
from tests.hostile.wire import workers_of

DISK_MB = 8
PAGES = ("/sign-in", "/nowhere", "/api-docs", "/static/css/base.css", "/api/v1/patients")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", folder]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a full disk needs a disk of its own, and nothing may be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("processes", [1, 2])
def test_every_page_is_answered_and_work_goes_on_when_the_whole_disk_was_full(
    disk: Path, tmp_path: Path, processes: int
) -> None:
    port = find_free_port()
    address = f"http://127.0.0.1:{port}"
    with requests.Session() as session:
        session.trust_env = False

        def ask(path: str, **options: object) -> requests.Response:
            return session.get(address + path, timeout=30, **options)  # type: ignore[arg-type]

        def answers() -> bool:
            try:
                return ask("/health/ready").status_code == HTTPStatus.OK
            except requests.ConnectionError:
                return False

        variables = {
            "INSTANCE_FOLDER": str(disk),
            "SECRET_KEY": SECRET_KEY,
            "DEMO": "0",
            "PORT": str(port),
            "WEB_PROCESSES": str(processes),
        }
        web = Machine(
            "web",
            [sys.executable, "-m", "flask", "serve"],
            os.environ | variables,
            tmp_path / "web.log",
            answers,
        )
        web.start()
        try:
            assert web.process is not None
            server = web.process.pid
            wait_until(lambda: len(workers_of(server)) == processes, what="every process has started")
            workers = workers_of(server)
            fill(disk)

            told = {path: ask(path).status_code for path in PAGES}

            assert told == {
                "/sign-in": HTTPStatus.OK,
                "/nowhere": HTTPStatus.NOT_FOUND,
                "/api-docs": HTTPStatus.OK,
                "/static/css/base.css": HTTPStatus.OK,
                "/api/v1/patients": HTTPStatus.UNAUTHORIZED,
            }
            wait_until(lambda: not answers(), what="the server says that it is not ready")
            assert workers_of(server) == workers
            (disk / "filling").unlink()
            wait_until(answers, what="the server is ready again")
        finally:
            web.stop()


def fill(disk: Path) -> None:
    """To the last byte."""
    with (disk / "filling").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
