from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from melanoma_app.errors import ClinicError, InvalidInputError, TooLargeError, UnsupportedImageError
from melanoma_app.security.upload_guard import check_upload
from tests.photographs import HEIC_HEADER, draw_photograph, encode, make_bomb, make_png


def check(data: bytes, *, megabytes: int = 25, megapixels: int = 50) -> None:
    check_upload(data, max_upload_mb=megabytes, max_image_megapixels=megapixels)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_file_passes_when_it_is_a_photograph(kind: str) -> None:
    check(encode(Image.new("RGB", (40, 30)), kind))


def test_field_is_named_when_file_is_empty() -> None:
    with pytest.raises(InvalidInputError) as refusal:
        check(b"")

    assert list(refusal.value.fields) == ["image"]


@pytest.mark.parametrize(("size", "is_taken"), [(2_000_000, True), (2_000_001, False)])
def test_size_is_held_to_the_byte_when_near_the_limit(size: int, is_taken: bool) -> None:
    data = draw_photograph()
    data += bytes(size - len(data))

    if is_taken:
        check(data, megabytes=2)
    else:
        with pytest.raises(TooLargeError, match="2 MB"):
            check(data, megabytes=2)


@pytest.mark.parametrize(("width_px", "is_taken"), [(1000, True), (1001, False)])
def test_pixels_are_held_to_the_limit_when_the_header_claims_them(width_px: int, is_taken: bool) -> None:
    png = make_png(width_px, 1000, bits=8, colour_type=2, rows=b"")

    if is_taken:
        check(png, megapixels=1)
    else:
        with pytest.raises(TooLargeError, match="1,001 × 1,000"):
            check(png, megapixels=1)


def test_bomb_is_refused_as_too_large_when_it_is_sent() -> None:
    with pytest.raises(TooLargeError):
        check(make_bomb())


def test_picture_is_too_large_when_no_memory_could_hold_it() -> None:
    with pytest.raises(TooLargeError):
        check(make_png(2**31 - 1, 2**31 - 1, bits=16, colour_type=6, rows=b""))


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"GIF89a" + bytes(50), "GIF"),
        (b"%PDF-1.7\n", "PDF"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WebP"),
        (b"II*\0" + bytes(50), "TIFF"),
        (b"MM\0*" + bytes(50), "TIFF"),
        (b"BM" + bytes(50), "BMP"),
        (HEIC_HEADER, "HEIC"),
        (b"these are only words", "not a photograph"),
        (b"\xff\xd8", "not a photograph"),
    ],
)
def test_refusal_names_the_kind_when_it_is_none_of_ours(data: bytes, word: str) -> None:
    with pytest.raises(UnsupportedImageError, match=word):
        check(data)


@pytest.mark.parametrize(
    "data", [draw_photograph()[:20], b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + bytes(60)]
)
def test_header_is_told_broken_when_nothing_follows_the_magic_bytes(data: bytes) -> None:
    with pytest.raises(InvalidInputError, match="header"):
        check(data)


@given(data=st.binary(max_size=200), start=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]))
def test_bytes_pass_or_are_refused_in_words_when_random(data: bytes, start: bytes) -> None:
    try:
        check(start + data)
    except ClinicError as refusal:
        message = refusal.message
    else:
        message = "It may be decoded."

    assert message.endswith(".")
