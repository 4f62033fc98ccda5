"""The shelf of released models: what stands on it, and the one that this process holds ready to score."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from ml.inference import (
    Classifier,
    ModelIntegrityError,
    ModelManifest,
    check_released_model,
    find_released_model,
)
from ml.inference.manifest import MODEL_FILE

CARD_FILE: Final = "MODEL_CARD.md"
PLOTS: Final[Mapping[str, str]] = {
    "training_curves.png": "Training curves",
    "roc.png": "ROC curve",
    "calibration.png": "Calibration",
    "confusion_matrix.png": "Confusion matrix",
}
"""The pictures of a released model's folder that are given out, with their titles; no other file is."""
_IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_]{0,63}-[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}")


@dataclass(frozen=True, kw_only=True)
class ModelPin:
    """One released model and no other: its name-version and the SHA-256 of its file."""

    identifier: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ShelvedModel:
    """A folder of the shelf.

    Args:
        folder: Where it is.
        manifest: What the model says of itself; None when that cannot be read.
        problem: What is wrong with it and what to do; empty when nothing is known to be.
    """

    folder: Path
    manifest: ModelManifest | None
    problem: str = ""

    @property
    def identifier(self) -> str:
        """The folder's name, which is the model's name-version."""
        return self.folder.name

    @property
    def card(self) -> str:
        """The text of the model card; empty when there is none."""
        try:
            return (self.folder / CARD_FILE).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    @property
    def plots(self) -> tuple[str, ...]:
        """Which of the plots are there."""
        return tuple(name for name in PLOTS if (self.folder / name).is_file())


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    classifier: Classifier
    stamp: tuple[int, int, int] | None

    def is_still(self, chosen: ShelvedModel, stamp: tuple[int, int, int] | None) -> bool:
        """Whether this is the chosen model, with its files as they are now."""
        return stamp is not None and stamp == self.stamp and self.classifier.manifest == chosen.manifest


