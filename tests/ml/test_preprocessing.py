"""Every kind of image file decodes to the same upright 8-bit RGB, or is refused with a sentence."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageFile

from ml.preprocessing import (
    UnreadableImageError,
    decode_image,
    scale_pixels,
    to_network_input,
    to_network_pixels,
)
from tests.ml.drawn_lesions import encode

COLOURS = np.array(
    [[(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(255, 255, 0), (0, 255, 255), (255, 0, 255)]], dtype=np.uint8
)
"""An upright picture of 2x3 pixels, each unlike the others."""


def png(width: int, height: int, *, bits: int, colour_type: int, rows: bytes) -> bytes:
    """A PNG written by hand, for what Pillow reads but does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def decoded(data: bytes) -> np.ndarray:
    image = decode_image(data)
    assert image.mode == "RGB"
    assert not image.info
    return np.asarray(image)


# What a camera held at each orientation stores of the upright picture (EXIF 2.32, tag 0x0112): row 0 and column 0
# of the stored pixels are the side of the picture that the standard names.
STORED = {
    1: COLOURS,  # top, left
    2: COLOURS[:, ::-1],  # top, right
    3: COLOURS[::-1, ::-1],  # bottom, right
    4: COLOURS[::-1],  # bottom, left
    5: COLOURS.transpose(1, 0, 2),  # left, top
    6: COLOURS.transpose(1, 0, 2)[::-1],  # right, top
    7: COLOURS[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
    8: COLOURS.transpose(1, 0, 2)[:, ::-1],  # left, bottom
}


@pytest.mark.parametrize("orientation", STORED)
def test_picture_is_upright_when_exif_names_an_orientation(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    # Row 0 at the right side (6) means: the first stored row is the rightmost column, read from the top.
    expected_first_pixel = {
        1: (0, 0),
        2: (0, 2),
        3: (1, 2),
        4: (1, 0),
        5: (0, 0),
        6: (0, 2),
        7: (1, 2),
        8: (1, 0),
    }
    stored = np.ascontiguousarray(STORED[orientation])
    assert tuple(stored[0, 0]) == tuple(COLOURS[expected_first_pixel[orientation]])

    np.testing.assert_array_equal(decoded(encode(Image.fromarray(stored), "PNG", exif=exif)), COLOURS)


def test_jpeg_is_upright_when_taken_on_its_side() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    photograph = Image.new("RGB", (400, 300), "white")
    photograph.paste("black", (0, 0, 400, 30))  # the stored top is the upright picture's right side

    pixels = decoded(encode(photograph, "JPEG", exif=exif))

    assert pixels.shape == (400, 300, 3)
    assert pixels[:, 280].max() < 60 < 200 < pixels[:, 20].min()


def test_picture_is_kept_when_exif_is_broken() -> None:
    data = encode(Image.fromarray(COLOURS), "PNG", exif=b"Exif\0\0no header at all")

    np.testing.assert_array_equal(decoded(data), COLOURS)


def test_colours_are_right_when_jpeg_is_cmyk() -> None:
    pixels = decoded(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95))

    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_stays_grey_when_file_has_one_channel(mode: str) -> None:
    grey = Image.fromarray(np.array([[0, 255], [255, 0]], dtype=np.uint8)).convert(mode)

    np.testing.assert_array_equal(
        decoded(encode(grey, "PNG")), np.repeat([[[0], [255]], [[255], [0]]], 3, axis=2)
    )


def test_colours_are_kept_when_png_has_a_palette() -> None:
    np.testing.assert_array_equal(decoded(encode(Image.fromarray(COLOURS).quantize(8), "PNG")), COLOURS)


def test_high_byte_is_kept_when_grey_has_16_bits() -> None:
    deep = Image.fromarray(np.array([[0, 0x80FF], [0x01FF, 0xFFFF]], dtype=np.uint16))

    np.testing.assert_array_equal(decoded(encode(deep, "PNG"))[:, :, 0], [[0, 0x80], [0x01, 0xFF]])


def test_high_byte_is_kept_when_colour_has_16_bits() -> None:
    row = b"\0" + struct.pack(">6H", 0, 0x80FF, 0xFFFF, 0x0100, 0x7F00, 0x00FF)

    pixels = decoded(png(2, 1, bits=16, colour_type=2, rows=row))

    np.testing.assert_array_equal(pixels, [[(0, 0x80, 0xFF), (0x01, 0x7F, 0)]])


def test_picture_lies_on_white_when_it_has_alpha() -> None:
    layer = np.array([[(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128)]], dtype=np.uint8)

    pixels = decoded(encode(Image.fromarray(layer), "PNG"))

    np.testing.assert_allclose(pixels, [[(255, 0, 0), (255, 255, 255), (127, 127, 127)]], atol=1)


def test_picture_lies_on_white_when_a_palette_colour_is_transparent() -> None:
    palette = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), mode=None).convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60])

    pixels = decoded(encode(palette, "PNG", transparency=0))

    np.testing.assert_array_equal(pixels, [[(255, 255, 255), (40, 50, 60)]])


