"""A stored photograph as the browser gets it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from melanoma_app.models import AuditEvent, Clinic, LesionImage
from melanoma_app.models.vocabulary import AuditAction
from tests.api import send_image
from tests.browsing import Browser
from tests.factories import LesionFactory
from tests.photographs import make_cmyk
from tests.records import Records


@pytest.fixture
def image(client: FlaskClient, headers: dict[str, str], clinic: Clinic, records: Records) -> LesionImage:
    """A photograph that came as a CMYK JPEG."""
    lesion = LesionFactory(patient__clinic=clinic)
    assert (
        send_image(client, lesion.public_id, headers, make_cmyk(), quality_override_reason="Odd").status_code
        == 201
    )
    return records.one(LesionImage)


def test_image_is_a_jpeg_that_nobody_guesses_at_when_opened(browser: Browser, image: LesionImage) -> None:
    response = browser.client.get(f"/images/{image.public_id}")

    assert response.status_code == 200
    assert response.mimetype == "image/jpeg"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"].startswith("inline")
    assert hashlib.sha256(response.data).hexdigest() == image.sha256


def test_bytes_are_not_the_ones_that_came_in_when_opened(browser: Browser, image: LesionImage) -> None:
    assert browser.client.get(f"/images/{image.public_id}").data != make_cmyk()


def test_image_is_not_sent_again_when_the_browser_has_it(browser: Browser, image: LesionImage) -> None:
    etag = browser.client.get(f"/images/{image.public_id}").headers["ETag"]

    response = browser.client.get(f"/images/{image.public_id}", headers={"If-None-Match": etag})

    assert (response.status_code, response.data) == (304, b"")


def test_image_is_sent_again_when_the_browser_has_another(browser: Browser, image: LesionImage) -> None:
    response = browser.client.get(f"/images/{image.public_id}", headers={"If-None-Match": '"other"'})

    assert response.status_code == 200


def test_thumbnail_is_small_and_not_sent_again_when_the_browser_has_it(
    browser: Browser, image: LesionImage
) -> None:
    address = f"/images/{image.public_id}/thumbnail"
    response = browser.client.get(address)

    assert (response.status_code, response.mimetype) == (200, "image/jpeg")
    assert len(response.data) < 20_000
    again = browser.client.get(address, headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("damage", ["flipped bit", "cut", "gone", "unreadable"])
def test_image_is_refused_when_its_file_is_damaged(
    browser: Browser, image: LesionImage, records: Records, damage: str
) -> None:
    spoil(records.stored(image.storage_key), damage)

    page = browser.open(f"/images/{image.public_id}")

    assert page.status == 503
    assert "Tell your engineer" in page.text


def test_result_page_works_when_the_image_is_damaged(
    browser: Browser, image: LesionImage, records: Records
) -> None:
    spoil(records.stored(image.storage_key), "gone")

    assert browser.open(f"/examinations/{image.public_id}").status == 200


def test_look_is_audited_when_the_image_is_opened(
    browser: Browser, image: LesionImage, records: Records
) -> None:
    browser.open(f"/images/{image.public_id}")

    event = records.one(AuditEvent, AuditEvent.action == AuditAction.IMAGE_READ)
    assert event.subject_public_id == image.public_id
    assert event.origin == "127.0.0.1"


def spoil(file: Path, damage: str) -> None:
    """Damage a stored file; a folder in its place cannot be read even by root."""
    content = bytearray(file.read_bytes())
    file.unlink()
    if damage == "unreadable":
        file.mkdir()
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "flipped bit":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