class ModelShelf:
    """The released models of a folder.

    One model is held in memory: asking for another lets go of it, and its memory is free once the last thread that
    still scores with it is done. Safe to share between threads. Nothing is loaded before it is asked for, because
    ONNX Runtime must not be imported in a process that forks later.

    Args:
        folder: Where the released models are.
        default_name: Name, or name-version, of the model that serves until an administrator has chosen one.
        threads: Cores that one prediction may use.
    """

    def __init__(self, *, folder: Path, default_name: str, threads: int) -> None:
        self._folder, self._default_name, self._threads = folder, default_name, threads
        self._lock = threading.Lock()
        self._looking_back = threading.Lock()
        self._loaded: _Loaded | None = None

    def models(self) -> list[ShelvedModel]:
        """Every model of the shelf by name, newest version first; one that cannot be read hides no other."""
        try:
            folders = [
                one for one in self._folder.iterdir() if one.is_dir() and not one.name.startswith((".", "_"))
            ]
        except OSError:
            return []
        return sorted(map(_look_at, folders), key=_by_name_newest_first)

    def find(self, identifier: str) -> ShelvedModel | None:
        """The model of that name-version, usable or not; None when there is none.

        Args:
            identifier: May come from anybody: what is no name-version is not looked for on the disk.
        """
        if not _IDENTIFIER.fullmatch(identifier) or not (self._folder / identifier).is_dir():
            return None
        return _look_at(self._folder / identifier)

    def choose(self, pin: ModelPin | None) -> ShelvedModel:
        """The model that is meant, by its manifest alone.

        Args:
            pin: The model an administrator has chosen; None for the one of the settings.

        Raises:
            ModelIntegrityError: It is not on the shelf, or another stands in its place.
        """
        if pin is None:
            return self._choose_default()
        shelved = self.find(pin.identifier)
        if shelved is None:
            raise ModelIntegrityError(
                f"{pin.identifier} is the active model but is not among the released models: restore its folder, "
                "or activate another model."
            )
        if shelved.manifest is None:
            raise ModelIntegrityError(shelved.problem)
        if shelved.manifest.sha256 != pin.sha256:
            raise ModelIntegrityError(
                f"{pin.identifier} was replaced after it had been activated (sha256 differs): restore its folder, "
                "or activate it again."
            )
        return shelved

    def check(self, pin: ModelPin | None) -> ModelManifest:
        """Check the chosen model's files without loading them, for a process that forks later.

        Raises:
            ModelIntegrityError: As for `choose`, or its file is missing or damaged.
        """
        return check_released_model(self.choose(pin).folder)

    def load(self, pin: ModelPin | None) -> Classifier:
        """The chosen model, ready to score.

        It is read and its digest checked when it is not the one in memory, or when its files are no longer what they
        were when it was loaded: so every process answers with the same model, or says that it cannot.

        Raises:
            ModelIntegrityError: As for `check`, or it does not fit this program.
        """
        with self._lock:
            chosen = self.choose(pin)
            stamp = _stamp(chosen.folder)
            if self._loaded is None or not self._loaded.is_still(chosen, stamp):
                self._loaded = None  # two large networks need not lie in memory side by side
                self._loaded = _Loaded(classifier=self._read(chosen, pin), stamp=stamp)
            return self._loaded.classifier

    def load_for_many(self, pin: ModelPin | None) -> Classifier:
        """The chosen model, made to score one picture after another in several threads of a process of its own.

        It is not the one that the shelf holds in memory: one answer uses one core, and keeps what memory it needed.

        Raises:
            ModelIntegrityError: As for `load`.
        """
        return self._read(self.choose(pin), pin, threads=1, is_for_many=True)

    @contextmanager
    def look_back(self, pin: ModelPin, *, active: ModelPin | None) -> Iterator[Classifier]:
        """The very model of an earlier answer, active or not.

        The active one stays in memory as ever. Another is loaded beside it and let go of afterwards, one at a time:
        looking back neither drives out the model that scores nor fills the memory.

        Args:
            pin: The model that answered.
            active: The one that scores new photographs; None for the one of the settings.

        Raises:
            ModelIntegrityError: It is not on the shelf, another stands in its place, or it cannot be used.
        """
        if self._is_chosen(pin, active):
            yield self.load(active)
            return
        chosen = self.find(pin.identifier)
        if chosen is None or chosen.manifest is None or chosen.manifest.sha256 != pin.sha256:
            raise ModelIntegrityError(f"{pin.identifier} is no longer among the released models.")
        with self._looking_back:
            yield self._read(chosen, pin)

    def try_out(self, shelved: ShelvedModel) -> ModelManifest:
        """Load a model beside the one that serves, let it score an empty picture, and drop it again.

        Raises:
            ModelIntegrityError: It cannot be used.
        """
        candidate = Classifier.load(shelved.folder, threads=self._threads)
        size_px = candidate.manifest.input_size_px
        candidate.predict(Image.new("RGB", (size_px, size_px)))
        return candidate.manifest

    def explain(self, error: ModelIntegrityError) -> str:
        """What is wrong with a model, without telling where on this machine it is kept."""
        return _without_place(str(error), self._folder)

    def _is_chosen(self, pin: ModelPin, active: ModelPin | None) -> bool:
        try:
            manifest = self.choose(active).manifest
        except ModelIntegrityError:
            return False
        return manifest is not None and (manifest.identifier, manifest.sha256) == (
            pin.identifier,
            pin.sha256,
        )

    def _read(
        self,
        chosen: ShelvedModel,
        pin: ModelPin | None,
        *,
        threads: int | None = None,
        is_for_many: bool = False,
    ) -> Classifier:
        classifier = Classifier.load(chosen.folder, threads=threads or self._threads, is_for_many=is_for_many)
        if pin is not None and classifier.manifest.sha256 != pin.sha256:
            raise ModelIntegrityError(f"{pin.identifier} was replaced while it was read: try again.")
        return classifier

    def _choose_default(self) -> ShelvedModel:
        named = [
            one
            for one in self.models()
            if self._default_name in (one.identifier, one.identifier.rpartition("-")[0])
        ]
        for shelved in named:
            if shelved.manifest is None:  # it may be the newest, and no other takes its place unseen
                raise ModelIntegrityError(shelved.problem)
        if named:
            return named[0]
        folder = find_released_model(self._default_name, folder=self._folder)
        return ShelvedModel(folder=folder, manifest=ModelManifest.read(folder))


def _without_place(text: str, folder: Path) -> str:
    """A message without telling where on this machine the shelf is."""
    return text.replace(f"{folder}{os.sep}", "").replace(str(folder), "the folder of released models")


def _look_at(folder: Path) -> ShelvedModel:
    try:
        manifest = ModelManifest.read(folder)
    except ModelIntegrityError as error:
        return ShelvedModel(folder=folder, manifest=None, problem=_without_place(str(error), folder.parent))
    if manifest.identifier != folder.name:
        problem = f"{folder.name} holds the model {manifest.identifier}: give the folder its model's name."
        return ShelvedModel(folder=folder, manifest=None, problem=problem)
    if _stamp(folder) is None:
        problem = f"{folder.name}/{MODEL_FILE} is missing: restore it from the repository."
        return ShelvedModel(folder=folder, manifest=manifest, problem=problem)
    return ShelvedModel(folder=folder, manifest=manifest)


def _by_name_newest_first(shelved: ShelvedModel) -> tuple[str, tuple[int, ...]]:
    if shelved.manifest is None:
        return shelved.identifier, ()
    return shelved.manifest.name, tuple(-number for number in shelved.manifest.version_key)


def _stamp(folder: Path) -> tuple[int, int, int] | None:
    """What changes when the network's file does; None when it is not there."""
    try:
        status = (folder / MODEL_FILE).stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
