"""Photographs to upload: drawn ones, large ones, and every kind of file that should not come in."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import ExifTags, Image, ImageFilter

from melanoma_app.services.demo_images import draw_lesion

_shots = itertools.count()


@cache
def draw_photograph(*, seed: int = 1, irregularity: float = 0.3) -> bytes:
    """A drawn JPEG of 600×600 pixels that says in the picture that it is synthetic."""
    return draw_lesion(seed=seed, irregularity=irregularity)


@cache
def draw_blurred_photograph() -> bytes:
    """The drawn photograph as a shaken camera takes it: the quality gate stops it."""
    blurred = drawn_image().filter(ImageFilter.GaussianBlur(8))
    return encode(blurred, "JPEG", quality=90)


@cache
def draw_large_photograph(width_px: int = 4000, height_px: int = 3000) -> bytes:
    """A drawn JPEG of 12 megapixels, with noise as a camera's sensor has it."""
    small = Image.open(io.BytesIO(draw_photograph())).resize((width_px, height_px))
    noise = np.random.default_rng(1).integers(-6, 7, (height_px, width_px, 1), dtype=np.int16)
    pixels = np.clip(np.asarray(small, dtype=np.int16) + noise, 0, 255).astype(np.uint8)
    return encode(Image.fromarray(pixels), "JPEG", quality=85)


def shoot_again(content: bytes) -> bytes:
    """The same picture as a file of its own: the very same file is taken for one that is sent once more."""
    return content + b"shot %d" % next(_shots)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def make_png(
    width_px: int, height_px: int, *, bits: int, colour_type: int, rows: bytes, extra: bytes = b""
) -> bytes:
    """A PNG put together by hand, so that its header may claim anything (ISO/IEC 15948)."""
    header = struct.pack(">IIBBBBB", width_px, height_px, bits, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def chunk(kind: bytes, content: bytes) -> bytes:
    """A PNG chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@cache
def make_bomb(side_px: int = 30_000) -> bytes:
    """A PNG of 30,000×30,000 grey pixels, 900 MB decoded, in under a megabyte."""
    compressor = zlib.compressobj(9)
    row = bytes(1 + side_px)
    packed = b"".join(compressor.compress(row) for _ in range(side_px)) + compressor.flush()
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def drawn_image() -> Image.Image:
    return Image.open(io.BytesIO(draw_photograph())).convert("RGB")


def make_cmyk() -> bytes:
    return encode(drawn_image().convert("CMYK"), "JPEG", quality=90)


def make_grey() -> bytes:
    return encode(drawn_image().convert("L"), "JPEG", quality=90)


def make_16_bit() -> bytes:
    grey = np.asarray(drawn_image().convert("L")).astype(np.uint16) * 257
    return encode(Image.fromarray(grey), "PNG")


def make_animated_gif() -> bytes:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green")]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:])


def make_animated_png() -> bytes:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green")]
    return encode(frames[0], "PNG", save_all=True, append_images=frames[1:])


def make_rotated() -> bytes:
    """400×200, told by EXIF to be turned a quarter clockwise: its stored left edge is the upright top, red."""
    picture = Image.new("RGB", (400, 200), "white")
    picture.paste("red", (0, 0, 60, 200))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "Dr Artist"
    exif[ExifTags.Base.DateTime] = "2026:01:02 03:04:05"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    profile = b"a colour profile that is none" * 8
    return encode(picture, "JPEG", quality=95, exif=exif, comment=b"patient Jane Doe", icc_profile=profile)


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file, and the status it deserves: 201 where it is a photograph after all."""

    content: bytes
    status: int
    name: str = "photo.jpg"


HEIC_HEADER = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(200)


def hostile_uploads() -> dict[str, Upload]:
    """The bad-input list, by what each file is."""
    jpeg = draw_photograph()
    return {
        "empty file": Upload(content=b"", status=422),
        "text renamed .jpg": Upload(content=b"Dear doctor, the photograph is attached.\n" * 50, status=415),
        "truncated JPEG": Upload(content=jpeg[: len(jpeg) // 2], status=422),
        "JPEG header alone": Upload(content=jpeg[:20], status=422),
        "PNG bomb of 30,000 × 30,000": Upload(content=make_bomb(), status=413, name="bomb.png"),
        "file of 60 MB": Upload(content=jpeg + bytes(60_000_000 - len(jpeg)), status=413),
        "animated GIF": Upload(content=make_animated_gif(), status=415, name="moving.gif"),
        "APNG": Upload(content=make_animated_png(), status=422, name="moving.png"),
        "HEIC": Upload(content=HEIC_HEADER, status=415, name="IMG_0001.HEIC"),
        "CMYK": Upload(content=make_cmyk(), status=201),
        "16-bit": Upload(content=make_16_bit(), status=201, name="deep.png"),
        "grey": Upload(content=make_grey(), status=201),
        "EXIF-rotated": Upload(content=make_rotated(), status=201),
        "file name ../../x": Upload(content=jpeg, status=201, name="../../x"),
    }
