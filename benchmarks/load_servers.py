"""The servers that the load benchmark asks, and the memory they hold meanwhile."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.inference import children_of, memory_mb
from benchmarks.load_keras import DATABASE_VARIABLE, FOLDER_VARIABLE, MODEL_VARIABLE, THREADS
from config import PROJECT_ROOT

PORT: Final = 5992
SMALL_PORT: Final = 5993
START_TIMEOUT_S: Final = 120
MODEL: Final = "mobilenet_v2"
"""The one that is served where nobody asks for another."""


@contextmanager
def watch_memory(process_id: int) -> Iterator[dict[str, float]]:
    """The most that a server and its processes held together, in MB: RSS counts what they share several times."""
    most: dict[str, float] = {"rss": 0.0, "pss": 0.0}
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(0.5):
            processes = [process_id, *children_of(process_id)]
            most["rss"] = max(most["rss"], sum(memory_mb(one, "VmRSS") for one in processes))
            most["pss"] = max(most["pss"], sum(pss_mb(one) for one in processes))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield most
    finally:
        is_over.set()
        watcher.join()


def pss_mb(process_id: int) -> float:
    """What a process holds, with its share of what it shares."""
    lines = Path(f"/proc/{process_id}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024


@contextmanager
def serve_clinic(*, database_url: str, folder: Path, processes: int, model: str) -> Iterator[int]:
    """`flask serve` on a clinic; gives its process."""
    environment = {
        "INSTANCE_FOLDER": str(folder / "instance"),
        "DATABASE_URL": database_url,
        "DEMO": "0",
        "MODEL_NAME": model,
        "HOST": "127.0.0.1",
        "PORT": str(PORT),
        "WEB_PROCESSES": str(processes),
        "SIGN_IN_RATE_LIMIT": "10000 per minute",
    }
    with serve([sys.executable, "-m", "flask", "serve"], environment, PORT, folder) as process_id:
        yield process_id


@contextmanager
def serve_small_app(maker: str, *, database_url: str, folder: Path, model: str) -> Iterator[int]:
    """An app of `load_keras.py`, on the same server program with as many threads; gives its process."""
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--worker-class",
        "gthread",
        "--threads",
        str(THREADS),
        "--timeout",
        "300",
        "--bind",
        f"127.0.0.1:{SMALL_PORT}",
        f"benchmarks.load_keras:{maker}()",
    ]
    environment = {
        DATABASE_VARIABLE: database_url,
        FOLDER_VARIABLE: str(folder / "small"),
        MODEL_VARIABLE: model,
    }
    with serve(command, environment, SMALL_PORT, folder) as process_id:
        yield process_id


@contextmanager
def serve(command: Sequence[str], environment: dict[str, str], port: int, folder: Path) -> Iterator[int]:
    """Start a server, wait until it answers, stop it at the end."""
    with (
        (folder / f"server-{port}.log").open("ab") as log,
        subprocess.Popen(  # noqa: S603 # nosec B603 # commands of this file alone
            command, cwd=PROJECT_ROOT, env=os.environ | environment, stdout=log, stderr=log
        ) as server,
    ):
        try:
            wait_until_answered(port)
            yield server.pid
        finally:
            server.terminate()


def wait_until_answered(port: int) -> None:
    """Return once the server answers."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/sign-in")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server did not come up")
