"""The worker's own part: who waits for a thread, and for how long."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import DEFAULT_WORKER_DATA_TIMEOUT

from melanoma_app.security.request_gate import TURN, Turn
from melanoma_app.web_worker import WebWorker

PAUSE_S = 0.5
LONGEST_S = 60
REQUEST = b"GET /%s HTTP/1.1\r\nHost: clinic\r\nConnection: close\r\n\r\n"


class OneThread(WebWorker):
    """In this process, whose signals stay as they are."""

    def init_signals(self) -> None:
        pass


@dataclass
class Server:
    """A worker with one thread, which notes each request's turn; whoever asks for `held` holds it until `go_on`."""

    worker: WebWorker
    address: tuple[str, int]
    turns: dict[str, Turn] = field(default_factory=dict)
    is_held: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    senders: list[socket.socket] = field(default_factory=list)

    def answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        name = environ["PATH_INFO"].strip("/")
        self.turns[name] = environ[TURN]
        if name == "held":
            self.is_held.set()
            assert self.go_on.wait(LONGEST_S)
        start_response("200 OK", [("Content-Length", "0")])
        return []

    def connect(self) -> socket.socket:
        self.senders.append(socket.create_connection(self.address, timeout=LONGEST_S))
        return self.senders[-1]

    def send(self, name: bytes) -> socket.socket:
        sender = self.connect()
        sender.sendall(REQUEST % name)
        return sender

    def wait_until_in_line(self, number: int) -> None:
        deadline = time.monotonic() + LONGEST_S
        while len(self.worker._in_line) < number:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def server() -> Iterator[Server]:
    settings = Config()
    settings.set("threads", 1)
    listener = socket.create_server(("127.0.0.1", 0))
    app = SimpleNamespace(wsgi=lambda: server.answer)
    worker = OneThread(1, os.getppid(), [listener], app, LONGEST_S, settings, Logger(settings))
    server = Server(worker=worker, address=listener.getsockname())
    working = threading.Thread(target=worker.init_process)
    working.start()
    yield server
    server.go_on.set()
    for sender in server.senders:
        sender.close()
    worker.alive = False
    working.join(LONGEST_S)
    worker.tmp.close()
    for end in worker.PIPE:
        os.close(end)


def test_request_is_told_its_wait_when_it_has_stood_in_line(server: Server) -> None:
    server.send(b"held")
    assert server.is_held.wait(LONGEST_S)
    first = server.send(b"first")
    server.wait_until_in_line(1)
    last = server.send(b"last")
    server.wait_until_in_line(2)
    time.sleep(PAUSE_S)
    server.go_on.set()
    assert first.recv(100)
    assert last.recv(100)

    assert server.turns["first"].waited_s >= PAUSE_S
    assert [server.turns[name].behind for name in ("first", "last")] == [1, 0]


def test_sender_has_not_waited_when_it_was_slow(server: Server) -> None:
    request = REQUEST % b"slow"
    sender = server.connect()
    time.sleep(PAUSE_S)
    sender.sendall(request[:10])
    time.sleep(PAUSE_S)
    sender.sendall(request[10:])
    assert sender.recv(100)

    assert server.turns["slow"].waited_s < PAUSE_S


def test_request_is_answered_when_the_only_thread_could_wait_for_a_silent_connection(server: Server) -> None:
    server.connect()
    started = time.monotonic()

    assert server.send(b"page").recv(100)
    assert time.monotonic() - started < DEFAULT_WORKER_DATA_TIMEOUT
