"""The disk of the photographs is read-only, or full in an upload: that is said, nothing is half kept, all goes on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest

from melanoma_app.models import LesionImage, Prediction
from tests.cluster.conftest import Cluster
from tests.cluster.machines import wait_until
from tests.cluster.sending import next_mrn, photograph
from tests.cluster.visitor import Visitor, text_of
from tests.examining import FILES_AN_IMAGE

TOO_SMALL_KB = 16
"""Less than a photograph takes."""


@contextmanager
def images_read_only(cluster: Cluster) -> Iterator[None]:
    """A disk that has gone read-only; where mounting is not allowed, a folder that is not one."""
    folder = cluster.image_folder
    if subprocess.run(["mount", "--bind", folder, folder], capture_output=True).returncode == 0:
        try:
            subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
            yield
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
        return
    away = folder.with_name("images-away")
    folder.rename(away)
    folder.write_text("no folder", encoding="utf-8")
    try:
        yield
    finally:
        folder.unlink()
        away.rename(folder)


def test_upload_is_refused_and_the_rest_works_when_the_storage_is_read_only(
    cluster: Cluster, nurse: Visitor
) -> None:
    patient = nurse.register(next_mrn())
    first = nurse.send(nurse.add_lesion(patient), image=photograph())
    assert first.status_code == HTTPStatus.OK
    upload = nurse.add_lesion(patient)
    images, sent, told = cluster.records.count(LesionImage), photograph(), times_told(cluster)

    with images_read_only(cluster):
        refusal = nurse.send(upload, image=sent)
        assert refusal.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert refusal.headers["Retry-After"].isdigit()
        assert "could not be stored" in text_of(refusal)
        assert nurse.open(patient.url).status_code == HTTPStatus.OK
        assert cluster.records.count(LesionImage) == images
        assert times_told(cluster) > told
        wait_until(lambda: not cluster.is_ready(), what="the web servers say that they are not ready")

    result = nurse.send(upload, image=sent)
    assert result.status_code == HTTPStatus.OK, text_of(result)
    wait_until(cluster.is_ready, what="the web servers are ready")
    cluster.assert_whole()


@contextmanager
def disk_full(cluster: Cluster) -> Iterator[Callable[[], None]]:
    """A disk with no room for a photograph; gives what makes room."""
    folder = cluster.image_folder
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TOO_SMALL_KB}k,mode=0700", "tmpfs", folder]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a full disk needs a disk of its own, and nothing may be mounted here")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True) and None
    finally:
        # What was kept there meanwhile belongs with the others.
        kept = shutil.copytree(folder, folder.with_name("kept-meanwhile"))
        subprocess.run(["umount", "--lazy", folder], check=True)
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        shutil.rmtree(kept)


def test_upload_is_refused_whole_and_the_next_is_taken_when_the_disk_was_full(
    cluster: Cluster, nurse: Visitor
) -> None:
    patient = nurse.register(next_mrn())
    upload = nurse.add_lesion(patient)
    images, predictions = cluster.records.count(LesionImage), cluster.records.count(Prediction)
    sent = photograph()

    with disk_full(cluster) as make_room:
        before, told = files_in(cluster.image_folder), times_told(cluster)
        refusal = nurse.send(upload, image=sent)

        assert refusal.status_code == HTTPStatus.SERVICE_UNAVAILABLE, text_of(refusal)
        assert refusal.headers["Retry-After"].isdigit()
        assert "could not be stored" in text_of(refusal)
        assert "nothing was saved" in text_of(refusal)
        assert files_in(cluster.image_folder) == before, "nothing is half kept"
        assert cluster.records.count(LesionImage) == images
        assert cluster.records.count(Prediction) == predictions
        assert times_told(cluster) > told
        assert nurse.open(patient.url).status_code == HTTPStatus.OK
        make_room()
        result = nurse.send(upload, image=sent)  # without a restart
        assert result.status_code == HTTPStatus.OK, text_of(result)
        assert len(files_in(cluster.image_folder)) == len(before) + FILES_AN_IMAGE

    assert cluster.records.count(LesionImage) == images + 1
    cluster.assert_whole()


def times_told(cluster: Cluster) -> int:
    """How often the logs say it."""
    return cluster.web_logs().count("could not be stored")


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}
