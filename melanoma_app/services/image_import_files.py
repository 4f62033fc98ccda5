"""The files of an image import: found where they lie, read, decoded, scored and stored. No database is needed."""

from __future__ import annotations

import hashlib
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from flask import current_app

from melanoma_app.errors import ClinicError, InvalidInputError, UnavailableError
from melanoma_app.security.upload_guard import check_upload
from melanoma_app.services.image_files import ImageFiles, store_image_files
from melanoma_app.services.model_answers import ModelAnswer, ask_model
from melanoma_app.services.photographs import decode_upload
from melanoma_app.storage import ImageStore
from ml.inference import Classifier

ENDINGS: Final = ("", ".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")
"""Tried in turn."""


@dataclass(frozen=True, kw_only=True)
class ScoredFile:
    """A photograph that was decoded, scored and stored, but is on no record yet.

    Args:
        size_px: Width and height as stored.
        files: What the store keeps; None in a dry run.
        answer: What the model said; None where none may look.
        latency_s: Seconds from the file to the answer.
    """

    size_px: tuple[int, int]
    files: ImageFiles | None
    answer: ModelAnswer | None
    latency_s: float


class PhotographSource(Protocol):
    """Where the photographs of an import come from."""

    def digest(self, name: str) -> str:
        """The SHA-256 of a file, which tells whether it is on record already.

        Raises:
            InvalidInputError: There is no such file, or it cannot be read.
        """

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            InvalidInputError: There is no such file, or it cannot be read.
            UnavailableError: None can be read at present.
        """


@dataclass(frozen=True, kw_only=True)
class PhotographIntake:
    """What is done with each file, wherever it comes from.

    Args:
        source: Where from.
        max_upload_mb: As for an upload.
        max_image_megapixels: As for an upload.
    """

    source: PhotographSource
    max_upload_mb: int
    max_image_megapixels: int

    def take_in(
        self, name: str, *, digest: str, model: Classifier | None, store: ImageStore | None
    ) -> ScoredFile:
        """Do with a file what an upload goes through: guard, decode, score, re-encode, store.

        Args:
            name: The file.
            digest: What it was when it was looked at first.
            model: The one that looks; None where the patient has not agreed.
            store: Where the photograph and its thumbnail go; None in a dry run.

        Raises:
            InvalidInputError: It is damaged, or has changed since.
            UnsupportedImageError: It is neither JPEG nor PNG.
            TooLargeError: The file or its picture is too large.
            UnavailableError: The model or the store does not work.
        """
        upload = self.source.read(name)
        if hashlib.sha256(upload).hexdigest() != digest:
            raise _refused("The file has changed while it was imported.")
        check_upload(upload, max_upload_mb=self.max_upload_mb, max_image_megapixels=self.max_image_megapixels)
        started = time.perf_counter()
        image = decode_upload(upload)
        answer = ask_model(model=model, image=image) if model else None
        latency_s = time.perf_counter() - started
        files = store_image_files(image=image, store=store) if store else None
        return ScoredFile(size_px=image.size, files=files, answer=answer, latency_s=latency_s)

    def take_in_or_refuse(
        self, name: str, *, digest: str, model: Classifier | None, store: ImageStore | None
    ) -> ScoredFile | ClinicError:
        """As `take_in`, with what is wrong with the file given back: a raised error would hold on to its bytes.

        Raises:
            UnavailableError: The model or the store does not work: the next file would fare no better.
        """
        try:
            return self.take_in(name, digest=digest, model=model, store=store)
        except UnavailableError:
            raise
        except ClinicError as error:
            return ClinicError(error.message, fields=error.fields)


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """A folder of photographs.

    Args:
        path: Without symbolic links in it.
        max_upload_mb: Not much more than that is read of a file.
    """

    path: Path
    max_upload_mb: int

    def digest(self, name: str) -> str:
        """The SHA-256 of a file within the folder."""
        return hashlib.sha256(self.read(name)).hexdigest()

    def read(self, name: str) -> bytes:
        """The bytes of a file within the folder."""
        # One byte more than is taken, so that the guard sees that the file is too large.
        limit = self.max_upload_mb * 1_000_000 + 1
        try:
            with self._find(name).open("rb") as file:
                return file.read(limit)
        except OSError as error:
            raise _refused(f"The file cannot be read: {error.strerror}.") from error

    def _find(self, name: str) -> Path:
        if name.startswith(("/", "\\")) or ".." in Path(name).parts or "\0" in name:
            raise _refused("The name leads out of the folder. Give the name of a file in it.")
        for ending in ENDINGS:
            path = (self.path / f"{name}{ending}").resolve()
            try:
                if not stat.S_ISREG(path.stat().st_mode):
                    continue
            except OSError:
                continue
            if not path.is_relative_to(self.path):
                raise _refused("The name is a link that leads out of the folder. Copy the file into it.")
            return path
        raise _refused("The folder has no such file, with or without the ending .jpg, .jpeg or .png.")


def photographs_in(folder: Path) -> ImageFolder:
    """A folder as the source of an import."""
    return ImageFolder(path=folder.resolve(), max_upload_mb=current_app.config["MAX_UPLOAD_MB"])


def _refused(message: str) -> InvalidInputError:
    return InvalidInputError(message, fields={"image": [message]})
