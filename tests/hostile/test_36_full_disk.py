"""Hostile list 36: disk full, storage read-only: 503, rolled back."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from melanoma_app.models import AuditEvent, Clinic, Lesion, LesionImage, Prediction
from melanoma_app.models.vocabulary import AuditAction
from tests.api import error_of, send_image
from tests.browsing import Browser
from tests.examining import FILES_AN_IMAGE
from tests.factories import LesionFactory
from tests.records import Records


@pytest.fixture
def lesion(clinic: Clinic) -> Lesion:
    return LesionFactory(patient__clinic=clinic)


class TestDiskFull:
    @pytest.fixture(
        params=["at once", "half-way", "at the thumbnail", "when flushed", "when renamed", "no folder"]
    )
    def mend(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Callable[[], None]]:
        """The image folder has no room, found out at one step or another; gives what makes room again."""
        step, calls = request.param, [0]

        def fail(*_arguments: object, **_options: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        real_open = os.fdopen
        with monkeypatch.context() as patch:
            if step == "at once":
                patch.setattr(tempfile, "mkstemp", fail)
            elif step == "no folder":
                patch.setattr(Path, "mkdir", fail)
            elif step == "when flushed":
                patch.setattr(os, "fsync", fail)
            elif step == "when renamed":
                patch.setattr(Path, "rename", fail)
            else:

                def open_nearly_full(*arguments: object, **options: object) -> object:
                    calls[0] += 1
                    if step == "at the thumbnail" and calls[0] == 1:
                        return real_open(*arguments, **options)
                    return _NearlyFull(real_open(*arguments, **options))

                patch.setattr(os, "fdopen", open_nearly_full)
            yield patch.undo

    def test_upload_is_refused_whole_and_the_next_works_when_there_is_room_again(
        self,
        client: FlaskClient,
        headers: dict[str, str],
        lesion: Lesion,
        records: Records,
        photograph: bytes,
        mend: Callable[[], None],
    ) -> None:
        refusal = error_of(
            send_image(client, lesion.public_id, headers, photograph), HTTPStatus.SERVICE_UNAVAILABLE
        )

        assert "No space left on device" in refusal["message"]
        assert "Tell your engineer" in refusal["message"]
        assert records.count(LesionImage) == records.count(Prediction) == len(records.files()) == 0
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.IMAGE_ADDED) == 0
        mend()
        assert send_image(client, lesion.public_id, headers, photograph).status_code == HTTPStatus.CREATED
        assert len(records.files()) == FILES_AN_IMAGE


class _NearlyFull:
    """A file that takes half of what is written."""

    def __init__(self, file: object) -> None:
        self._file = file

    def __enter__(self) -> _NearlyFull:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        self._file.write(data[: len(data) // 2])
        self._file.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class TestStorageUnwritable:
    @pytest.fixture(autouse=True)
    def _blocked(self, image_folder: Path) -> None:
        """A file stands where the folder should be: not even root can write there."""
        image_folder.write_text("no folder", encoding="utf-8")

    def test_upload_leaves_no_row_when_sent_over_rest(
        self,
        client: FlaskClient,
        headers: dict[str, str],
        lesion: Lesion,
        records: Records,
        photograph: bytes,
    ) -> None:
        response = send_image(client, lesion.public_id, headers, photograph)

        assert "nothing was saved" in error_of(response, HTTPStatus.SERVICE_UNAVAILABLE)["message"]
        assert records.count(LesionImage) == records.count(Prediction) == 0
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.IMAGE_ADDED) == 0

    def test_upload_leaves_no_row_when_sent_through_the_page(
        self, browser: Browser, lesion: Lesion, records: Records, photograph: bytes
    ) -> None:
        page = browser.fill_in(f"/lesions/{lesion.public_id}/images/new", image=(photograph, "photo.jpg"))

        assert page.status == 503
        assert records.count(LesionImage) == records.count(Prediction) == 0

    def test_next_upload_works_when_the_folder_is_mended(
        self,
        client: FlaskClient,
        headers: dict[str, str],
        lesion: Lesion,
        image_folder: Path,
        records: Records,
        photograph: bytes,
    ) -> None:
        send_image(client, lesion.public_id, headers, photograph)
        image_folder.unlink()

        assert send_image(client, lesion.public_id, headers, photograph).status_code == 201
        assert records.count(LesionImage) == 1
        assert len(records.files()) == FILES_AN_IMAGE