def test_first_picture_is_taken_when_jpeg_holds_several() -> None:
    first, second = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (32, 32), "blue")

    pixels = decoded(encode(first, "MPO", save_all=True, append_images=[second]))

    assert np.abs(pixels.astype(int) - (254, 0, 0)).max() <= 3


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((4000, 3000), (2000, 1500)),
        ((3000, 4000), (1500, 2000)),
        ((3999, 2999), (2000, 1500)),
        ((8000, 6000), (2000, 1500)),
        ((3998, 3000), (3998, 3000)),
        ((640, 480), (640, 480)),
    ],
)
def test_jpeg_comes_at_smallest_scale_that_keeps_the_long_side_when_large(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert decode_image(encode(Image.new("L", size, 128), "JPEG")).size == expected


def test_size_is_kept_when_large_image_is_png() -> None:
    assert decode_image(encode(Image.new("L", (4100, 20)), "PNG")).size == (4100, 20)


def test_reduced_picture_shows_the_same_when_draft_mode_is_used() -> None:
    gradient = np.linspace(0, 255, 4000).astype(np.uint8)[np.newaxis].repeat(400, axis=0)

    reduced = np.asarray(decode_image(encode(Image.fromarray(gradient), "JPEG", quality=95)))

    assert np.abs(reduced[100, :, 0].astype(int) - gradient[0, ::2]).max() <= 3


JPEG = encode(Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)), "JPEG")
PNG = encode(Image.fromarray(np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)), "PNG")


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("data", [JPEG, PNG], ids=["jpeg", "png"])
def test_file_is_refused_when_truncated(data: bytes, part: float) -> None:
    with pytest.raises(UnreadableImageError, match=r"damaged or incomplete|not an image"):
        decode_image(data[: int(len(data) * part)])


def test_file_is_refused_when_truncated_and_another_library_lets_such_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)

    with pytest.raises(UnreadableImageError, match="damaged or incomplete"):
        decode_image(JPEG[: len(JPEG) // 2])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"these are only words", "not an image"),
        (encode(Image.new("P", (4, 4)), "GIF"), "GIF"),
        (encode(Image.new("RGB", (4, 4)), "WEBP"), "WebP"),
        (encode(Image.new("RGB", (4, 4)), "TIFF"), "TIFF"),
        (encode(Image.new("RGB", (4, 4)), "BMP"), "BMP"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "HEIC"),
        (b"%PDF-1.7\n", "PDF"),
    ],
    ids=["empty", "text", "gif", "webp", "tiff", "bmp", "heic", "pdf"],
)
def test_file_is_refused_with_its_reason_when_of_another_kind(data: bytes, message: str) -> None:
    with pytest.raises(UnreadableImageError, match=message):
        decode_image(data)


def test_file_is_refused_when_png_is_animated() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green")]

    with pytest.raises(UnreadableImageError, match="animated"):
        decode_image(encode(frames[0], "PNG", save_all=True, append_images=frames[1:]))


def test_file_is_refused_when_it_claims_more_pixels_than_memory_holds() -> None:
    with pytest.raises(UnreadableImageError, match="too many pixels"):
        decode_image(png(30_000, 30_000, bits=8, colour_type=2, rows=b""))


@settings(max_examples=300, deadline=None)
@given(
    data=st.sampled_from([JPEG, PNG, encode(Image.fromarray(COLOURS), "PNG", exif=Image.Exif())]),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
    ),
)
def test_damaged_file_is_decoded_or_refused_when_any_bytes_change(
    data: bytes, changes: list[tuple[float, int]]
) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    try:
        image = decode_image(bytes(damaged))
    except UnreadableImageError:
        return
    assert image.mode == "RGB"


def test_network_input_is_the_scaled_centre_when_picture_is_not_square() -> None:
    wide = np.zeros((64, 192, 3), dtype=np.uint8)
    wide[:, 64:128] = (255, 102, 51)  # the middle third

    values = to_network_input(Image.fromarray(wide), size_px=16)

    assert values.shape == (16, 16, 3)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, np.broadcast_to((1.0, 0.4, 0.2), (16, 16, 3)), atol=1e-6)


def test_network_input_is_antialiased_when_picture_is_much_larger() -> None:
    board = (np.indices((1024, 1024)).sum(axis=0) % 2 * 255).astype(np.uint8)

    values = to_network_input(Image.fromarray(board).convert("RGB"), size_px=32)

    np.testing.assert_allclose(values, 0.5, atol=0.01)


def test_network_input_is_the_same_when_made_for_training_and_for_serving() -> None:
    image = decode_image(JPEG)

    for_training = scale_pixels(to_network_pixels(image, size_px=48))

    np.testing.assert_array_equal(for_training, to_network_input(image, size_px=48))


def test_network_input_is_refused_when_image_is_not_rgb() -> None:
    with pytest.raises(ValueError, match="RGB"):
        to_network_input(Image.new("L", (8, 8)), size_px=4)
