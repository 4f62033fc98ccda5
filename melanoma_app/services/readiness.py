"""Whether this process can serve: database, migrations, image store and model, each asked with a time limit.

It is asked every few seconds by a proxy that sends patients' work elsewhere after a no. So it takes no lock, waits for
no writer, opens no session, and never waits for a part longer than the limit: a database that takes a connection and
then says nothing is gone, too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, Select, select
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from melanoma_app.errors import UnavailableError
from melanoma_app.model_shelf import ModelPin, ModelShelf
from melanoma_app.models import ModelActivation, ModelVersion
from melanoma_app.services.migration_state import compare_revision
from melanoma_app.services.plain_reading import reading
from melanoma_app.storage import ImageStore
from ml.inference import ModelIntegrityError
from ml.inference.manifest import MANIFEST_FILE, MODEL_FILE

LIMIT_S: Final = 4.0
"""How long a part may take to answer; the database's own limit to open a connection is 5 s."""
VALID_S: Final = 1.0
"""How long an answer holds: asked more often, nothing more is done."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Check:
    """What is known of one part."""

    is_ok: bool
    words: str


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """What the database says of itself."""

    revision: str | None
    pin: ModelPin | None


class Readiness:
    """The parts of one app. Safe to share between threads: one asks, the others take its last answer.

    Args:
        engine: Of the database; asked for when it is first needed.
        store: The image store, likewise.
        shelf: The released models.
        migrations: The folder of the migrations.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        store: ImageStore,
        shelf: ModelShelf,
        migrations: Path,
    ) -> None:
        self._engine, self._shelf, self._migrations = engine, shelf, migrations
        driver = engine.dialect.loaded_dbapi
        self._database = _Part(self._ask_database, driver.Error, PoolTimeoutError)
        self._storage = _Part(store.check, UnavailableError)
        self._model = _Part(self._ask_model, ModelIntegrityError, OSError)
        self._lock = threading.Lock()
        self._answer: Mapping[str, Check] | None = None
        self._answered_at = 0.0
        self._kept: _Kept | None = None
        self._known_good: tuple[Any, ...] | None = None

    def check(self) -> Mapping[str, Check]:
        """Each part by its name; at most `VALID_S` old, or as old as the question that is still being asked."""
        if not self._lock.acquire(blocking=self._answer is None):
            assert self._answer is not None  # noqa: S101 (else it would have waited)
            return self._answer
        try:
            if self._answer is None or time.monotonic() - self._answered_at > VALID_S:
                self._answer = self._ask_all()
                self._answered_at = time.monotonic()
            return self._answer
        finally:
            self._lock.release()

    def _ask_all(self) -> Mapping[str, Check]:
        until = time.monotonic() + LIMIT_S
        self._storage.ask()
        self._database.ask()
        database = self._database.answer(until=until)
        if database is None:  # which model is active stands there
            self._model.ask()
        return {
            "database": _say(database, "The database answers.", "The database does not answer."),
            "migrations": self._say_migrations() if database is None else _NOT_TOLD,
            "storage": _say(
                self._storage.answer(until=until),
                "The image store can be used.",
                "The image store does not answer, is full or cannot be written, so photographs are refused.",
            ),
            "model": _say(
                self._model.answer(until=until),
                "The active model is whole.",
                "The active model is missing or damaged, so photographs are refused.",
            )
            if database is None
            else _NOT_TOLD,
        }

    def _say_migrations(self) -> Check:
        kept = self._kept
        state = compare_revision(kept.revision if kept else None, migrations=self._migrations)
        if state.missing:
            return Check(is_ok=False, words="The database lacks migrations of this program.")
        words = (
            "A newer program has upgraded the database." if state.is_newer else "The database is up to date."
        )
        return Check(is_ok=True, words=words)

    def _ask_database(self) -> None:
        revisions: list[tuple[Any, ...]] = []
        chosen: list[tuple[Any, ...]] = []
        with reading(self._engine) as reader:
            reader.rows("SELECT 1")
            # Tables that are not there yet are told as missing migrations.
            with suppress(self._engine.dialect.loaded_dbapi.Error):
                revisions = reader.rows("SELECT version_num FROM alembic_version")
                chosen = reader.rows(_active_model())
        revision = revisions[0][0] if revisions else None
        pin = ModelPin(identifier=f"{chosen[0][0]}-{chosen[0][1]}", sha256=chosen[0][2]) if chosen else None
        self._kept = _Kept(revision=revision, pin=pin)

    def _ask_model(self) -> None:
        """Check the file's digest, but not again while neither the choice nor the file has changed."""
        pin = self._kept.pin if self._kept else None
        chosen = self._shelf.choose(pin)
        stamps = ((chosen.folder / name).stat() for name in (MODEL_FILE, MANIFEST_FILE))
        seen = (pin, chosen.folder, *((one.st_ino, one.st_size, one.st_mtime_ns) for one in stamps))
        if seen != self._known_good:
            self._shelf.check(pin)
            self._known_good = seen


class _Part:
    """One thing that is asked in a thread of its own; while it has not answered it is not asked again."""

    def __init__(self, question: Callable[[], None], *failures: type[Exception]) -> None:
        self._question, self._failures = question, failures
        self._done = threading.Event()
        self._done.set()
        self._problem: Exception | None = None

    def ask(self) -> None:
        """Begin to ask, unless the last question stands."""
        if self._done.is_set():
            self._done.clear()
            threading.Thread(target=self._run, name="readiness", daemon=True).start()

    def answer(self, *, until: float) -> Exception | None:
        """What is wrong; None when nothing is."""
        if not self._done.wait(max(0.0, until - time.monotonic())):
            return TimeoutError("no answer in time")
        return self._problem

    def _run(self) -> None:
        try:
            self._problem = RuntimeError("the question broke off")
            self._question()
            self._problem = None
        except self._failures as problem:
            self._problem = problem
        finally:
            self._done.set()


_NOT_TOLD: Final = Check(is_ok=False, words="It cannot be told without the database.")


def _say(problem: Exception | None, well: str, unwell: str) -> Check:
    if problem is None:
        return Check(is_ok=True, words=well)
    logger.warning("not ready: %s (%s: %s)", unwell, type(problem).__name__, problem)
    return Check(is_ok=False, words=unwell)


def _active_model() -> Select[str, str, str]:
    return (
        select(ModelVersion.name, ModelVersion.version, ModelVersion.sha256)
        .join(ModelActivation, ModelActivation.model_version_id == ModelVersion.id)
        .order_by(ModelActivation.number.desc())
        .limit(1)
    )
