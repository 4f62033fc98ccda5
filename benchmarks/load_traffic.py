"""The people of the load benchmark: each signs in once, then asks for one thing after the other without a pause.

    .venv/bin/python -m benchmarks.load_traffic PLAN RESULT

Locust, in a process of its own: it exchanges Python's sockets and threads for others (gevent's). `benchmarks.load`
writes the plan and reads the result. A 503 is no error: the person waits as long as Retry-After says, as a program
would.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import gevent
from locust import FastHttpUser, task
from locust.env import Environment

from benchmarks.load_plan import UPLOAD, Plan, read_plan

BOUNDARY: Final = "boundary-of-the-benchmark"
SIGN_IN: Final = "sign-in"
PAGES: Final = {
    "overview": "/",
    "worklist": "/worklist",
    "patients": "/patients",
    "patient": "/patients/{patient}",
}
BUSY: Final = 503
ARRIVING_A_SECOND: Final = 4
STATISTICS: Final = ("gender", "age", "outcomes", "trend?period=month", "sites")
LONGEST_ANSWER_S: Final = 60
WARM_UP_S: Final = 5
"""Not counted: what a server loads when it is first needed, and what its database reads from the disk."""


class Tally:
    """What was answered while it counted: a list of milliseconds for each kind and status.

    An answer counts when it comes, however long ago it was asked for: else a slow server would have fewer of them.
    """

    def __init__(self) -> None:
        self._counts = False
        self._times_ms: dict[str, list[float]] = defaultdict(list)
        self._answers: dict[str, Counter[str]] = defaultdict(Counter)

    def begin(self) -> None:
        """Count what is answered from now on."""
        self._counts = True

    def note(self, *, name: str, response_time: float, **rest: Any) -> None:
        """Take one answer from Locust."""
        if not self._counts:
            return
        response = rest["response"]
        status = str(response.status_code)
        if response.status_code == BUSY and not response.headers.get("Retry-After", "").isdigit():
            status = "503 without Retry-After"
        self._answers[name][status] += 1
        if status.startswith("2"):  # a redirect leads to the sign-in page
            self._times_ms[name].append(response_time)

    def as_dict(self, seconds: float) -> dict[str, Any]:
        """For the result's file."""
        return {"seconds": seconds, "times_ms": self._times_ms, "answers": self._answers}


def main(plan_path: Path, result_path: Path) -> None:
    """Let everybody in, count for a while, write down what was counted."""
    plan = read_plan(plan_path)
    tally = Tally()
    arrived: list[FastHttpUser] = []
    environment = Environment(user_classes=[make_person(plan, arrived)], host=plan.address)
    environment.events.request.add_listener(tally.note)  # type: ignore[no-untyped-call]  # as Locust has it
    runner = environment.create_local_runner()
    runner.start(plan.people, spawn_rate=ARRIVING_A_SECOND)
    wait_until_in(arrived, plan.people)
    gevent.sleep(WARM_UP_S)
    tally.begin()
    started = time.time()
    gevent.sleep(plan.seconds)
    result = json.dumps(tally.as_dict(time.time() - started))
    result_path.write_text(result, encoding="utf-8")
    runner.quit()


def wait_until_in(arrived: list[FastHttpUser], people: int) -> None:
    """Return once everybody has signed in."""
    deadline = time.time() + LONGEST_ANSWER_S
    while len(arrived) < people:
        if time.time() > deadline:
            raise SystemExit("not everybody could sign in")
        gevent.sleep(0.1)


class Person(FastHttpUser):
    """Somebody at a screen, or a program; `make_person` tells them the plan."""

    abstract = True
    connection_timeout = network_timeout = LONGEST_ANSWER_S
    plan: Plan
    photograph: bytes
    accounts: Iterator[str]
    arrived: list[FastHttpUser]
    shots = itertools.count()

    def on_start(self) -> None:
        """Sign in, where there is something to sign in to."""
        if self.plan.accounts:
            self._sign_in(next(self.accounts))
        self.arrived.append(self)

    @task
    def ask(self) -> None:
        """Ask for one thing, and stay away as long as one is told to."""
        (kind,) = random.choices(list(self.plan.shares), list(self.plan.shares.values()))  # noqa: S311 # nosec B311 # traffic
        response = self._ask_for(kind)
        if response.status_code == BUSY:
            gevent.sleep(int(response.headers.get("Retry-After", "1")))

    def _ask_for(self, kind: str) -> Any:
        authorization = {"Authorization": f"Bearer {self.plan.token}"}
        if kind in PAGES:
            path = PAGES[kind].format(patient=one_of(self.plan.patients))
            return self.client.get(path, name=kind, allow_redirects=False)
        if kind == UPLOAD:
            body = multipart(self.photograph + b"shot %d of %d" % (next(self.shots), time.time_ns()))
            headers = authorization | {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
            path = self.plan.upload_path.format(one_of(self.plan.lesions))
            return self.client.post(path, data=body, headers=headers, name=UPLOAD)  # type: ignore[arg-type]  # bytes go as they are
        path = f"/api/v1/statistics/{one_of(STATISTICS)}"
        return self.client.get(path, headers=authorization, name=kind)

    def _sign_in(self, username: str) -> None:
        form = self._insist(self.client.get, "/sign-in").text or ""
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
        if token is None:
            raise SystemExit("the sign-in page has changed")
        values = {"csrf_token": token[1], "username": username, "password": self.plan.password}
        answer = self._insist(self.client.post, "/sign-in", data=values, allow_redirects=False)
        if answer.status_code != 302:
            raise SystemExit(f"{username} could not sign in: {answer.status_code}")

    def _insist(self, ask: Callable[..., Any], path: str, **form: Any) -> Any:
        """Come again as often as one is told to."""
        while (answer := ask(path, name=SIGN_IN, **form)).status_code == BUSY:
            gevent.sleep(int(answer.headers["Retry-After"]))
        return answer


def make_person(plan: Plan, arrived: list[FastHttpUser]) -> type[FastHttpUser]:
    """The class of the people of a plan, who add themselves to those that have arrived; Locust makes them."""
    told = {
        "abstract": False,
        "plan": plan,
        "photograph": Path(plan.photograph).read_bytes(),
        "accounts": iter(plan.accounts),
        "arrived": arrived,
    }
    return type("PersonOfPlan", (Person,), told)


def one_of(values: Any) -> Any:
    """Any of them; an empty string where there are none."""
    return random.choice(values) if values else ""  # noqa: S311 # nosec B311 # traffic


def multipart(photograph: bytes) -> bytes:
    """The body of an upload; the reason lets a drawing through the quality gate."""
    reason = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="quality_override_reason"\r\n\r\nA drawing\r\n'
    )
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    return reason.encode() + head.encode() + photograph + f"\r\n--{BOUNDARY}--\r\n".encode()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
