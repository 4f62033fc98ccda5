"""Every request is one line of the log and one in the metrics: by the name of its view, never by its address.

An address holds a record's id, a query what somebody searched for. A line says neither, nor who asked: the audit does,
and both carry the request's id.
"""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from typing import Final

from flask import Flask, Response, g, request

from melanoma_app.extensions import db, metrics

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Any other word is the client's own, and is told as `other`."""
UNNAMED_WHEN_WELL: Final = ("health.live", "health.ready", "metrics.read", "static")
"""Asked every few seconds by machines, or ten times a page by browsers: only their failures are lines."""

logger = logging.getLogger("melanoma_app.request")
logger.setLevel(logging.INFO)


def init_request_log(app: Flask) -> None:
    """Log and count every request; first of all, so that the time is the whole and the answer is the last."""
    app.before_request(_start)
    app.after_request(_finish)


def _start() -> None:
    g.request_started = time.perf_counter()


def _finish(response: Response) -> Response:
    seconds = time.perf_counter() - g.request_started
    endpoint = request.endpoint or ""
    method = request.method if request.method in METHODS else "other"
    status = response.status_code
    metrics.count_request(
        endpoint=endpoint, method=method, status=status, seconds=seconds, pool=db.engine.pool
    )
    if status < HTTPStatus.INTERNAL_SERVER_ERROR and endpoint in UNNAMED_WHEN_WELL:
        return response
    fields = {
        "method": method,
        "endpoint": endpoint,
        "route": request.url_rule.rule if request.url_rule else "",
        "status": status,
        "ms": round(seconds * 1000, 1),
    }
    logger.info("request", extra={"fields": fields})
    return response
