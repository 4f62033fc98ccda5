"""What a worker measures of its work, for Prometheus: `/metrics` of its own, on a port of its own.

The processes of a worker put their numbers together, as those of a web server do. How much work is left is
told by the web servers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Flask
from prometheus_client import make_wsgi_app
from werkzeug import Request, Response
from werkzeug.serving import WSGIRequestHandler, make_server

from melanoma_app.instruments import gather_shared, share_between_processes
from melanoma_app.metrics import may_read


def serve_worker_metrics(app: Flask, *, host: str, port: int, folder: Path) -> None:
    """Begin to answer in a thread; before the worker forks, so that what its children count is seen.

    Args:
        app: The worker's.
        host: Address to listen on.
        port: And its port.
        folder: Where the worker's processes put their numbers together, on a machine without shared memory.

    Raises:
        SystemExit: The port cannot be used.
    """
    share_between_processes(folder)
    server = make_server(host, port, _answering(app), threaded=True, request_handler=_SilentHandler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def _answering(app: Flask) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    numbers = make_wsgi_app(gather_shared())

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        if request.path != "/metrics" or not may_read(request, token=app.config["METRICS_TOKEN"]):
            return Response(status=HTTPStatus.NOT_FOUND)(environ, start_response)
        lines: Iterable[bytes] = numbers(environ, start_response)
        return lines

    return answer


class _SilentHandler(WSGIRequestHandler):
    """Asked every few seconds by a machine, it writes no lines, and names no version."""

    def version_string(self) -> str:
        """What `Server` says."""
        return "clinic"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""
