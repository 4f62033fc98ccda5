"""The extensions, not yet bound to an app; `create_app` binds them."""

from __future__ import annotations

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

from melanoma_app.errors import BusyError
from melanoma_app.model_shelf import ModelShelf
from melanoma_app.models import Base
from melanoma_app.storage import ImageStore, LocalImageStore

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

    def init_app(self, app: Flask, *, folder: Path) -> None:
        """Use a local folder."""
        app.extensions["image_store"] = LocalImageStore(folder)

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
            yield
        finally:
            slots.release()


def _remote_address() -> str:
    return request.remote_addr or "unknown"


db = SQLAlchemy(model_class=Base, disable_autonaming=True, session_options={"expire_on_commit": False})
migrate = Migrate()
csrf = CSRFProtect()
limiter = Limiter(key_func=_remote_address, headers_enabled=True)
classifier = ReleasedClassifier()
image_storage = ImageStorage()
decoding = Decoding()
