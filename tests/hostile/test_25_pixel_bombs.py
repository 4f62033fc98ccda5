"""Hostile list 25: pixel bombs: the header is looked at before a pixel is decoded, and memory stays bounded."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest
from flask.testing import FlaskClient
from PIL import Image

from config import PROJECT_ROOT
from melanoma_app.models import Clinic, LesionImage
from tests.api import error_of, send_image
from tests.factories import LesionFactory
from tests.photographs import chunk, encode, make_png
from tests.records import Records

GREY, COLOUR, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 4, 6
MEASURE = """
import sys
from pathlib import Path

from PIL import Image

from melanoma_app.errors import ClinicError
from melanoma_app.security.upload_guard import check_upload
from melanoma_app.services.photographs import decode_upload


def peak_kb():
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


warm_up, *uploads = (Path(name).read_bytes() for name in sys.argv[1:])
decode_upload(warm_up)
before = peak_kb()
for upload in uploads:
    outcome = "taken"
    try:
        check_upload(upload, max_upload_mb=25, max_image_megapixels=50)
        decode_upload(upload)
    except ClinicError as error:
        outcome = type(error).__name__
    print(outcome)
print((peak_kb() - before) // 1024)
"""


def empty_rows(width_px: int, height_px: int, *, bits_a_pixel: int) -> bytes:
    return bytes((1 + (width_px * bits_a_pixel + 7) // 8) * height_px)


def make_small_bomb() -> bytes:
    """The 10.8 kB of 9400×9400 pixels that take 446 MB in a default Pillow."""
    rows = empty_rows(9400, 9400, bits_a_pixel=1)
    return make_png(9400, 9400, bits=1, colour_type=GREY, rows=rows)


def make_largest(colour_type: int, channels: int) -> bytes:
    rows = empty_rows(4000, 4000, bits_a_pixel=8 * channels)
    return make_png(4000, 4000, bits=8, colour_type=colour_type, rows=rows)


def make_texts() -> bytes:
    megabyte = zlib.compress(bytes(1_000_000), 9)
    texts = b"".join(chunk(b"zTXt", b"key%d\0\0" % number + megabyte) for number in range(60))
    return make_png(8, 8, bits=8, colour_type=GREY, rows=empty_rows(8, 8, bits_a_pixel=8), extra=texts)


def make_profiles() -> bytes:
    megabyte = zlib.compress(bytes(1_000_000), 9)
    profiles = b"".join(chunk(b"iCCP", b"key%d\0\0" % number + megabyte) for number in range(500))
    return make_png(8, 8, bits=8, colour_type=GREY, rows=empty_rows(8, 8, bits_a_pixel=8), extra=profiles)


def make_progressive() -> bytes:
    picture = Image.new("RGB", (6000, 5000), "white")
    return encode(picture, "JPEG", progressive=True, subsampling=0, quality=50)


def make_large_jpeg() -> bytes:
    return encode(Image.new("RGB", (8000, 6000), "white"), "JPEG", quality=50)


BOMBS: Final = {
    make_small_bomb: "TooLargeError",
    lambda: make_png(30_000, 30_000, bits=8, colour_type=GREY, rows=b""): "TooLargeError",
    make_texts: "InvalidInputError",
    make_profiles: "InvalidInputError",
    make_progressive: "TooLargeError",
    make_large_jpeg: "taken",
}
LARGEST_TAKEN: Final = {
    lambda: make_largest(COLOUR, 3): "taken",
    lambda: make_largest(GREY_ALPHA, 2): "taken",
}


@pytest.mark.parametrize(
    ("bombs", "most_mb"), [(BOMBS, 50), (LARGEST_TAKEN, 220)], ids=["bombs", "largest that are taken"]
)
def test_memory_stays_bounded_when_bombs_are_looked_at(
    tmp_path: Path, photograph: bytes, bombs: dict[Callable[[], bytes], str], most_mb: int
) -> None:
    """In a process of its own, which has seen no large picture; the largest growth of them all is measured."""
    files = [tmp_path / str(number) for number in range(1 + len(bombs))]
    for file, content in zip(files, [photograph, *(make() for make in bombs)], strict=True):
        file.write_bytes(content)

    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, files)],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    *outcomes, grown_mb = done.stdout.split()
    assert outcomes == list(bombs.values())
    assert int(grown_mb) < most_mb


def test_small_bomb_is_small_when_made() -> None:
    assert len(make_small_bomb()) < 11_000


@pytest.mark.parametrize("colour_type", [COLOUR, COLOUR_ALPHA])
def test_person_is_told_what_to_do_when_a_png_would_take_too_much_memory(
    client: FlaskClient, headers: dict[str, str], clinic: Clinic, records: Records, colour_type: int
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    bomb = make_png(7000, 7000, bits=8, colour_type=colour_type, rows=b"")

    answer = send_image(client, lesion.public_id, headers, bomb)

    assert "save it as an ordinary JPEG" in error_of(answer, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)["message"]
    assert records.count(LesionImage) == len(records.files()) == 0
