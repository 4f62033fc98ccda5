"""More is asked than can be answered: who waits too long is told to come again, and nothing falls over."""

from __future__ import annotations

import http.client
import io
import re
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from urllib.parse import urlencode, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage

from melanoma_app.models import Clinic as ClinicRecord
from melanoma_app.models import LesionImage
from melanoma_app.security.request_gate import ALWAYS_ANSWERED, LONGEST_WAIT_S, TURN, Turn
from tests.api import error_of, multipart
from tests.browser.conftest import USERNAME, Clinic, model_folder, served
from tests.factories import PASSWORD, LesionFactory
from tests.hostile.wire import peak_mb, workers_of
from tests.photographs import draw_photograph, shoot_again
from tests.records import Records

__all__ = ["model_folder", "served"]

PEOPLE = 100
MOST_MB = 600
LONGEST_ANSWER_S = 60
PAUSE_S = 0.05
Request = tuple[str, str, bytes | None, dict[str, str]]
"""Method, path, body and headers."""


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_request_is_told_to_come_again_when_it_has_waited_too_long(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    late = {TURN: Turn(waited_s=LONGEST_WAIT_S + 0.1, behind=1000)}

    page = client.get("/sign-in", environ_overrides=late)
    answer = client.get("/api/v1/statistics/gender", headers=headers, environ_overrides=late)

    assert (page.status_code, page.headers["Retry-After"]) == (503, "3")
    assert "again" in page.text
    assert answer.headers["Retry-After"] == "3"
    assert "again" in error_of(answer, 503)["message"]  # type: ignore[arg-type]  # an int will do
    assert client.get("/health/live", environ_overrides=late).status_code == 200


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "turn",
    [
        pytest.param(Turn(waited_s=LONGEST_WAIT_S - 0.1, behind=1000), id="it has waited a little"),
        pytest.param(Turn(waited_s=1000, behind=0), id="it is among the last in line"),
    ],
)
def test_request_is_answered_when(turn: Turn, client: FlaskClient) -> None:
    assert client.get("/sign-in", environ_overrides={TURN: turn}).status_code == 200


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_addresses_exist_when_they_are_always_answered(app: Flask) -> None:
    assert app.view_functions.keys() >= ALWAYS_ANSWERED


@pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)
def test_everybody_has_an_answer_and_the_server_goes_on_when_a_hundred_come_at_once(
    served: Clinic, headers: dict[str, str], clinic: ClinicRecord, records: Records
) -> None:
    asked = list_requests(served.address, headers, LesionFactory(patient__clinic=clinic).public_id)
    (worker,) = workers_of(served.process_id)
    together = threading.Barrier(PEOPLE)

    def send(request: Request) -> tuple[int, str]:
        together.wait()
        return ask(served.address, request)

    looks: list[int] = []
    with ThreadPoolExecutor(PEOPLE) as people:
        sending = [people.submit(send, request) for request in asked]
        while not all(one.done() for one in sending):
            looks.append(ask(served.address, ("GET", "/health/live", None, {}))[0])
            time.sleep(PAUSE_S)

    answers = Counter(one.result()[0] for one in sending)
    assert answers.keys() <= {200, 201, 302, 503}
    assert all(again.isdigit() for status, again in (one.result() for one in sending) if status == 503)
    assert records.count(LesionImage) == answers[201]
    assert set(looks) == {200}
    assert workers_of(served.process_id) == [worker]
    assert peak_mb(worker) < MOST_MB
    assert ask(served.address, asked[0])[0] == 200


def list_requests(address: str, headers: dict[str, str], lesion_id: object) -> list[Request]:
    """Pages, statistics and photographs, as they come in a clinic; the first is a page."""
    cookie = {"Cookie": sign_in(address)}
    return [
        request
        for _ in range(PEOPLE // 4)
        for request in (
            ("GET", "/", None, cookie),
            ("GET", "/patients", None, cookie),
            ("GET", "/api/v1/statistics/gender", None, headers),
            upload_to(lesion_id, headers),
        )
    ]


def upload_to(lesion_id: object, headers: dict[str, str]) -> Request:
    """A photograph that nobody has sent yet."""
    image = FileStorage(io.BytesIO(shoot_again(draw_photograph())), "photo.jpg")
    body, content_type = multipart({"image": image, "quality_override_reason": "A drawing"})
    return "POST", f"/api/v1/lesions/{lesion_id}/images", body, headers | {"Content-Type": content_type}


def ask(address: str, request: Request) -> tuple[int, str]:
    """The status of an answer, and when it says to come again."""
    method, path, body, headers = request
    server = urlsplit(address)
    connection = http.client.HTTPConnection(str(server.hostname), server.port, timeout=LONGEST_ANSWER_S)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers.get("Retry-After", "")


def sign_in(address: str) -> str:
    """The cookie of a nurse who has signed in."""
    jar = CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    form = browser.open(f"{address}/sign-in").read().decode()
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
    assert token is not None
    values = {"csrf_token": token[1], "username": USERNAME, "password": PASSWORD}
    browser.open(f"{address}/sign-in", urlencode(values).encode()).close()
    return "; ".join(f"{one.name}={one.value}" for one in jar)
