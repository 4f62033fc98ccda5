"""The bad-input list, through the page and through the API: taken rightly, or refused with nothing left behind."""

from __future__ import annotations

import contextlib
import hashlib
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from melanoma_app.models import Clinic, Lesion, LesionImage, Prediction
from tests.api import error_of, send_image
from tests.browsing import Browser
from tests.examining import FILES_AN_IMAGE
from tests.factories import LesionFactory
from tests.photographs import (
    Upload,
    draw_large_photograph,
    draw_photograph,
    hostile_uploads,
    make_bomb,
    make_rotated,
)
from tests.records import Records

UPLOADS = hostile_uploads()
REASON = "Odd, but a photograph"
"""The quality gate would stop some of them, too, which is tested elsewhere."""
Send = Callable[[Upload], int]


@pytest.fixture
def lesion(clinic: Clinic) -> Lesion:
    return LesionFactory(patient__clinic=clinic)


@pytest.fixture(params=["page", "api"])
def send(request: pytest.FixtureRequest, lesion: Lesion) -> Send:
    """Send a file one way or the other; answers with the API's status."""
    if request.param == "api":
        client: FlaskClient = request.getfixturevalue("client")
        headers: dict[str, str] = request.getfixturevalue("headers")

        def send_over_rest(upload: Upload) -> int:
            response = send_image(
                client,
                lesion.public_id,
                headers,
                upload.content,
                file_name=upload.name,
                quality_override_reason=REASON,
            )
            if response.status_code != 201:
                error_of(response, response.status_code)  # type: ignore[arg-type]  # an int will do
            return response.status_code

        return send_over_rest

    browser: Browser = request.getfixturevalue("browser")

    def send_through_the_page(upload: Upload) -> int:
        page = browser.fill_in(
            f"/lesions/{lesion.public_id}/images/new",
            image=(upload.content, upload.name),
            quality_override_reason=REASON,
        )
        if page.path.startswith("/examinations/"):
            return 201
        assert page.soup.find("h1"), "a refusal is a page"
        return page.status

    return send_through_the_page


@pytest.mark.parametrize("upload", UPLOADS.values(), ids=list(UPLOADS))
def test_file_is_taken_or_refused_whole_when_it_is_odd(send: Send, records: Records, upload: Upload) -> None:
    kept = 1 if upload.status == 201 else 0

    assert send(upload) == upload.status

    assert records.count(LesionImage) == records.count(Prediction) == kept
    assert len(records.files()) == kept * FILES_AN_IMAGE
    assert send(Upload(content=draw_photograph(), status=201)) == 201
    assert records.count(LesionImage) == records.count(Prediction) == kept + 1
    assert len(records.files()) == (kept + 1) * FILES_AN_IMAGE


@contextlib.contextmanager
def memory_bounded(megabytes: int) -> Iterator[None]:
    """This process's peak memory grows by no more than that (Linux counts it anew from here)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _peak_kb()
    yield
    grown_mb = (_peak_kb() - before) / 1024
    assert grown_mb < megabytes, f"{grown_mb:.0f} MB"


def _peak_kb() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def test_memory_and_time_stay_bounded_when_a_bomb_is_sent(send: Send) -> None:
    bomb = Upload(content=make_bomb(), status=413)
    send(bomb)  # whatever is loaded the first time does not count

    started = time.monotonic()
    with memory_bounded(60):
        send(bomb)

    assert time.monotonic() - started < 5


def test_large_photograph_is_kept_at_the_stored_size_when_sent(send: Send, records: Records) -> None:
    assert send(Upload(content=draw_large_photograph(), status=201)) == 201

    image = records.one(LesionImage)
    assert (image.width_px, image.height_px) == (2000, 1500)


def test_stored_file_is_pixels_alone_when_the_photograph_carried_more(send: Send, records: Records) -> None:
    send(Upload(content=make_rotated(), status=201))

    content = records.stored(records.one(LesionImage).storage_key).read_bytes()
    stored = Image.open(io.BytesIO(content))
    assert stored.format == "JPEG"
    assert not stored.getexif()
    assert not {"exif", "icc_profile", "comment", "xmp", "photoshop"} & stored.info.keys()
    for trace in (b"Exif", b"Jane", b"Dr Artist", b"ICC_PROFILE", b"colour profile"):
        assert trace not in content


def test_stored_picture_is_upright_when_the_camera_was_turned(send: Send, records: Records) -> None:
    send(Upload(content=make_rotated(), status=201))

    file = io.BytesIO(records.stored(records.one(LesionImage).storage_key).read_bytes())
    pixels = np.asarray(Image.open(file).convert("RGB")).astype(int)
    # 400×200 with a red left edge, turned a quarter clockwise: 200×400 with a red top.
    assert pixels.shape == (400, 200, 3)
    assert np.abs(pixels[:50] - (255, 0, 0)).mean() < 12
    assert np.abs(pixels[80:] - (255, 255, 255)).mean() < 12


def test_row_names_the_bytes_that_came_and_those_that_stay_when_stored(send: Send, records: Records) -> None:
    send(Upload(content=make_rotated(), status=201))

    image = records.one(LesionImage)
    assert image.upload_sha256 == hashlib.sha256(make_rotated()).hexdigest()
    assert image.sha256 == hashlib.sha256(records.stored(image.storage_key).read_bytes()).hexdigest()


def test_senders_file_name_is_nowhere_when_stored(send: Send, records: Records) -> None:
    send(Upload(content=draw_photograph(), status=201, name="../../jane-doe.jpg"))

    assert not list(records.image_folder.parent.rglob("*jane*"))
    assert "jane" not in repr(vars(records.one(LesionImage)))


def test_refusal_stands_on_the_page_when_the_file_is_no_photograph(browser: Browser, lesion: Lesion) -> None:
    page = browser.fill_in(f"/lesions/{lesion.public_id}/images/new", image=(b"GIF89a", "x.gif"))

    assert page.status == 415
    (alert,) = page.soup.find_all(role="alert")
    assert "GIF" in alert.get_text()


def test_photograph_is_asked_for_when_none_was_chosen(browser: Browser, lesion: Lesion) -> None:
    page = browser.fill_in(f"/lesions/{lesion.public_id}/images/new")

    assert page.status == 422
    assert "Choose or take a photograph." in page.error_of("image")


@pytest.mark.parametrize("way", ["page", "api"])
def test_photograph_is_refused_when_the_patient_refused_care(
    clinic: Clinic,
    browser: Browser,
    client: FlaskClient,
    headers: dict[str, str],
    records: Records,
    photograph: bytes,
    way: str,
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    address = f"/lesions/{lesion.public_id}/images/new"
    if way == "page":
        form_page = browser.open(address)  # open while the patient still agreed
        records.execute("UPDATE patient SET consent_to_care = 0")
        status = browser.send(form_page.form(), form_page, image=(photograph, "photo.jpg")).status
    else:
        records.execute("UPDATE patient SET consent_to_care = 0")
        response = send_image(client, lesion.public_id, headers, photograph)
        status = response.status_code
        error_of(response, response.status_code)  # type: ignore[arg-type]  # an int will do

    assert status == 409
    assert records.count(LesionImage) == 0
    assert records.files() == []


def test_page_offers_no_upload_when_the_patient_refused_care(browser: Browser, clinic: Clinic) -> None:
    lesion = LesionFactory(patient__clinic=clinic, patient__consent_to_care=False)

    page = browser.open(f"/lesions/{lesion.public_id}/images/new")

    assert page.soup.find("input", type="file") is None
    assert "refused care" in page.text
