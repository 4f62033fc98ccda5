"""How much may come in at once: which addresses take a photograph, how many at a time, and how long one may take.

A thread that waits for a slow sender answers nobody else. So one thread fewer than there are takes photographs in, what
comes beyond that is refused before its body is read, every other address takes a small form alone, and who sends too
slowly is cut off. The photographs that are held in memory are bounded by the same number.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Final

from flask import Flask, g, request
from flask.typing import ResponseReturnValue
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest

from melanoma_app.errors import BusyError
from melanoma_app.extensions import metrics

TAKES_PHOTOGRAPHS: Final = frozenset({"prediction.examine", "images.create_image", "uploads.send"})
"""The endpoints that take more than a form's texts."""
FORM_OVERHEAD_MB: Final = 1
"""What a form may hold beside the photograph, and all that any other address takes."""
HEADER_TIMEOUT_S: Final = 5
"""How long a connection may fall silent before its request's header is whole."""
BODY_GRACE_S: Final = 3
SLOWEST_BYTES_A_SECOND: Final = 100_000
"""A body has the grace and its size at this rate: a photograph of 5 MB on a poor mobile line 55 s."""
_SLOT: Final = "_upload_slot"
_CUT_OFF: Final = "_upload_cut_off"


def init_upload_gate(app: Flask, *, uploads_at_once: int) -> None:
    """Hold every request to what it may send.

    Args:
        app: The app, which has given the request its id already; nothing may have read the request's body yet.
        uploads_at_once: Photographs that this process takes in at a time.
    """
    slots = threading.BoundedSemaphore(uploads_at_once)
    largest = app.config["MAX_CONTENT_LENGTH"]

    def let_in() -> None:
        is_photograph = request.method == "POST" and request.endpoint in TAKES_PHOTOGRAPHS
        request.max_content_length = largest if is_photograph else FORM_OVERHEAD_MB * 1_000_000
        is_endless = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
        if not (request.content_length or is_endless):
            return
        if is_photograph:
            if not slots.acquire(blocking=False):
                metrics.count_refused_upload("too_many_at_once")
                raise BusyError(
                    "Too many photographs are coming in at the same time, so this one was not taken. Send it again in "
                    "a few seconds."
                )
            setattr(g, _SLOT, slots)
        length = min(request.content_length or request.max_content_length, request.max_content_length)
        _cut_off_after(BODY_GRACE_S + length / SLOWEST_BYTES_A_SECOND)

    def refuse_garbled(_error: Exception) -> ResponseReturnValue:
        return app.handle_http_exception(BadRequest("The request's body is garbled. Send it again."))

    app.before_request(let_in)
    app.teardown_request(_let_go)
    app.register_error_handler(ParseException, refuse_garbled)


def bound_silence(listener: socket.socket, seconds: int) -> None:
    """Let the kernel end a read that waits longer; what a listener accepts inherits it, and 0 takes it back."""
    # Not settimeout: gunicorn makes its sockets blocking again.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", seconds, 0))


def _cut_off_after(seconds: float) -> None:
    """Stop listening to a sender then; gunicorn's threads wait for ever by themselves."""
    connection: socket.socket | None = request.environ.get("gunicorn.socket")
    if connection is None:
        return
    bound_silence(connection, 0)  # the body has its own time

    def cut_off() -> None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RD)  # it can still be told why

    timer = threading.Timer(seconds, cut_off)
    timer.daemon = True
    timer.start()
    setattr(g, _CUT_OFF, (timer, connection))


def _let_go(_error: BaseException | None) -> None:
    if slots := g.pop(_SLOT, None):
        slots.release()
    if cut_off := g.pop(_CUT_OFF, None):
        timer, connection = cut_off
        timer.cancel()
        with contextlib.suppress(OSError):
            bound_silence(connection, HEADER_TIMEOUT_S)
