"""The bad-input list, through the page and through the API: taken rightly, or refused with nothing left behind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

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
    make_rotated,
    shoot_again,
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
                is_new_shot=False,
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
    assert send(Upload(content=shoot_again(draw_photograph()), status=201)) == 201
    assert records.count(LesionImage) == records.count(Prediction) == kept + 1
    assert len(records.files()) == (kept + 1) * FILES_AN_IMAGE


def test_large_photograph_is_kept_at_the_stored_size_when_sent(send: Send, records: Records) -> None:
    assert send(Upload(content=draw_large_photograph(), status=201)) == 201

    image = records.one(LesionImage)
    assert (image.width_px, image.height_px) == (2000, 1500)


def test_row_names_the_bytes_that_came_and_those_that_stay_when_stored(send: Send, records: Records) -> None:
    send(Upload(content=make_rotated(), status=201))

    image = records.one(LesionImage)
    assert image.upload_sha256 == hashlib.sha256(make_rotated()).hexdigest()
    assert image.sha256 == hashlib.sha256(records.stored(image.storage_key).read_bytes()).hexdigest()


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
