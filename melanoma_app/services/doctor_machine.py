"""The doctor's look at the machine: disks, the file system's clock, the image store, the model."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from config import Settings
from melanoma_app.errors import UnavailableError
from melanoma_app.extensions import classifier, db, image_storage
from melanoma_app.services.doctor_database import say_skew
from melanoma_app.services.doctor_findings import Finding, broken, look, well
from melanoma_app.services.model_activation import find_active_pin
from ml.inference import ModelIntegrityError

BYTES_A_GB: Final = 1_000_000_000
LEAST_FREE_GB: Final = 0.5
"""About a thousand photographs: a few days' warning."""
FREE_TO_LOOK_AT_GB: Final = 5.0
FREE_TO_LOOK_AT: Final = 0.1
"""Share of the disk."""
FEWEST_FREE_FILES: Final = 10_000
REDIS_WAIT_S: Final = 2

_NO_MODEL: Final = broken("model", "Which one is active cannot be told without the database.")


def examine_machine(settings: Settings, *, is_database_there: bool) -> Iterator[Finding]:
    """Look at folders, disks, store and model.

    Args:
        settings: What the app was started with.
        is_database_there: Whether it can be asked which model is active.
    """
    yield _say_file_time(settings.instance_folder)
    yield from _say_disks(settings)
    yield _say_store()
    if settings.redis_url:
        yield _say_redis(settings.redis_url)
    yield _say_model() if is_database_there else _NO_MODEL


def _say_file_time(folder: Path) -> Finding:
    """The file system may be another machine's, with another clock."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
            skew_s = abs(os.fstat(file.fileno()).st_mtime - time.time())
    except OSError as error:
        return broken(
            "instance folder",
            f"{folder} cannot be written ({error.strerror}). Make it writable, or name another in INSTANCE_FOLDER.",
        )
    return say_skew("file system's clock", skew_s, "the file server")


def _say_disks(settings: Settings) -> Iterator[Finding]:
    folders = {"instance folder": settings.instance_folder, "temporary files": Path(tempfile.gettempdir())}
    if not settings.image_store_url:
        folders["image folder"] = settings.image_folder
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and url.database:
        folders["database file"] = Path(url.database).parent
    seen: dict[int, list[str]] = {}
    paths: dict[int, Path] = {}
    for name, folder in folders.items():
        try:
            device = folder.stat().st_dev
        except OSError as error:
            if name == "image folder":
                continue  # it is made with the first photograph, and the store says whether it can be
            yield broken("disk", f"The folder of the {name}, {folder}, cannot be reached ({error.strerror}).")
            continue
        seen.setdefault(device, []).append(name)
        paths.setdefault(device, folder)
    for device, names in seen.items():
        yield _say_disk(", ".join(names), paths[device])


def _say_disk(names: str, folder: Path) -> Finding:
    disk = os.statvfs(folder)
    free_gb = disk.f_bavail * disk.f_frsize / BYTES_A_GB
    words = f"{free_gb:.1f} GB free for {names}"
    advice = (
        "Make room or give it a larger disk: without room no photograph is taken in and nobody can sign in."
    )
    if free_gb < LEAST_FREE_GB or (disk.f_files and disk.f_favail < FEWEST_FREE_FILES):
        return broken("disk", f"{words}, and {disk.f_favail} more files. {advice}")
    if free_gb < FREE_TO_LOOK_AT_GB and disk.f_bavail < disk.f_blocks * FREE_TO_LOOK_AT:
        return look("disk", f"{words}. {advice}")
    return well("disk", f"{words}.")


def _say_store() -> Finding:
    """Write a file, read it and remove it, under a key such as photographs have."""
    part, store, content = "image store", image_storage.store, b"written by flask doctor"
    key = f"{hashlib.sha256(content).hexdigest()}-{uuid.uuid4().hex}.jpg"
    try:
        store.check()
        store.save(content, key=key)
        try:
            is_same = store.read(key=key) == content
        finally:
            store.delete(key=key)
    except UnavailableError as error:
        return broken(part, error.message)
    if not is_same:
        return broken(
            part, "It gives back other bytes than it was given. Look at its disk, and restore a backup."
        )
    return well(part, "It can be written and read.")


def _say_redis(url: str) -> Finding:
    try:
        with Redis.from_url(url, socket_connect_timeout=REDIS_WAIT_S, socket_timeout=REDIS_WAIT_S) as redis:
            redis.ping()
    except RedisError as error:
        return broken(
            "Redis",
            f"It does not answer ({type(error).__name__}). Start it, or correct REDIS_URL: until then work in the "
            "background waits.",
        )
    return well("Redis", "It answers.")


def _say_model() -> Finding:
    """Load it as serving does, and let it score an empty picture."""
    shelf = classifier.shelf
    try:
        pin = find_active_pin()
    except DBAPIError:
        return _NO_MODEL
    finally:
        db.session.rollback()
    try:
        manifest = shelf.try_out(shelf.choose(pin))
    except ModelIntegrityError as error:
        return broken(
            "model",
            f"Photographs are refused: {shelf.explain(error)} `flask models list` shows the others, "
            "`flask models activate` switches.",
        )
    return well("model", f"{manifest.identifier} is whole, and scores.")
