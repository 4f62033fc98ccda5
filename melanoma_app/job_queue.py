"""Waking somebody up for a job: a Celery worker through Redis, or a thread of this process where there is no Redis.

Nothing of a job is kept here. Whoever is not woken up, or dies, is made up for: workers look for unfinished jobs by
themselves, and `flask jobs run` works on them anywhere.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from flask import Flask, current_app
from sqlalchemy.exc import DBAPIError

from melanoma_app.errors import ClinicError

if TYPE_CHECKING:
    from celery import Celery

logger = logging.getLogger(__name__)


class JobQueue:
    """Wakes up who does the work."""

    def init_app(self, app: Flask, *, redis_url: str) -> None:
        """Remember where Redis is; empty: the work runs in this process."""
        app.extensions["job_queue"] = _Queue(app, redis_url)

    @property
    def is_in_process(self) -> bool:
        """Whether there are no workers, so that this process does the work itself."""
        return not self._queue.redis_url

    def wake(self, job_id: int) -> bool:
        """Have a job worked on, soon.

        Returns:
            Whether somebody was woken up; False: Redis does not answer, and the job waits until it does.
        """
        return self._queue.wake(job_id)

    def resume(self) -> None:
        """Go on with what an earlier process has left, where this one does the work."""
        self._queue.resume()

    @property
    def _queue(self) -> _Queue:
        queue: _Queue = current_app.extensions["job_queue"]
        return queue


class _Queue:
    """The queue of one app in one process."""

    def __init__(self, app: Flask, redis_url: str) -> None:
        self._app, self.redis_url = app, redis_url
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wanted = False
        self._celery: Celery | None = None

    def wake(self, job_id: int) -> bool:
        if self.redis_url:
            return self._send(job_id)
        self.resume()
        return True

    def resume(self) -> None:
        if not self.redis_url and self._app.config["JOBS_RUN_IN_PROCESS"]:
            self._start_thread()

    def _send(self, job_id: int) -> bool:
        # Here, for a web process without Redis need not know of Celery.
        from kombu.exceptions import OperationalError

        from melanoma_app.tasks import WORK_ON, make_celery

        with self._lock:
            self._celery = self._celery or make_celery(self.redis_url)
        try:
            self._celery.send_task(WORK_ON, args=[job_id], retry=False)
        except OperationalError:
            logger.warning("Redis does not answer; job %s waits until a worker looks for it", job_id)
            return False
        return True

    def _start_thread(self) -> None:
        """One thread a process, for all jobs. It is a daemon: it may die at any moment, as the process may."""
        with self._lock:
            self._wanted = True
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        from melanoma_app.extensions import db, image_storage
        from melanoma_app.services.job_runs import run_job
        from melanoma_app.services.jobs import list_unfinished
        from melanoma_app.services.upload_tidying import tidy_uploads

        while self._is_wanted():
            with self._app.app_context():
                try:
                    tidy_uploads(store=image_storage.store)
                    for job_id in list_unfinished():
                        run_job(job_id=job_id)
                except (ClinicError, DBAPIError):
                    logger.exception("the work on a job was cut short; it goes on when the next job is begun")
                finally:
                    db.session.remove()

    def _is_wanted(self) -> bool:
        with self._lock:
            wanted, self._wanted = self._wanted, False
            if not wanted:
                self._thread = None  # whoever comes now starts another
            return wanted
