"""The extensions, not yet bound to an app; `create_app` binds them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from flask import Flask, current_app, request
from flask_limiter import Limiter
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from limits.storage import MemoryStorage, Storage
from limits.strategies import FixedWindowRateLimiter, RateLimiter

from melanoma_app.errors import BusyError
from melanoma_app.instruments import Metrics
from melanoma_app.job_queue import JobQueue
from melanoma_app.model_shelf import ModelShelf
from melanoma_app.models import Base
from melanoma_app.storage import ImageStore, S3Access, open_store

logger = logging.getLogger(__name__)

REDIS_WAIT_S: Final = 1
"""Redis answers within a millisecond or is in trouble; a sign-in waits no longer for it."""
DECODING_WAIT_S: Final = 10
"""A photograph takes half a second; who has waited so long is better told."""


class ReleasedClassifier:
    """The released models of the app, and in each process the one that is active there, loaded when first asked for."""

    def init_app(self, app: Flask, *, folder: Path, default_name: str, processes: int) -> None:
        """Remember where the released models are, which serves by default, and how many processes share the cores."""
        threads = max(1, len(os.sched_getaffinity(0)) // processes)
        app.extensions["model_shelf"] = ModelShelf(folder=folder, default_name=default_name, threads=threads)

    @property
    def shelf(self) -> ModelShelf:
        """The current app's shelf; which of its models is active stands in the database, so services say which."""
        shelf: ModelShelf = current_app.extensions["model_shelf"]
        return shelf


class ImageStorage:
    """The image store the settings ask for."""

    def init_app(self, app: Flask, *, place: str, access: S3Access) -> None:
        """Use a folder, or a bucket."""
        app.extensions["image_store_place"], app.extensions["image_store_access"] = place, access
        app.extensions["image_store"] = self.open(place, app=app)

    def open(self, place: str, *, app: Flask | None = None) -> ImageStore:
        """The store at some place, reached as the app's own would be."""
        return open_store(place, access=(app or current_app).extensions["image_store_access"])

    @property
    def place(self) -> str:
        """Where the current app's store is: `s3://bucket/prefix` or a folder."""
        place: str = current_app.extensions["image_store_place"]
        return place

    @property
    def store(self) -> ImageStore:
        """The current app's store."""
        store: ImageStore = current_app.extensions["image_store"]
        return store


class Decoding:
    """How many photographs a process decodes and scores at once: each takes up to 200 MB while it lasts."""

    def init_app(self, app: Flask, *, at_once: int) -> None:
        """Make the slots."""
        app.extensions["decoding"] = threading.BoundedSemaphore(at_once)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait a little for a slot, and hold it.

        Raises:
            BusyError: None came free in time.
        """
        slots: threading.BoundedSemaphore = current_app.extensions["decoding"]
        if not slots.acquire(timeout=DECODING_WAIT_S):
            raise BusyError(
                "The server is busy with other photographs, so this one was not looked at. Nothing was saved: send it "
                "again in a few seconds."
            )
        try:
            with metrics.decoding_one():
                yield
        finally:
            slots.release()


class Attempts:
    """Where failed attempts are counted: Redis for all processes; while it does not answer, this process's memory.

    Signing in must work without Redis. Guesses are then counted by each process for itself, so that one gets through as
    many times more as there are processes; the holds of accounts stand in the database and are the same as ever.
    """

    def init_app(self, app: Flask) -> None:
        """Have the process's own counts ready."""
        app.extensions["own_attempts"] = MemoryStorage()

    @property
    def storage(self) -> Storage:
        """The counts that can be used now."""
        own: Storage = current_app.extensions["own_attempts"]
        if limiter.storage.check():
            return limiter.storage
        logger.warning("Redis does not answer, so this process counts attempts for itself")
        return own

    @property
    def limiter(self) -> RateLimiter:
        """Limits by these counts."""
        return FixedWindowRateLimiter(self.storage)


def limit_storage_options(url: str) -> dict[str, int]:
    """How long to wait for the storage of the limits; memory needs no such thing."""
    if not url.startswith("redis"):
        return {}
    return {"socket_connect_timeout": REDIS_WAIT_S, "socket_timeout": REDIS_WAIT_S}


def _remote_address() -> str:
    return request.remote_addr or "unknown"


db = SQLAlchemy(model_class=Base, disable_autonaming=True, session_options={"expire_on_commit": False})
migrate = Migrate()
csrf = CSRFProtect()
# Without Redis Flask-Limiter counts in memory, by the same limits, and looks for Redis again after 1 to 32 s.
limiter = Limiter(key_func=_remote_address, headers_enabled=True, in_memory_fallback_enabled=True)
attempts = Attempts()
classifier = ReleasedClassifier()
image_storage = ImageStorage()
metrics = Metrics()
decoding = Decoding()
job_queue = JobQueue()
