"""Hostile list 27: GIF, SVG, PDF, EPS and others that are named .jpg: refused by what they are."""

from __future__ import annotations

import io
import zipfile
from http import HTTPStatus

import pytest
from flask.testing import FlaskClient
from PIL import Image

from melanoma_app.models import AuditEvent, Clinic, LesionImage
from melanoma_app.models.vocabulary import AuditAction
from tests.api import error_of, send_image
from tests.factories import LesionFactory
from tests.photographs import HEIC_HEADER, encode
from tests.records import Records

DOT = Image.new("RGB", (8, 8), "red")


def make_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("photo.jpg", encode(DOT, "JPEG"))
    return buffer.getvalue()


NO_PHOTOGRAPHS = {
    "GIF": encode(DOT, "GIF"),
    "SVG": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "PDF": encode(DOT, "PDF"),
    "EPS": encode(DOT, "EPS"),
    "WebP": encode(DOT, "WEBP"),
    "TIFF": encode(DOT, "TIFF"),
    "BMP": encode(DOT, "BMP"),
    "ICO": encode(DOT, "ICO"),
    "HEIC": HEIC_HEADER,
    "DICOM": bytes(128) + b"DICM" + bytes(200),
    "HTML": b"<!doctype html><script>alert(1)</script>",
    "ZIP": make_zip(),
    "program": b"\x7fELF" + bytes(200),
    "PHP": b"<?php system($_GET['c']); ?>",
    "HTML that begins as a JPEG": b"\xff\xd8\xff<script>alert(1)</script>" * 9,
    "HTML that begins as a PNG": b"\x89PNG\r\n\x1a\n<script>alert(1)</script>" * 9,
}


@pytest.mark.parametrize("kind", NO_PHOTOGRAPHS)
def test_file_is_refused_in_words_when_it_is_another_kind(
    client: FlaskClient, headers: dict[str, str], clinic: Clinic, records: Records, kind: str
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    begins_right = kind.startswith("HTML that begins")

    answer = send_image(client, lesion.public_id, headers, NO_PHOTOGRAPHS[kind], file_name="photo.jpg")

    status = HTTPStatus.UNPROCESSABLE_ENTITY if begins_right else HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert "JPEG" in (message := error_of(answer, status)["message"]) or "original photograph" in message
    assert records.count(LesionImage) == len(records.files()) == 0
    assert records.count(AuditEvent, AuditEvent.action == AuditAction.IMAGE_ADDED) == 0
