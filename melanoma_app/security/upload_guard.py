"""The first look at an uploaded file, before any pixel is decoded: size, kind, and the pixels its header claims."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image

from melanoma_app.errors import InvalidInputError, TooLargeError, UnsupportedImageError

_MAGIC: Final = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n"}
_BYTES_A_MEGABYTE: Final = 1_000_000
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
    width_px, height_px = _claimed_size(data, kind)
    if width_px * height_px > max_image_megapixels * 1_000_000:
        raise TooLargeError(
            f"The picture has {width_px:,} × {height_px:,} pixels; at most {max_image_megapixels} million are taken. "
            "Send a smaller copy."
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


def _claimed_size(data: bytes, kind: str) -> tuple[int, int]:
    """The size in the header; Pillow reads no further when it opens a file."""
    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as image:
            return image.size
    except Image.DecompressionBombError as error:
        raise TooLargeError("The picture has far too many pixels. Send a smaller copy.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InvalidInputError(
            "The file's header is broken, so it cannot be read. Send the original photograph again.",
            fields={"image": ["The file's header is broken."]},
        ) from error
