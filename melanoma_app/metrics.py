"""`/metrics` for Prometheus. Who may read it: whoever sends METRICS_TOKEN, or without one this machine alone."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

from flask import Blueprint, Response, current_app, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry
from werkzeug import Request
from werkzeug.exceptions import NotFound

from melanoma_app.extensions import db, metrics
from melanoma_app.instruments import gather
from melanoma_app.services.queue_length import read_queue_length

blueprint = Blueprint("metrics", __name__)

_SAYS_WHO_ASKED: Final = ("X-Forwarded-For", "Forwarded", "X-Real-Ip")
"""A proxy of this machine sends one of them: the request came from elsewhere."""


@blueprint.get("/metrics")
def read() -> Response:
    """Every number, as text."""
    if not may_read(request, token=current_app.config["METRICS_TOKEN"]):
        raise NotFound
    asked_now = CollectorRegistry()
    asked_now.register(_Queue())
    numbers = generate_latest(gather(metrics.instruments)) + generate_latest(asked_now)
    return Response(numbers, content_type=CONTENT_TYPE_LATEST)


def may_read(request: Request, *, token: str) -> bool:
    """Whether somebody may read the numbers.

    Args:
        request: Theirs.
        token: What it must carry; empty: programs on this machine may, as long as no proxy speaks for them.
    """
    if token:
        sent = request.authorization
        given = sent.token if sent and sent.type == "bearer" and sent.token else ""
        return hmac.compare_digest(given.encode(), token.encode())
    return _is_loopback(request.remote_addr) and not any(name in request.headers for name in _SAYS_WHO_ASKED)


def _is_loopback(address: str | None) -> bool:
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False


class _Queue(Collector):
    """What every process would say alike, so that the one that is asked says it."""

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance, so that registering reads no database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """How much work waits in the background."""
        jobs = GaugeMetricFamily("clinic_jobs", "Work in the background that is not over.", labels=("state",))
        left = GaugeMetricFamily("clinic_job_items_left", "What is left to do in it.", labels=("state",))
        for state, (number, items) in read_queue_length(engine=db.engine).items():
            jobs.add_metric((state,), number)
            left.add_metric((state,), items)
        yield from (jobs, left)
