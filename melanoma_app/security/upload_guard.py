"""The first look at an uploaded file, before any pixel is decoded: size, kind, and the pixels its header claims.

What decoding may take is known from the header alone. Measured with Pillow 13, growth of the process: a PNG of 16
million pixels 75–200 MB, as its channels are; a progressive JPEG of 24 million 90–160 MB, for libjpeg holds all its
coefficients; an ordinary JPEG of 50 million 25 MB, for it is decoded at the size that is needed.
"""

from __future__ import annotations

import io
from typing import Final

from PIL import Image, PngImagePlugin

from melanoma_app.errors import InvalidInputError, TooLargeError, UnsupportedImageError
from ml.inference import JPEG_START, PNG_START, BrokenJpegError, UnusualJpegError, read_jpeg_structure

_MAGIC: Final = {"JPEG": JPEG_START, "PNG": PNG_START}
_BYTES_A_MEGABYTE: Final = 1_000_000
_PIXELS_A_MEGAPIXEL: Final = 1_000_000
MOST_PNG_MEGAPIXELS: Final = 16
"""A PNG is decoded whole."""
MOST_PROGRESSIVE_MEGAPIXELS: Final = 25
MOST_PNG_CHUNKS: Final = 20_000
"""Encoders write 8 kB and more into one: 25 MB are 3,200 of them; Pillow needs 5 µs for each."""
# Pillow unpacks up to 64 MB of a PNG's texts, which nobody reads.
PngImagePlugin.MAX_TEXT_MEMORY = 4_000_000
_ADVICE: Final = {
    b"GIF8": "This is a GIF. Save the picture as JPEG or PNG and send that.",
    b"%PDF": "This is a PDF. Save the picture in it as JPEG or PNG and send that.",
    b"RIFF": "This is a WebP file. Save the picture as JPEG or PNG and send that.",
    b"II*\x00": "This is a TIFF. Save the picture as JPEG or PNG and send that.",
    b"MM\x00*": "This is a TIFF. Save the picture as JPEG or PNG and send that.",
    b"BM": "This is a BMP. Save the picture as JPEG or PNG and send that.",
}


def check_upload(data: bytes, *, max_upload_mb: int, max_image_megapixels: int) -> None:
    """Refuse what should not reach the decoder.

    Args:
        data: The whole file.
        max_upload_mb: Largest file, in units of 1,000,000 bytes.
        max_image_megapixels: Largest picture the header may claim, in units of 1,000,000 pixels.

    Raises:
        InvalidInputError: The file is empty, or its header is broken.
        UnsupportedImageError: It is not a JPEG or PNG.
        TooLargeError: The file or its picture is too large.
    """
    if not data:
        raise InvalidInputError(
            "The file is empty. Choose the photograph again.", fields={"image": ["The file is empty."]}
        )
    if len(data) > max_upload_mb * _BYTES_A_MEGABYTE:
        raise TooLargeError(
            f"The file is larger than {max_upload_mb} MB. Send a smaller copy of the photograph."
        )
    kind = next((kind for kind, magic in _MAGIC.items() if data.startswith(magic)), None)
    if kind is None:
        raise UnsupportedImageError(_advice(data))
    most_megapixels, kind_in_words = max_image_megapixels, "picture"
    if kind == "PNG":
        _check_png_chunks(data)
        most_megapixels, kind_in_words = min(most_megapixels, MOST_PNG_MEGAPIXELS), "PNG"
    elif _check_jpeg(data):
        most_megapixels, kind_in_words = min(most_megapixels, MOST_PROGRESSIVE_MEGAPIXELS), "progressive JPEG"
    width_px, height_px = _claimed_size(data, kind)
    if width_px * height_px > most_megapixels * _PIXELS_A_MEGAPIXEL:
        advice = "a smaller copy"
        if width_px * height_px <= max_image_megapixels * _PIXELS_A_MEGAPIXEL:
            advice += ", or save it as an ordinary JPEG"
        raise TooLargeError(
            f"The {kind_in_words} has {width_px:,} × {height_px:,} pixels; at most {most_megapixels} million are "
            f"taken. Send {advice}."
        )


def _advice(data: bytes) -> str:
    if data[4:8] == b"ftyp":
        return (
            "This is a HEIC, AVIF or video file. Save the photograph as JPEG and send that "
            "(on an iPhone: Settings, Camera, Formats, Most Compatible)."
        )
    for magic, advice in _ADVICE.items():
        if data.startswith(magic):
            return advice
    return "This file is not a photograph. Send a JPEG or PNG."


def _check_jpeg(data: bytes) -> bool:
    """Whether a JPEG is progressive; one that is broken, or of a kind that no camera writes, is refused."""
    try:
        return read_jpeg_structure(data).is_progressive
    except UnusualJpegError as error:
        raise UnsupportedImageError(
            "This JPEG is of an unusual kind (arithmetic-coded, lossless or 12-bit). Save the photograph as an "
            "ordinary JPEG and send that."
        ) from error
    except BrokenJpegError as error:
        raise _broken_header() from error


def _check_png_chunks(data: bytes) -> None:
    """Refuse a PNG whose metadata would keep the reader busy: too many chunks, or more than one colour profile."""
    position, chunks, profiles = len(_MAGIC["PNG"]), 0, 0
    while position + 8 <= len(data):
        chunks += 1
        profiles += data[position + 4 : position + 8] == b"iCCP"
        if chunks > MOST_PNG_CHUNKS or profiles > 1:
            raise _broken_header()
        position += 12 + int.from_bytes(data[position : position + 4])


def _broken_header() -> InvalidInputError:
    return InvalidInputError(
        "The file's header is broken, so it cannot be read. Send the original photograph again.",
        fields={"image": ["The file's header is broken."]},
    )


def _claimed_size(data: bytes, kind: str) -> tuple[int, int]:
    """The size in the header; Pillow reads no further when it opens a file."""
    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as image:
            return image.size
    except Image.DecompressionBombError as error:
        raise TooLargeError("The picture has far too many pixels. Send a smaller copy.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise _broken_header() from error
