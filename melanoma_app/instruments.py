"""What the app measures of itself: requests, predictions, refused photographs, drift. Numbers alone, and nobody's name.

`/metrics` gives them out (`metrics.py`). Labels are words of the program: an endpoint, a model, a reason. Nothing that
somebody has typed becomes one.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flask import Flask, current_app, has_app_context
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess, values
from sqlalchemy.pool import Pool, QueuePool

from melanoma_app.errors import ClinicError, QualityRefusedError

if TYPE_CHECKING:
    from ml.inference import QualityVerdict

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 # nosec B108 # what lies there is made with mkdtemp or mkstemp
FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""How the library is told where processes put their numbers together."""
_REQUEST_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SCORING_S: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 2, 5, 10)
_TENTHS: Final = tuple(step / 10 for step in range(1, 11))
_QUALITY: Final = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
"""Fine where sharpness lies (skin in focus has about 0.12), coarse where light does."""
_UNMEASURED: Final = ("short_side_px",)
"""Measures that are no share from 0 to 1."""


class Instruments:
    """The counters of one app in one process, or in several that put their numbers together in a folder."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        by_request = ("endpoint", "method", "status")
        self.requests = Counter("clinic_requests", "Requests answered.", by_request, registry=own)
        self.request_seconds = Histogram(
            "clinic_request_seconds",
            "Seconds from a request's header to its answer.",
            ("endpoint", "method"),
            buckets=_REQUEST_S,
            registry=own,
        )
        self.predictions = Counter(
            "clinic_predictions", "Answers of the models.", ("model", "label"), registry=own
        )
        self.scoring_seconds = Histogram(
            "clinic_scoring_seconds",
            "Seconds from a photograph's file to its model's answer.",
            ("model",),
            buckets=_SCORING_S,
            registry=own,
        )
        self.probability = Histogram(
            "clinic_malignancy_probability",
            "Probabilities of malignancy that the models gave: their drift.",
            ("model",),
            buckets=_TENTHS,
            registry=own,
        )
        self.quality = Histogram(
            "clinic_image_quality",
            "What the quality gate measured of photographs, refused ones among them: their drift.",
            ("measure",),
            buckets=_QUALITY,
            registry=own,
        )
        self.refused = Counter(
            "clinic_uploads_refused", "Photographs that were not taken in.", ("reason",), registry=own
        )
        self.decodes = Gauge(
            "clinic_decodes_in_use",
            "Photographs that are decoded and scored at this moment.",
            registry=own,
            multiprocess_mode="livesum",
        )
        self.pool = Gauge(
            "clinic_database_connections",
            "Database connections: in use after the newest request of each process, and the most it may open.",
            ("state",),
            registry=own,
            multiprocess_mode="livesum",
        )


class Metrics:
    """The current app's instruments. Where there is no app, nothing is measured and nothing fails."""

    def init_app(self, app: Flask) -> None:
        """Measure this app; the instruments are made when the first number comes, after a server has forked."""
        app.extensions["instruments"] = _Lazily()

    @property
    def instruments(self) -> Instruments:
        """The current app's."""
        made: _Lazily = current_app.extensions["instruments"]
        return made.get()

    def count_request(self, *, endpoint: str, method: str, status: int, seconds: float, pool: Pool) -> None:
        """Count an answered request.

        Args:
            endpoint: Name of the view; empty where no address matched.
            method: One of HTTP's own words, never what the client made up.
            status: Of the answer.
            seconds: From the header to the answer.
            pool: The process's database connections.
        """
        found, endpoint = self.instruments, endpoint or "none"
        found.requests.labels(endpoint, method, str(status)).inc()
        found.request_seconds.labels(endpoint, method).observe(seconds)
        if isinstance(pool, QueuePool):
            found.pool.labels("in_use").set(pool.checkedout())
            # `_max_overflow` has no public name; below 0 there is no limit.
            found.pool.labels("most").set(pool.size() + max(0, pool._max_overflow))

    def count_prediction(self, *, model: str, label: str, probability: float, seconds: float) -> None:
        """Count an answer that goes on record.

        Args:
            model: Name-version.
            label: What it says.
            probability: Of malignancy, 0 to 1.
            seconds: From the file to the answer.
        """
        if not has_app_context():
            return
        found = self.instruments
        found.predictions.labels(model, label).inc()
        found.probability.labels(model).observe(probability)
        found.scoring_seconds.labels(model).observe(seconds)

    def observe_quality(self, verdict: QualityVerdict | None) -> None:
        """Note what the quality gate measured of a photograph, whether it passed or not."""
        if verdict is None or not has_app_context():
            return
        for measure, value in asdict(verdict.measures).items():
            if value is not None and measure not in _UNMEASURED:
                self.instruments.quality.labels(measure).observe(value)

    def count_refused_upload(self, reason: str) -> None:
        """Count a photograph that was not taken in; the reason is a word of the program's."""
        if has_app_context():
            self.instruments.refused.labels(reason).inc()

    @contextmanager
    def counting_refusals(self) -> Iterator[None]:
        """Count each photograph that is refused within; also to be put above a function."""
        try:
            yield
        except QualityRefusedError as refusal:
            for finding in refusal.findings:
                self.count_refused_upload(f"quality_{finding.issue.value}")
            raise
        except ClinicError as refusal:
            self.count_refused_upload(refusal.status.name.lower())
            raise

    @contextmanager
    def decoding_one(self) -> Iterator[None]:
        """Say that a photograph is being decoded meanwhile."""
        gauge = self.instruments.decodes
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()


class _Lazily:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Instruments | None = None

    def get(self) -> Instruments:
        if self._made is None:
            with self._lock:
                if self._made is None:
                    self._made = Instruments()
        return self._made


def share_between_processes(folder: Path) -> None:
    """Let the processes of one server put their numbers together; before the first number, before a fork.

    They do so in files that the library maps into memory, and a process that writes to such a file on a full disk is
    killed by the kernel. So they lie in the machine's shared memory, and are gone when the server ends.

    Args:
        folder: Where to, on a machine without shared memory.
    """
    if not SHARED_MEMORY.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
    place = tempfile.mkdtemp(
        prefix="clinic-metrics-", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else folder
    )
    os.environ[FOLDER_VARIABLE] = place
    # The library looks for the variable when it is imported, which was before the settings were read.
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]  # as the library has it
    atexit.register(_remove, place, os.getpid())


def _remove(place: str, owner: int) -> None:
    if os.getpid() == owner:  # processes that were forked end earlier
        shutil.rmtree(place, ignore_errors=True)


def forget_process(pid: int) -> None:
    """Take out what a process had in use when it ended; what it counted stays counted."""
    if FOLDER_VARIABLE in os.environ:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]  # as the library has it


def gather(instruments: Instruments) -> CollectorRegistry:
    """All numbers there are: of every process of this server where several share, else of this one."""
    return gather_shared() if FOLDER_VARIABLE in os.environ else instruments.registry


def gather_shared() -> CollectorRegistry:
    """What the processes that share a folder have put together, newly read each time it is asked for."""
    together = CollectorRegistry()
    multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # as the library has it
    return together
