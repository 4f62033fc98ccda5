"""The one path from image file to network input, for training and serving: decode, orient, resize, scale."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

PREPROCESSING_VERSION: Final = "1"
"""Raised whenever a file would give other numbers; a model only serves with the one it was trained with."""

MAX_CHANNEL_VALUE: Final = 255.0
_JPEG_SCALES: Final = (8, 4, 2)  # libjpeg decodes at 1/8, 1/4 and 1/2 at a fraction of the full cost
_REDUCING_GAP: Final = 3.0  # first shrink by a whole number, to 3 times the target: as good, twice as fast

# EXIF 2.32, tag 0x0112: what has to be done to the stored pixels to see the picture upright.
_UPRIGHT: Final[dict[int, Image.Transpose]] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow raises on damaged files (its plugins let parser errors through, so the list is long but closed).
_DAMAGED: Final = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)
_TOO_LARGE: Final = (Image.DecompressionBombError, Image.DecompressionBombWarning)


class UnreadableImageError(ValueError):
    """The bytes are no image we can use. The message is a sentence for a person and says what to do."""


def decode_image(data: bytes, *, long_side_px: int = 2000) -> Image.Image:
    """Decode a JPEG or PNG file into an upright 8-bit RGB image without metadata.

    A JPEG is decoded at the smallest DCT scale (1, 1/2, 1/4, 1/8) whose long side still has `long_side_px`: a
    4000x3000 photograph comes back as 2000x1500 in a quarter of the time. Nothing is resampled otherwise.
    Transparent pixels are laid on white, 16-bit channels keep their high byte, the first picture of an MPO
    (stereo or depth JPEG) is taken. Colour profiles are dropped, not applied: the training images carry none.

    Args:
        data: a whole image file.
        long_side_px: pixels that the long side keeps at least, where the file has them; 1 or more.

    Returns:
        Image of mode RGB with an empty `info`.

    Raises:
        UnreadableImageError: empty, damaged, truncated, animated or oversized file, or another format.
    """
    if not data:
        raise UnreadableImageError("The file is empty: choose a JPEG or PNG photograph.")
    try:
        # Some libraries (WeasyPrint is one) let the whole process take truncated files for whole ones.
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        with _open(data) as image:
            _reduce_jpeg(image, long_side_px)
            image.load()
            upright = _UPRIGHT.get(_orientation(image))
            decoded = _to_rgb(image)
            image.close()  # its pixels, too: a large picture need not lie in memory three times
    except UnreadableImageError:
        raise  # a ValueError, which Pillow raises for damaged files, too
    except _TOO_LARGE as error:
        raise UnreadableImageError(
            "The image has too many pixels to be decoded: save a smaller copy and try again."
        ) from error
    except _DAMAGED as error:
        raise UnreadableImageError(
            "The image file is damaged or incomplete: copy it again from the camera or take a new photograph."
        ) from error
    return decoded if upright is None else decoded.transpose(upright)


def to_network_pixels(image: Image.Image, *, size_px: int) -> NDArray[np.uint8]:
    """Crop the centre square of an image and resize it, antialiased.

    The crop keeps the aspect ratio of the lesion; the lesion is where the camera was pointed, in the middle.

    Args:
        image: mode RGB, as `decode_image` gives it.
        size_px: side of the network's input in pixels.

    Returns:
        uint8 (size_px, size_px, 3), RGB: what the training cache stores.

    Raises:
        ValueError: the image is not RGB.
    """
    if image.mode != "RGB":
        raise ValueError(f"expected an RGB image from decode_image, got mode {image.mode}")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    # Cropped first: with `box` alone the filter would reach for the pixels beside it.
    square = image if image.width == image.height else image.crop((left, top, left + side, top + side))
    square = square.resize((size_px, size_px), Image.Resampling.BILINEAR, reducing_gap=_REDUCING_GAP)
    return np.asarray(square, dtype=np.uint8)


def scale_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Scale 8-bit pixels of any shape to the network's range, 0 to 1."""
    scaled: NDArray[np.float32] = pixels.astype(np.float32) / np.float32(MAX_CHANNEL_VALUE)
    return scaled


def to_network_input(image: Image.Image, *, size_px: int) -> NDArray[np.float32]:
    """Make the array that a network is given for one image.

    Args:
        image: mode RGB, as `decode_image` gives it.
        size_px: side of the network's input in pixels.

    Returns:
        float32 (size_px, size_px, 3), RGB, 0 to 1.

    Raises:
        ValueError: the image is not RGB.
    """
    return scale_pixels(to_network_pixels(image, size_px=size_px))


def _open(data: bytes) -> Image.Image:
    """Open a JPEG or PNG; anything else is refused with the reason."""
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
    except UnidentifiedImageError as error:
        raise UnreadableImageError(_why_not_supported(data)) from error
    if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
        raise UnreadableImageError("This is an animated PNG: save the picture you want as one still image.")
    return image


def _why_not_supported(data: bytes) -> str:
    """Name the formats that people most often try, so that the message can say what to do about them."""
    if data[4:8] == b"ftyp" and data[8:12] in {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}:
        return "This is a HEIC photograph, which is not supported: export it as JPEG and try again."
    known: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("a GIF", lambda: data.startswith((b"GIF87a", b"GIF89a"))),
        ("a WebP image", lambda: data.startswith(b"RIFF") and data[8:12] == b"WEBP"),
        ("a TIFF image", lambda: data.startswith((b"II*\0", b"MM\0*"))),
        ("a BMP image", lambda: data.startswith(b"BM")),
        ("a PDF document", lambda: data.startswith(b"%PDF")),
    )
    for name, matches in known:
        if matches():
            return f"This is {name}, which is not supported: save it as JPEG or PNG and try again."
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        return (
            "The image file is damaged or incomplete: copy it again from the camera or take a new photograph."
        )
    return "This file is not an image: choose a JPEG or PNG photograph."


def _reduce_jpeg(image: Image.Image, long_side_px: int) -> None:
    """Ask libjpeg for the smallest scale that keeps `long_side_px`; other formats know no draft mode."""
    for scale in _JPEG_SCALES:
        if -(-max(image.size) // scale) >= long_side_px:
            image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))
            return


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; a broken EXIF block counts as upright, for the pixels are still good."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except _DAMAGED:
        return 1
    return orientation if isinstance(orientation, int) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB copy of a loaded image of any mode that JPEG and PNG know, without metadata."""
    if image.mode.startswith("I"):
        # Pillow clips 16-bit grey when it converts; the high byte is what it keeps of 16-bit colour, too.
        high_byte = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
        rgb = Image.fromarray(high_byte).convert("RGB")
    elif image.has_transparency_data:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        rgb = Image.new("RGB", layer.size, "white")
        rgb.paste(layer, mask=layer.getchannel("A"))
    else:
        rgb = image.convert("RGB")
    rgb.info.clear()
    return rgb
