"""How a JPEG file is put together, read without decoding a pixel: its frame, its scans, and whether all are there.

libjpeg takes a file that ends early for a whole one as long as an end marker stands there, and fills the rest with
grey; Pillow passes on no word of it. What is missing is therefore looked for here (ITU-T T.81, annexes B and G).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from PIL import Image

from ml.preprocessing import UnreadableImageError, decode_image

JPEG_START: Final = b"\xff\xd8\xff"
MOST_SEGMENTS: Final = 2_000
"""A 25 MB photograph with all its metadata in segments of 64 kB has 400; Pillow needs 5 µs for each."""
MOST_SCANS: Final = 64
"""libjpeg writes 10, mozjpeg up to 20; each is one more walk over all pixels."""
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_ORDINARY_FRAMES: Final = (_BASELINE, _EXTENDED, _PROGRESSIVE)
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_COEFFICIENTS: Final = 64
_UNREAD: Final = 255
_NEXT_MARKER: Final = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
_RESTART: Final = re.compile(rb"\xff[\xd0-\xd7]")
_FILLED: Final = 128
"""What libjpeg paints where the data ended."""
_NEAR_FILLED: Final = 24
"""The neighbouring colour is smoothed into the corner."""
_NOISE: Final = bytes((37 * number * number + 11 * number) % 251 for number in range(1, 513))
"""Data that is no marker and that nobody encoded."""
_BAND_PX: Final = 256


class BrokenJpegError(ValueError):
    """The file's structure breaks the standard."""


class UnusualJpegError(ValueError):
    """The file is a JPEG of a kind that cameras do not write: arithmetic-coded, lossless, 12-bit."""


@dataclass(frozen=True, kw_only=True)
class _Component:
    horizontal: int
    vertical: int


@dataclass(kw_only=True)
class JpegStructure:
    """What a JPEG file consists of, as far as its markers tell.

    Args:
        width_px: As the frame says.
        height_px: As the frame says.
        is_progressive: Whether each scan refines what the ones before gave.
        scans: How many there are.
        has_end: Whether an end marker was found.
        is_missing_data: Whether a scan, or a part between two restart markers, is not there.
        end: Where the end marker stands; the file's length without one.
    """

    width_px: int
    height_px: int
    is_progressive: bool
    components: dict[int, _Component]
    scans: int = 0
    has_end: bool = False
    is_missing_data: bool = False
    end: int = 0
    precision: dict[int, list[int]] = field(default_factory=dict)


def read_jpeg_structure(data: bytes) -> JpegStructure:
    """Read a JPEG's markers up to its end marker; what follows that is not looked at.

    Raises:
        BrokenJpegError: it has no frame, several, or too many parts.
        UnusualJpegError: it is of a kind that is not decoded.
    """
    structure: JpegStructure | None = None
    restart_interval = 0
    for marker, start, content in _segments(data):
        if marker in _FRAMES:
            if structure is not None:
                raise BrokenJpegError("it has several frames")
            structure = _read_frame(marker, content)
        elif marker == 0xDD and len(content) >= 2:
            restart_interval = int.from_bytes(content[:2])
        elif marker == 0xDA:
            if structure is None:
                raise BrokenJpegError("its scan comes before its frame")
            _take_scan(structure, content, data, start, restart_interval)
        elif marker == 0xD9 and structure is not None:
            structure.has_end, structure.end = True, start
    if structure is None or not structure.scans:
        raise BrokenJpegError("it has no picture")
    structure.end = structure.end or len(data)
    if any(at != 0 for places in structure.precision.values() for at in places):
        structure.is_missing_data = True
    return structure


def is_whole_jpeg(data: bytes, structure: JpegStructure, *, decoded: Image.Image, long_side_px: int) -> bool:
    """Whether all of a JPEG's pixels were in the file.

    Noise put before the end marker is decoded only where data is missing, so a file that ends early looks different
    with it. The second look is taken where a corner has the colour that libjpeg fills with, and for the kinds of file
    in which nothing tells: progressive ones and those of four channels. What is lost of the last block alone (at most
    16×16 pixels in the corner) is not noticed.

    Args:
        data: the file.
        structure: its own.
        decoded: what `decode_image` made of it.
        long_side_px: what it was decoded with.
    """
    if structure.is_missing_data or not structure.has_end:
        return False
    is_plain = not structure.is_progressive and len(structure.components) <= 3
    if is_plain and not _has_filled_corner(decoded):
        return True
    try:
        noisy = decode_image(
            b"".join((data[: structure.end], _NOISE, data[structure.end :])), long_side_px=long_side_px
        )
    except UnreadableImageError:
        return False
    return _are_same(decoded, noisy)


