"""Gunicorn's threaded worker, which knows how long a request has waited, and waits for no sender in its threads.

A connection on which nothing has come yet waits with the idle ones; gunicorn's own (27.0.1) would hold a thread for it
for five seconds, and browsers open connections to spare. Once something has come it stands in line for a thread, and
`security/request_gate.py` is told how long.

A connection that is closed with the sender's bytes still unread can lose the answer on its way, so gunicorn listens to
the sender for up to two seconds more. It does so in the one thread that accepts connections: whoever is
answered and doesn't hang up would keep everybody else waiting. Here such connections wait with the idle ones.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from selectors import EVENT_READ
from typing import Any, Final

from gunicorn.workers.gthread import TConn, ThreadWorker

from melanoma_app.security.request_gate import TURN, Turn
from melanoma_app.security.upload_gate import HEADER_TIMEOUT_S

LINGER_S: Final = 2.0
"""How long a sender may go on after its answer."""
LARGEST_REST: Final = 65_536
"""Bytes that it may send meanwhile."""


class WebWorker(ThreadWorker):
    """As gunicorn's, but for the beginning and the end of a connection."""

    wsgi: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lingering: deque[Any] = deque()
        self._in_line: deque[float] = deque()
        self._turn = threading.local()

    def load_wsgi(self) -> None:
        """The app, which is told of each request's wait."""
        super().load_wsgi()
        app = self.wsgi

        def told(environ: dict[str, Any], start_response: Any) -> Any:
            environ[TURN] = self._turn.of_this_thread
            return app(environ, start_response)

        self.wsgi = told

    def handle_quit(self, sig: int, frame: Any) -> None:
        """At once, wherever the accepting thread is.

        Gunicorn's own shuts the pool of threads down first. It would wait for ever for the pool's lock where the signal
        came while a request was handed to the pool; Python does the same at the exit, when the lock is free.
        """
        super(ThreadWorker, self).handle_quit(sig, frame)

    def accept(self, listener: socket.socket) -> None:
        """In the accepting thread: take a connection and wait until something comes on it."""
        with contextlib.suppress(
            BlockingIOError, ConnectionAbortedError
        ):  # another process was quicker, or it is gone
            connection, address = listener.accept()
            self.nr_conns += 1
            conn = TConn(self.cfg, connection, address, listener.getsockname())
            conn.timeout = time.monotonic() + HEADER_TIMEOUT_S
            self.pending_conns.append(conn)
            self.poller.register(connection, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def enqueue_req(self, conn: Any) -> None:
        """In the accepting thread: something has come, so a thread is to read it."""
        self._in_line.append(time.monotonic())
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """In a thread that has come free, and takes up the first in line."""
        waited_s = time.monotonic() - self._in_line.popleft()
        self._turn.of_this_thread = Turn(waited_s=waited_s, behind=len(self._in_line))
        return super().handle(conn)

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """In the accepting thread, after each request: keep the connection, or half-close it and let it linger."""
        if fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
            return
        conn.sock.setblocking(False)
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, EVENT_READ, partial(self._drain, conn))
        except (OSError, ValueError):  # gone already
            self._hang_up(conn)
            return
        conn.timeout = time.monotonic() + LINGER_S
        conn.bytes_left = LARGEST_REST
        self._lingering.append(conn)

    def murder_pending(self) -> None:
        """At each turn of the loop, a second apart at most: hang up on those who have lingered long enough."""
        super().murder_pending()
        while self._lingering and self._lingering[0].timeout <= time.monotonic():
            self._stop_lingering(self._lingering[0])

    def _drain(self, conn: Any, _sock: socket.socket) -> None:
        try:
            rest = conn.sock.recv(LARGEST_REST)
        except BlockingIOError:
            return
        except OSError:
            rest = b""
        conn.bytes_left -= len(rest)
        if not rest or conn.bytes_left <= 0:
            self._stop_lingering(conn)

    def _stop_lingering(self, conn: Any) -> None:
        self._lingering.remove(conn)
        self.poller.unregister(conn.sock)
        self._hang_up(conn)

    def _hang_up(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()
