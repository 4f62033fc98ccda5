"""Hostile list 28: a JPEG with a script behind it: the stored copy holds none of it, and goes out as an image."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from melanoma_app.models import Clinic, LesionImage
from tests.api import send_image
from tests.browsing import Browser
from tests.factories import LesionFactory
from tests.hostile.test_27_other_kinds_named_jpg import make_zip
from tests.photographs import chunk, draw_photograph, drawn_image, encode
from tests.records import Records

SCRIPT = b"<script>alert('hostile')</script><?php echo 'hostile'; ?>"
IN_A_COMMENT = b"\xff\xfe" + (len(SCRIPT) + 2).to_bytes(2, "big") + SCRIPT


def make_png_with_script() -> bytes:
    return encode(drawn_image(), "PNG") + chunk(b"tEXt", b"Comment\0" + SCRIPT) + SCRIPT


TWO_FACED = {
    "script behind": draw_photograph() + SCRIPT,
    "archive behind": draw_photograph() + make_zip() + SCRIPT,
    "script in a comment": draw_photograph()[:2] + IN_A_COMMENT + draw_photograph()[2:],
    "PNG with a script behind": make_png_with_script(),
}


@pytest.mark.parametrize("kind", TWO_FACED)
def test_stored_copy_is_a_picture_alone_when_something_hides_in_the_file(
    client: FlaskClient, headers: dict[str, str], clinic: Clinic, records: Records, kind: str
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)

    assert send_image(client, lesion.public_id, headers, TWO_FACED[kind]).status_code == 201

    for file in records.files():
        content = file.read_bytes()
        assert content.startswith(b"\xff\xd8\xff")
        assert content.endswith(b"\xff\xd9")
        assert not any(trace in content for trace in (b"script", b"hostile", b"<?php", b"PK\x03\x04"))


@pytest.mark.parametrize("door", ["page", "small page", "api", "small api"])
def test_browser_is_told_that_it_is_an_image_and_nothing_else_when_served(
    browser: Browser, headers: dict[str, str], clinic: Clinic, records: Records, door: str
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    send_image(browser.client, lesion.public_id, headers, TWO_FACED["script behind"])
    image_id = records.one(LesionImage).public_id
    address = {
        "page": f"/images/{image_id}",
        "small page": f"/images/{image_id}/thumbnail",
        "api": f"/api/v1/images/{image_id}/file",
        "small api": f"/api/v1/images/{image_id}/thumbnail",
    }[door]

    response = browser.client.get(address, headers=headers)

    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"].startswith("inline; filename=")
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["Content-Security-Policy"].endswith("sandbox")
    assert "script-src" not in response.headers["Content-Security-Policy"]
    assert SCRIPT not in response.data
