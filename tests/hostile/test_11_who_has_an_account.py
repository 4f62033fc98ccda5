"""Hostile list 11: known and unknown user look alike (text, status, time within 20%)."""

from __future__ import annotations

import re
import statistics
import time

import pytest
from argon2 import PasswordHasher
from flask.testing import FlaskClient

from melanoma_app.models import Clinic, User
from melanoma_app.services.passwords import NO_PASSWORD
from tests.browsing import Browser, words
from tests.factories import OTHER_PASSWORD, PASSWORD, UserFactory

ATTEMPTS = 11
ROUNDS = 4
TOLERANCE = 0.2


def alert(browser: Browser, username: str, password: str) -> tuple[int, str]:
    """Status and message of an attempt, its digits (how long to wait) left out."""
    page = browser.sign_in(username, password)
    (message,) = page.soup.find_all(role="alert")
    return page.status, re.sub(r"\d+", "N", words(message))


@pytest.mark.parametrize("case", ["unknown name", "switched off", "no password yet"])
def test_every_answer_is_the_same_when_attempts_go_on_into_the_hold(
    client: FlaskClient, user: User, case: str
) -> None:
    browser = Browser(client)
    other = {
        "unknown name": "nobody",
        "switched off": UserFactory(is_active=False).username,
        "no password yet": UserFactory(password_hash=NO_PASSWORD).username,
    }[case]

    known = [alert(browser, user.username, OTHER_PASSWORD) for _ in range(7)]
    unknown = [alert(browser, other, PASSWORD) for _ in range(7)]

    assert unknown == known
    assert known[0] != known[6]
    assert {status for status, _ in known} == {401}


@pytest.mark.parametrize("case", ["known", "unknown", "switched off", "no password yet"])
def test_one_hash_is_verified_when_the_name_is_anybodys(
    client: FlaskClient, clinic: Clinic, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """What takes the time is counted exactly; the clock below is only asked whether anything else does, too."""
    name = {
        "known": lambda: UserFactory(clinic=clinic).username,
        "unknown": lambda: "nobody",
        "switched off": lambda: UserFactory(is_active=False).username,
        "no password yet": lambda: UserFactory(password_hash=NO_PASSWORD).username,
    }[case]()
    browser = Browser(client)
    browser.sign_in("warm", "up the hash of nobody")
    hashed: list[str] = []
    verify, make = PasswordHasher.verify, PasswordHasher.hash
    monkeypatch.setattr(
        PasswordHasher,
        "verify",
        lambda self, stored, password: hashed.append(stored) or verify(self, stored, password),
    )
    monkeypatch.setattr(
        PasswordHasher, "hash", lambda self, password: hashed.append("") or make(self, password)
    )

    browser.sign_in(name, OTHER_PASSWORD)

    assert len(hashed) == 1
    assert hashed[0].startswith("$argon2id$")


def test_answers_take_as_long_when_the_name_is_unknown(client: FlaskClient, clinic: Clinic) -> None:
    """Within 20 % in the median; on a busy machine the clock gets a few more rounds."""
    page = Browser(client).open("/sign-in")
    token = page.form().find("input", attrs={"name": "csrf_token"})["value"]

    def measure(username: str) -> float:
        data = {"csrf_token": token, "username": username, "password": OTHER_PASSWORD}
        start = time.perf_counter()
        client.post("/sign-in", data=data)
        return time.perf_counter() - start

    measure("warm-up")
    ratios = []
    for turn in range(ROUNDS):
        users = [UserFactory(clinic=clinic).username for _ in range(ATTEMPTS)]
        pairs = [(measure(name), measure(f"nobody-{turn}-{at}")) for at, name in enumerate(users)]
        known, unknown = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratios.append(unknown / known)
        if abs(ratios[-1] - 1) <= TOLERANCE:
            return
    pytest.fail(f"unknown / known: {ratios}")
