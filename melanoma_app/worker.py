"""The Celery worker: `celery --app melanoma_app.worker worker`.

One job at a time, on all cores. Several workers, on several machines, share a job. Each may be killed at any moment.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import suppress
from typing import Any

from celery import bootsteps
from celery.signals import worker_init
from dotenv import load_dotenv
from kombu.exceptions import OperationalError

from config import PROJECT_ROOT, ConfigurationError, Settings
from melanoma_app import create_app
from melanoma_app.extensions import db, image_storage
from melanoma_app.services.job_runs import run_job
from melanoma_app.services.jobs import list_unfinished
from melanoma_app.services.upload_tidying import tidy_uploads
from melanoma_app.tasks import LOOK_EVERY_S, LOOK_FOR_WORK, TURN_S, WORK_ON, make_celery
from melanoma_app.worker_metrics import serve_worker_metrics

logger = logging.getLogger(__name__)

load_dotenv(PROJECT_ROOT / ".env")
try:
    settings = Settings.from_environment(os.environ)
except ConfigurationError as error:
    sys.exit(str(error))
if not settings.redis_url:
    sys.exit(
        "There is no REDIS_URL, so a worker has nothing to listen to. Without Redis the web process works."
    )
flask_app = create_app(settings)
app = make_celery(settings.redis_url)
SIGN_OF_LIFE = settings.instance_folder / "worker-alive"
"""Touched at each look for work: one older than two minutes is of a worker that hangs."""


def work_on(job_id: int) -> None:
    """Work on a job for a turn; a job that is not finished then is queued again, behind the others."""
    until = time.monotonic() + TURN_S
    with flask_app.app_context():
        try:
            is_over = run_job(job_id=job_id, lasts_s=TURN_S)
        finally:
            db.session.remove()
    if not is_over and time.monotonic() >= until:
        _send(WORK_ON, job_id)


def look_for_work() -> None:
    """Queue every job of which something is left: this is how jobs go on after Redis, or every worker, was gone.

    Uploads that were forgotten are put away on that occasion.
    """
    with flask_app.app_context():
        try:
            for job_id in list_unfinished():
                _send(WORK_ON, job_id)
            tidy_uploads(store=image_storage.store)
        finally:
            db.session.remove()


def _send(task: str, *values: int) -> None:
    """Queue a task for a short while; what was not taken up by then is looked for again."""
    try:
        app.send_task(task, args=values, expires=LOOK_EVERY_S, retry=False)
    except OperationalError:
        logger.warning("Redis does not answer; work is looked for again in %s s", LOOK_EVERY_S)


class LookForWork(bootsteps.StartStopStep):  # type: ignore[misc] # Celery is untyped
    """Lets the worker look for work when it starts, and every so often: by its own timer, and with no other process."""

    requires = {"celery.worker.components:Timer"}

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._entry: Any = None

    def start(self, worker: Any) -> None:
        """Begin to look."""
        self._look()
        self._entry = worker.timer.call_repeatedly(LOOK_EVERY_S, self._look)

    def stop(self, worker: Any) -> None:
        """Look no more."""
        if self._entry is not None:
            self._entry.cancel()
            self._entry = None

    def _look(self) -> None:
        _send(LOOK_FOR_WORK)
        with suppress(OSError):  # a full disk ends no work
            SIGN_OF_LIFE.touch()


def _serve_metrics(**_told: Any) -> None:
    if settings.worker_metrics_port:
        serve_worker_metrics(
            flask_app,
            host=settings.host,
            port=settings.worker_metrics_port,
            folder=settings.instance_folder,
        )


worker_init.connect(_serve_metrics, weak=False)  # not when a command only asks a worker something
app.task(name=WORK_ON)(work_on)
app.task(name=LOOK_FOR_WORK)(look_for_work)
app.steps["worker"].add(LookForWork)
