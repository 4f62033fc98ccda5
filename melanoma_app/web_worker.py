"""Gunicorn's threaded worker, which hangs up without waiting for the other side.

A connection that is closed with the sender's bytes still unread can lose the answer on its way, so gunicorn listens to
the sender for up to two seconds more. It does so in the one thread that accepts connections (27.0.1): whoever is
answered and doesn't hang up would keep everybody else waiting. Here such connections wait with the idle ones.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from selectors import EVENT_READ
from typing import Any, Final

from gunicorn.workers.gthread import ThreadWorker

LINGER_S: Final = 2.0
"""How long a sender may go on after its answer."""
LARGEST_REST: Final = 65_536
"""Bytes that it may send meanwhile."""


class WebWorker(ThreadWorker):
    """As gunicorn's, but for the end of a connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lingering: deque[Any] = deque()

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
