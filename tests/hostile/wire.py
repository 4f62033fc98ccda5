"""Requests as no browser would send them: written byte by byte to the real server."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

ANSWER_S = 20
BOUNDARY = "frontier"


@dataclass
class Wire:
    """A way to the server at an address, with a token to call its API.

    Args:
        address: As a browser would open it.
        authorization: The header's value.
    """

    address: str
    authorization: str
    _open: list[socket.socket] = field(default_factory=list)

    def connect(self) -> socket.socket:
        """A connection that stays open until the end."""
        parts = urlsplit(self.address)
        connection = socket.create_connection((parts.hostname, parts.port), timeout=ANSWER_S)
        self._open.append(connection)
        return connection

    def head(self, path: str, *headers: str, method: str = "POST") -> bytes:
        """A request's first lines."""
        lines = (
            f"{method} {path} HTTP/1.1",
            "Host: clinic",
            f"Authorization: {self.authorization}",
            *headers,
        )
        return "\r\n".join((*lines, "", "")).encode()

    def ask(self, *parts: bytes, ends: bool = False) -> int:
        """Send bytes and give the status of the answer; 0 when the connection was closed without one.

        Args:
            parts: What is sent; what the server no longer wants to hear is not.
            ends: Whether nothing more will come.
        """
        connection = self.connect()
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
            if ends:
                connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            return status_of(connection.recv(64))
        return 0

    def close(self) -> None:
        for connection in self._open:
            connection.close()
        self._open.clear()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def form_part(content: bytes, *, name: str = "image", extra: bytes = b"") -> bytes:
    """A part of a form: a file."""
    return (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="photo.jpg"\r\n'.encode()
        + extra
        + b"\r\n"
        + content
        + b"\r\n"
    )


def form_end() -> bytes:
    return f"--{BOUNDARY}--\r\n".encode()


def peak_mb(process_id: int) -> float:
    """The largest resident memory that a process has had."""
    lines = Path(f"/proc/{process_id}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def workers_of(process_id: int) -> list[int]:
    """The processes that a server has started to answer requests."""
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text(encoding="ascii")
    return [int(child) for child in children.split()]
