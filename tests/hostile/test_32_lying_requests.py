"""Hostile list 32: lying Content-Length, chunked, 100,000 parts: refused quickly, and the server still answers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest

from melanoma_app.models import Clinic as ClinicRecord
from melanoma_app.models import Lesion, LesionImage
from tests.browser.conftest import Clinic
from tests.factories import LesionFactory
from tests.hostile.wire import BOUNDARY, Wire, form_end, form_part, peak_mb, workers_of
from tests.records import Records

# What the server does before it looks into its database is the same for each.
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
FORM = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
CHUNKED = "Transfer-Encoding: chunked"
LONGEST_S = 5.0
GROWTH_MB = 150


@pytest.fixture
def lesion(clinic: ClinicRecord) -> Lesion:
    return LesionFactory(patient__clinic=clinic)


@pytest.fixture
def wire(served: Clinic, headers: dict[str, str]) -> Iterator[Wire]:
    wire = Wire(address=served.address, authorization=headers["Authorization"])
    yield wire
    wire.close()


def chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


def test_every_lie_is_refused_and_the_server_answers_when_they_are_told(
    wire: Wire, served: Clinic, lesion: Lesion, records: Records, photograph: bytes
) -> None:
    path = f"/api/v1/lesions/{lesion.public_id}/images"
    body = form_part(photograph) + form_end()
    megabyte = bytes(1_000_000)
    (worker,) = workers_of(served.process_id)
    honest = wire.ask(wire.head(path, FORM, f"Content-Length: {len(body)}"), body)
    before_mb = peak_mb(worker)
    lies = {
        "length too small": ([FORM, "Content-Length: 100"], [body], False),
        "length too large": ([FORM, f"Content-Length: {len(body)}"], [body[:-200]], True),
        "negative length": ([FORM, "Content-Length: -5"], [body], False),
        "length in words": ([FORM, "Content-Length: many"], [body], False),
        "two lengths": ([FORM, "Content-Length: 5", "Content-Length: 9"], [body], False),
        "length and chunks": ([FORM, "Content-Length: 5", CHUNKED], [chunk(body)], False),
        "no length": ([FORM], [body], False),
        "a gigabyte claimed": ([FORM, "Content-Length: 1000000000"], [megabyte], False),
        "endless chunks": ([FORM, CHUNKED], [chunk(form_part(b"")), *[chunk(megabyte)] * 60], False),
        "chunk of no size": ([FORM, CHUNKED], [b"zz\r\nwords"], False),
        "100,000 parts": (
            [FORM, "Content-Length: 9900000"],
            [b"".join(form_part(b"1", name=f"f{number}") for number in range(100_000))],
            False,
        ),
        "part's header of 1 MB": (
            [FORM, "Content-Length: 1200000"],
            [form_part(photograph, extra=b"X-Long: " + megabyte + b"\r\n"), bytes(200_000)],
            True,
        ),
        "no boundary": (
            ["Content-Type: multipart/form-data", f"Content-Length: {len(body)}"],
            [body],
            False,
        ),
        "form without an end": ([FORM, "Content-Length: 60"], [form_part(b"")[:60]], False),
        "header of 1 MB": ([FORM, f"X-Long: {'x' * 1_000_000}", "Content-Length: 5"], [b"words"], False),
    }

    answers, seconds = {}, {}
    for name, (headers, parts, ends) in lies.items():
        started = time.monotonic()
        answers[name] = wire.ask(wire.head(path, *headers), *parts, ends=ends)
        seconds[name] = time.monotonic() - started

    assert honest == 201
    assert {name: answer for name, answer in answers.items() if not 400 <= answer < 500} == {}
    assert {name: took for name, took in seconds.items() if took > LONGEST_S} == {}
    assert peak_mb(worker) - before_mb < GROWTH_MB
    assert workers_of(served.process_id) == [worker]
    assert wire.ask(wire.head("/sign-in", method="GET")) == 200
    assert records.count(LesionImage) == 1


@pytest.mark.usefixtures("records")
def test_other_addresses_take_no_large_body_when_it_is_sent(wire: Wire) -> None:
    megabytes = [bytes(1_000_000)] * 3

    for path in ("/sign-in", "/api/v1/patients", f"/examinations/{uuid.uuid4()}/review", "/nowhere"):
        head = wire.head(path, "Content-Type: application/json", "Content-Length: 3000000")
        assert 400 <= wire.ask(head, *megabytes) < 500


def test_server_answers_when_many_senders_fall_silent(wire: Wire, lesion: Lesion) -> None:
    """Each of the four threads would wait for ever for one of them."""
    for _ in range(3):
        silent = wire.connect()
        silent.sendall(b"GET /sign-in HTTP/1.1\r\nHost: cli")
        sender = wire.connect()
        path = f"/api/v1/lesions/{lesion.public_id}/images"
        sender.sendall(wire.head(path, FORM, "Content-Length: 100000") + form_part(b"x")[:50])

    started = time.monotonic()
    assert wire.ask(wire.head("/sign-in", method="GET")) == 200
    assert time.monotonic() - started < 15


def test_server_answers_others_when_those_it_refused_do_not_hang_up(wire: Wire) -> None:
    """Gunicorn's own worker waits two seconds for each, in the thread that accepts the rest."""
    started = time.monotonic()
    refused = [wire.ask(wire.head("/sign-in", "Content-Length: many")) for _ in range(5)]

    assert wire.ask(wire.head("/sign-in", method="GET")) == 200
    assert time.monotonic() - started < LONGEST_S
    assert refused == [400] * 5


def test_refused_sender_may_finish_when_it_sends_on(wire: Wire) -> None:
    """Else its kernel could throw the answer away with the rest of what it sent."""
    sender = wire.connect()
    sender.sendall(wire.head("/sign-in", "Content-Length: many"))
    time.sleep(0.2)
    for _ in range(4):
        sender.sendall(bytes(1000))

    assert sender.recv(100_000).startswith(b"HTTP/1.1 400 ")


def test_slow_sender_is_told_when_the_time_is_up(wire: Wire, lesion: Lesion, records: Records) -> None:
    started = time.monotonic()

    head = wire.head(f"/api/v1/lesions/{lesion.public_id}/images", FORM, "Content-Length: 1000")

    assert 400 <= wire.ask(head, form_part(b"x")[:50]) < 500
    assert time.monotonic() - started < 2 * LONGEST_S
    assert records.count(LesionImage) == 0
