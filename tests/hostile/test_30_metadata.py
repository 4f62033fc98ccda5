"""Hostile list 30: EXIF, comments, text chunks, GPS gone, orientation applied: from every copy that leaves the app."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from melanoma_app.models import Clinic, Lesion, LesionImage
from tests.api import send_image
from tests.browsing import Browser
from tests.factories import LesionFactory
from tests.photographs import encode
from tests.records import Records

NAME = b"Jane-Doe-1962"
REASON = "Odd, but a photograph"
SIDES = {1: "top", 2: "top", 3: "bottom", 4: "bottom", 5: "left", 6: "right", 7: "right", 8: "left"}
"""Where the first stored row belongs, by orientation (EXIF 2.32, tag 0x0112)."""


@pytest.fixture
def lesion(clinic: Clinic) -> Lesion:
    return LesionFactory(patient__clinic=clinic)


def striped() -> Image.Image:
    """400×200 with a red first row of 50 pixels."""
    picture = Image.new("RGB", (400, 200), "white")
    picture.paste("red", (0, 0, 400, 50))
    return picture


def make_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Artist] = exif[ExifTags.Base.ImageDescription] = NAME.decode()
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 8.0, 14.0)
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSMapDatum] = NAME.decode()
    return exif


def make_talkative_jpeg() -> bytes:
    plain = encode(
        striped(),
        "JPEG",
        quality=95,
        exif=make_exif(),
        comment=NAME,
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + NAME,
        xmp=b"<x:xmpmeta>" + NAME + b"</x:xmpmeta>",
    )
    thumbnail = encode(Image.new("RGB", (160, 120)), "JPEG", comment=NAME)
    segments = {0xED: b"Photoshop 3.0\0" + NAME, 0xE1: b"Exif\0\0" + thumbnail, 0xEF: NAME, 0xFE: NAME}
    added = b"".join(
        bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content
        for marker, content in segments.items()
    )
    app0_end = 4 + int.from_bytes(plain[4:6], "big")
    return plain[:app0_end] + added + plain[app0_end:] + NAME


def make_talkative_png() -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", NAME.decode())
    texts.add_text("Comment", NAME.decode(), zip=True)
    texts.add_itxt("XML:com.adobe.xmp", f"<x:xmpmeta>{NAME.decode()}</x:xmpmeta>")
    return encode(striped(), "PNG", pnginfo=texts, exif=make_exif())


TALKATIVE: dict[str, Callable[[], bytes]] = {"jpeg": make_talkative_jpeg, "png": make_talkative_png}
TRACES = (
    NAME,
    b"Exif",
    b"ICC_PROFILE",
    b"http://ns.adobe.com",
    b"xmpmeta",
    b"Photoshop",
    b"\xff\xfe",
    b"GPS",
)


def assert_pixels_alone(content: bytes) -> None:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    assert picture.format == "JPEG"
    assert not picture.getexif()
    assert picture.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    head = content[: content.index(b"\xff\xda")]
    assert [trace for trace in TRACES if trace in (content if trace == NAME else head)] == []


@pytest.mark.parametrize("kind", TALKATIVE)
def test_every_copy_is_pixels_alone_when_the_photograph_carried_more(
    browser: Browser, headers: dict[str, str], lesion: Lesion, records: Records, kind: str
) -> None:
    content = TALKATIVE[kind]()
    assert content.count(NAME) >= 3 if kind == "jpeg" else content.count(NAME) >= 2
    answer = send_image(
        browser.client, lesion.public_id, headers, content, quality_override_reason=REASON
    ).json
    image_id, prediction_id = answer["id"], answer["prediction"]["id"]

    assert len(records.files()) == 2
    for file in records.files():
        assert_pixels_alone(file.read_bytes())
    for address in (
        f"/images/{image_id}",
        f"/images/{image_id}/thumbnail",
        f"/api/v1/images/{image_id}/file",
        f"/predictions/{prediction_id}/heat-map",
    ):
        assert_pixels_alone(browser.client.get(address, headers=headers).data)


def test_report_has_no_metadata_when_the_photograph_carried_some(
    browser: Browser, headers: dict[str, str], lesion: Lesion
) -> None:
    image_id = send_image(
        browser.client, lesion.public_id, headers, make_talkative_jpeg(), quality_override_reason=REASON
    ).json["id"]

    pdf = browser.client.get(f"/examinations/{image_id}/report.pdf").data

    assert pdf.startswith(b"%PDF")
    assert not any(trace in pdf for trace in (NAME, b"Photoshop", b"xmpmeta"))


@pytest.mark.parametrize("orientation", SIDES)
def test_stored_picture_is_upright_when_the_camera_was_turned(
    client: FlaskClient, headers: dict[str, str], lesion: Lesion, records: Records, orientation: int
) -> None:
    content = encode(striped(), "JPEG", quality=95, exif=make_exif(orientation))

    send_image(client, lesion.public_id, headers, content, quality_override_reason=REASON)

    image = records.one(LesionImage)
    for key in (image.storage_key, image.thumbnail_key):
        stored = Image.open(io.BytesIO(records.stored(str(key)).read_bytes())).convert("RGB")
        pixels = np.asarray(stored).astype(int)
        assert (stored.width > stored.height) == (orientation <= 4)
        sides = {"top": pixels[:5], "bottom": pixels[-5:], "left": pixels[:, :5], "right": pixels[:, -5:]}
        (red,) = (side for side, part in sides.items() if np.abs(part - (255, 0, 0)).mean() < 20)
        assert red == SIDES[orientation]
