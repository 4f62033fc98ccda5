"""The clock of one web server is set back by two days while people work; the database's and the other's stand right."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path

import pytest

from melanoma_app.models import ApiToken, AuditEvent, LesionImage, Patient, UserSession
from tests.cluster.conftest import USERNAME, Cluster
from tests.cluster.machines import Machine, flask, wait_until
from tests.cluster.sending import next_mrn, photograph
from tests.cluster.visitor import Visitor, text_of

TOLERANCE = timedelta(seconds=5)
"""More than machines set by NTP differ by, and than an answer of the database takes."""
WRONG = 1
"""Which of the two web servers it is."""


@dataclass
class WrongClock:
    """The machine with the clock, and the file that says how far it is off.

    Args:
        machine: It.
        file: For faketime.
    """

    machine: Machine
    file: Path

    def set(self, offset: str) -> None:
        """Set it, while the machine runs."""
        self.file.write_text(offset, encoding="ascii")


@pytest.fixture
def wrong_clock(cluster: Cluster, tmp_path: Path) -> Iterator[WrongClock]:
    """A web server whose clock can be set; at the end it is as it was."""
    web, file = cluster.webs[WRONG], tmp_path / "offset"
    library = subprocess.run(
        ["faketime", "-m", "-f", "+0", "printenv", "LD_PRELOAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    # faketime 0.9.10 fails in the one call by which Python sleeps (clock_nanosleep), so that goes another way.
    (tmp_path / "sitecustomize.py").write_text(
        "import threading, time\ntime.sleep = lambda seconds: threading.Event().wait(seconds) and None\n",
        encoding="utf-8",
    )
    right = web.environment
    web.environment = right | {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        # A clock that is set moves neither the one that counts up from the start, nor the times of files.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "PYTHONPATH": str(tmp_path),
    }
    clock = WrongClock(web, file)
    clock.set("+0")
    try:
        web.start_again()
        yield clock
    finally:
        web.environment = right
        web.start_again()


def cookie_of(visitor: Visitor) -> str:
    return "; ".join(f"{one.name}={one.value}" for one in visitor.session.cookies)


def statuses(cluster: Cluster, path: str, **headers: str) -> list[HTTPStatus]:
    """What each web server answers."""
    return [HTTPStatus(cluster.ask(number, path, **headers).status_code) for number in range(2)]


def test_everybody_works_on_and_times_are_right_when_one_clock_is_set_back(
    cluster: Cluster,
    nurse: Visitor,
    token: str,
    make_visitor: Callable[..., Visitor],
    wrong_clock: WrongClock,
) -> None:
    web, cookie = wrong_clock.machine, cookie_of(nurse)
    assert statuses(cluster, "/patients", Cookie=cookie) == [HTTPStatus.OK] * 2
    began, last_entry = datetime.now(UTC), cluster.records.all(AuditEvent)[-1].id

    wrong_clock.set("-2d")
    wait_until(
        lambda: is_told(cluster, "behind that of the database", cookie),
        what="the log tells of the clock",
    )

    # Who was signed in stays so; who signs in at either is signed in at both.
    assert statuses(cluster, "/patients", Cookie=cookie) == [HTTPStatus.OK] * 2
    for _ in range(4):
        visitor = make_visitor()
        assert visitor.sign_in(USERNAME).status_code == HTTPStatus.OK
        assert statuses(cluster, "/", Cookie=cookie_of(visitor)) == [HTTPStatus.OK] * 2
    bearer = {"Authorization": f"Bearer {token}"}
    assert statuses(cluster, "/api/v1/patients", **bearer) == [HTTPStatus.OK] * 2
    made_now = cluster.flask("tokens", "create", USERNAME, "--all").strip()
    assert statuses(cluster, "/api/v1/patients", Authorization=f"Bearer {made_now}") == [HTTPStatus.OK] * 2

    mrns = [next_mrn() for _ in range(4)]
    for mrn in mrns:
        result = nurse.send(nurse.add_lesion(nurse.register(mrn)), image=photograph())
        assert result.status_code == HTTPStatus.OK, text_of(result)
    assert served_by_the_wrong_one(cluster), "the proxy has sent it work"

    # Whatever was written meanwhile bears the right time, in the order in which it was done.
    ended = datetime.now(UTC)
    entries = cluster.records.all(AuditEvent, AuditEvent.id > last_entry)
    times = [one.occurred_at for one in entries]
    times += [one.created_at for one in cluster.records.all(Patient, Patient.mrn.in_(mrns))]
    times += [one.created_at for one in cluster.records.all(LesionImage)[-len(mrns) :]]
    assert began - TOLERANCE <= min(times) <= max(times) <= ended + TOLERANCE
    entries = sorted(entries, key=lambda one: (one.chain_id, one.sequence))
    for earlier, later in pairwise(entries):
        assert later.chain_id != earlier.chain_id or later.occurred_at >= earlier.occurred_at - TOLERANCE
    asked = {one.request_id for one in entries if one.request_id}
    assert len(asked) > len(mrns)
    assert [one for one in asked if not re.fullmatch("[0-9a-f]{32}", one)] == []

    # What is over is over at both.
    cluster.records.change(ApiToken, expires_at=ended - timedelta(minutes=1))
    assert statuses(cluster, "/api/v1/patients", **bearer) == [HTTPStatus.UNAUTHORIZED] * 2
    cluster.records.change(UserSession, last_seen_at=ended - timedelta(hours=1))
    assert statuses(cluster, "/", Cookie=cookie) == [HTTPStatus.UNAUTHORIZED] * 2

    # The engineer is told by the doctor, too, and by the log when it is over.
    told = flask(web.environment, "doctor")
    assert told.returncode != 0
    assert re.search(r"database's clock\W+It differs from ours by 172\d\d\d", told.stdout + told.stderr), told
    wrong_clock.set("+0")
    wait_until(
        lambda: is_told(cluster, "agrees with that of the database again", cookie),
        what="the log tells that it is right again",
    )
    cluster.assert_whole()


def is_told(cluster: Cluster, words: str, cookie: str) -> bool:
    """Whether the log has the words, by the next request at the latest."""
    cluster.ask(WRONG, "/patients", Cookie=cookie)
    return words in cluster.webs[WRONG].said()


def served_by_the_wrong_one(cluster: Cluster) -> bool:
    return f"127.0.0.1:{cluster.web_ports[WRONG]}" in cluster.proxy_log.read_text(encoding="utf-8")
