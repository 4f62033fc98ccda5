"""Hostile list 29: truncated and early-ended JPEG never scored: neither is anything else that misses a part."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import pytest
from flask.testing import FlaskClient
from PIL import Image

from melanoma_app.errors import ClinicError, InvalidInputError, UnsupportedImageError
from melanoma_app.models import Clinic, LesionImage, Prediction
from melanoma_app.security.upload_guard import check_upload
from melanoma_app.services.photographs import decode_upload
from ml.inference import read_jpeg_structure
from tests.api import error_of, send_image
from tests.factories import LesionFactory
from tests.photographs import (
    draw_photograph,
    drawn_image,
    encode,
    make_cmyk,
    make_grey,
    make_png,
    make_rotated,
)
from tests.records import Records

END: Final = b"\xff\xd9"
LAST_BLOCK_BYTES: Final = 16
"""A cut within the very last block cannot be told from a whole file."""
WHOLE: Final[dict[str, Callable[[], bytes]]] = {
    "ordinary": draw_photograph,
    "progressive": lambda: encode(drawn_image(), "JPEG", progressive=True),
    "grey": make_grey,
    "grey progressive": lambda: encode(drawn_image().convert("L"), "JPEG", progressive=True),
    "CMYK": make_cmyk,
    "restart markers": lambda: encode(drawn_image(), "JPEG", restart_marker_blocks=7),
    "restarted rows": lambda: encode(drawn_image(), "JPEG", progressive=True, restart_marker_rows=1),
    "turned": make_rotated,
    "field of the colour that is filled in": lambda: encode(Image.new("RGB", (400, 300), (128,) * 3), "JPEG"),
    "several pictures": lambda: encode(
        drawn_image(), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 64))]
    ),
}


def is_taken(content: bytes) -> bool:
    """Whether a file comes as far as the model."""
    try:
        check_upload(content, max_upload_mb=25, max_image_megapixels=50)
        decode_upload(content)
    except (InvalidInputError, UnsupportedImageError):
        return False
    return True


@pytest.mark.parametrize("kind", WHOLE)
def test_file_is_taken_when_it_is_whole(kind: str) -> None:
    assert is_taken(WHOLE[kind]())


@pytest.mark.parametrize("ending", [b"", END, END + b"letters behind"], ids=["cut", "ended", "ended early"])
@pytest.mark.parametrize("kind", WHOLE)
def test_file_is_refused_wherever_it_is_cut(kind: str, ending: bytes) -> None:
    content = WHOLE[kind]()
    last = read_jpeg_structure(content).end - LAST_BLOCK_BYTES
    places = [*range(4, last, max(1, last // 25)), last - 200, last - 40, last]

    assert [place for place in places if is_taken(content[:place] + ending)] == []


def test_file_is_refused_when_a_scan_is_missing() -> None:
    content = WHOLE["progressive"]()
    scans = [place for place in range(len(content)) if content[place : place + 2] == b"\xff\xda"]
    assert len(scans) > 3

    for number, begin in enumerate(scans):
        end = scans[number + 1] if number + 1 < len(scans) else len(content) - 2
        assert not is_taken(content[:begin] + content[end:]), f"without scan {number}"


@pytest.mark.parametrize(
    ("frame", "name"),
    [(0xC3, "lossless"), (0xC9, "arithmetic"), (0xCA, "arithmetic"), (0xC7, "hierarchical")],
)
def test_advice_is_given_when_the_jpeg_is_of_an_unusual_kind(frame: int, name: str) -> None:
    content = draw_photograph().replace(b"\xff\xc0", bytes((0xFF, frame)), 1)

    with pytest.raises(ClinicError, match="ordinary JPEG"):
        check_upload(content, max_upload_mb=25, max_image_megapixels=50)


def test_advice_is_given_when_the_jpeg_has_12_bits() -> None:
    content = bytearray(draw_photograph())
    content[content.index(b"\xff\xc0") + 4] = 12

    with pytest.raises(ClinicError, match="12-bit"):
        check_upload(bytes(content), max_upload_mb=25, max_image_megapixels=50)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_png_is_refused_when_it_is_cut(part: float) -> None:
    content = encode(drawn_image(), "PNG")

    assert not is_taken(content[: int(part * len(content))])


def test_png_is_refused_when_its_data_end_early() -> None:
    rows = bytes(1 + 3 * 100) * 40

    assert is_taken(make_png(100, 40, bits=8, colour_type=2, rows=rows))
    assert all(
        is_taken(encode(drawn_image().convert(mode), "PNG")) for mode in ("RGBA", "P", "1", "L", "LA", "I;16")
    )
    assert not is_taken(make_png(100, 80, bits=8, colour_type=2, rows=rows))


def test_nothing_is_scored_or_kept_when_an_ended_file_is_sent(
    client: FlaskClient, headers: dict[str, str], clinic: Clinic, records: Records
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    half = draw_photograph()[: len(draw_photograph()) // 2] + END

    answer = send_image(client, lesion.public_id, headers, half, quality_override_reason="It must do")

    assert "copy it again" in error_of(answer, HTTPStatus.UNPROCESSABLE_ENTITY)["message"]
    assert records.count(LesionImage) == records.count(Prediction) == len(records.files()) == 0