def _segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Each marker up to the end, where it starts, and what its segment holds; a scan's data is skipped."""
    position, count = 2, 0
    while match := _NEXT_MARKER.search(data, position):
        count += 1
        if count > MOST_SEGMENTS:
            raise BrokenJpegError("it has too many parts")
        marker, after = data[match.end() - 1], match.end()
        if marker == 0xD9:
            yield marker, match.start(), b""
            return
        if marker in (0x01, 0xD8):
            position = after
            continue
        length = int.from_bytes(data[after : after + 2])
        if length < 2 or after + length > len(data):
            return
        yield marker, match.start(), data[after + 2 : after + length]
        position = after + length


def _read_frame(marker: int, content: bytes) -> JpegStructure:
    if len(content) < 6 or len(content) < 6 + 3 * content[5]:
        raise BrokenJpegError("its frame is cut")
    if marker not in _ORDINARY_FRAMES or content[0] != 8:
        raise UnusualJpegError
    components = {}
    for number in range(content[5]):
        name, sampling = content[6 + 3 * number], content[7 + 3 * number]
        components[name] = _Component(horizontal=sampling >> 4, vertical=sampling & 15)
    frame = JpegStructure(
        height_px=int.from_bytes(content[1:3]),
        width_px=int.from_bytes(content[3:5]),
        is_progressive=marker == _PROGRESSIVE,
        components=components,
        precision={name: [_UNREAD] * _COEFFICIENTS for name in components},
    )
    is_sampled = all(1 <= n <= 4 for one in components.values() for n in (one.horizontal, one.vertical))
    if not (frame.width_px and frame.height_px and components and is_sampled):
        raise BrokenJpegError("its frame makes no sense")
    return frame


def _take_scan(
    structure: JpegStructure, content: bytes, data: bytes, start: int, restart_interval: int
) -> None:
    """Note which coefficients of which channels a scan gave, and whether all its restart markers are there."""
    structure.scans += 1
    if structure.scans > MOST_SCANS:
        raise BrokenJpegError("it has too many scans")
    count = content[0] if content else 0
    if len(content) < 4 + 2 * count:
        raise BrokenJpegError("its scan is cut")
    names = [content[1 + 2 * number] for number in range(count)]
    if not names or any(name not in structure.components for name in names):
        raise BrokenJpegError("its scan names a channel that is not there")
    first, last, high, low = 0, _COEFFICIENTS - 1, 0, 0
    if structure.is_progressive:
        first, last, approximation = content[1 + 2 * count : 4 + 2 * count]
        high, low = approximation >> 4, approximation & 15
    for name in names:
        for place in range(first, min(last, _COEFFICIENTS - 1) + 1):
            if high and structure.precision[name][place] != high:  # the scan that it refines is not there
                structure.is_missing_data = True
            structure.precision[name][place] = low
    if restart_interval:
        begins = start + 4 + len(content)
        following = _NEXT_MARKER.search(data, begins)
        found = sum(1 for _ in _RESTART.finditer(data, begins, following.start() if following else len(data)))
        if found < -(-_units(structure, names) // restart_interval) - 1:
            structure.is_missing_data = True


def _units(structure: JpegStructure, names: list[int]) -> int:
    """How many coded units (MCUs) a scan of these channels has (T.81, A.2)."""
    widest = max(one.horizontal for one in structure.components.values())
    highest = max(one.vertical for one in structure.components.values())
    across, down = 8 * widest, 8 * highest
    if len(names) == 1:
        one = structure.components[names[0]]
        return -(-structure.width_px * one.horizontal // across) * -(
            -structure.height_px * one.vertical // down
        )
    return -(-structure.width_px // across) * -(-structure.height_px // down)


def _has_filled_corner(image: Image.Image) -> bool:
    """Whether a corner may be what libjpeg paints; any of the four, for the picture may have been turned."""
    right, bottom = image.width - 1, image.height - 1
    return any(
        all(abs(value - _FILLED) <= _NEAR_FILLED for value in image.crop((x, y, x + 1, y + 1)).tobytes())
        for x in (0, right)
        for y in (0, bottom)
    )


def _are_same(one: Image.Image, other: Image.Image) -> bool:
    """Compared in bands, for two pictures are in memory already."""
    return one.size == other.size and all(
        one.crop((0, top, one.width, min(top + _BAND_PX, one.height))).tobytes()
        == other.crop((0, top, one.width, min(top + _BAND_PX, one.height))).tobytes()
        for top in range(0, one.height, _BAND_PX)
    )
