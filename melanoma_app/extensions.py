"""The extensions, not yet bound to an app; `create_app` binds them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from flask import Flask, current_app, request
from flask_limiter import Limiter
from flask_login import LoginManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from melanoma_app.models import Base
from melanoma_app.storage import ImageStore, LocalImageStore
from ml.inference import Classifier, check_released_model, find_released_model


class ReleasedClassifier:
    """The model that serves, loaded (and its digest checked) once a process, when first asked for."""

    def init_app(self, app: Flask, *, folder: Path, name: str, processes: int) -> None:
        """Remember where the released models are, which of them serves, and how many processes share the cores."""
        threads = max(1, len(os.sched_getaffinity(0)) // processes)
        app.extensions["released_classifier"] = _LazyClassifier(folder, name, threads)

    def get(self) -> Classifier:
        """The current app's model.

        Raises:
            ModelIntegrityError: It is missing, or is not the file its manifest tells of.
        """
        lazy: _LazyClassifier = current_app.extensions["released_classifier"]
        return lazy.get()

    def check(self) -> None:
        """Check the model's files without loading them, for a process that forks later.

        Raises:
            ModelIntegrityError: As for `get`.
        """
        lazy: _LazyClassifier = current_app.extensions["released_classifier"]
        check_released_model(lazy.find())


class _LazyClassifier:
    def __init__(self, folder: Path, name: str, threads: int) -> None:
        self._folder, self._name, self._threads = folder, name, threads
        self._lock = threading.Lock()
        self._classifier: Classifier | None = None

    def find(self) -> Path:
        return find_released_model(self._name, folder=self._folder)

    def get(self) -> Classifier:
        with self._lock:
            if self._classifier is None:
                self._classifier = Classifier.load(self.find(), threads=self._threads)
            return self._classifier


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


def _remote_address() -> str:
    return request.remote_addr or "unknown"


db = SQLAlchemy(model_class=Base, disable_autonaming=True, session_options={"expire_on_commit": False})
migrate = Migrate()
login_manager = LoginManager()
csrf = CSRFProtect()
limiter = Limiter(key_func=_remote_address, headers_enabled=True)
classifier = ReleasedClassifier()
image_storage = ImageStorage()
