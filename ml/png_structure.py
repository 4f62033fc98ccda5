"""Whether a PNG holds all of its picture: Pillow leaves rows black that its data do not reach (ISO/IEC 15948)."""

import zlib
from collections.abc import Iterator
from typing import Final

PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PASSES: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""Adam7: first column and row, and the steps between columns and rows."""
_STEP_BYTES: Final = 1 << 20


def is_whole_png(data: bytes) -> bool:
    """Whether the compressed data end properly and reach as far as the header says; nothing is kept in memory.

    Args:
        data: a file whose header Pillow has read.
    """
    wanted, unpacker, unpacked = 0, zlib.decompressobj(), 0
    try:
        for kind, content in _chunks(data):
            if kind == b"IHDR":
                wanted = _unpacked_bytes(content)
            elif kind == b"IDAT":
                while content and not unpacker.eof and unpacked <= wanted:
                    unpacked += len(unpacker.decompress(content, _STEP_BYTES))
                    content = unpacker.unconsumed_tail
        while not unpacker.eof and unpacked <= wanted and (rest := unpacker.decompress(b"", _STEP_BYTES)):
            unpacked += len(rest)
    except (zlib.error, KeyError):
        return False
    return unpacker.eof and unpacked >= wanted > 0


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(PNG_START)
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4])
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length


def _unpacked_bytes(header: bytes) -> int:
    """How many bytes the filtered rows have, one for the filter of each row included."""
    width_px, height_px = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    bits_a_pixel = header[8] * _CHANNELS[header[9]]
    if not header[12]:
        return height_px * (1 + -(-width_px * bits_a_pixel // 8))
    sizes = (
        (-(-(width_px - left) // across), -(-(height_px - top) // down))
        for left, top, across, down in _PASSES
    )
    return sum(
        rows * (1 + -(-columns * bits_a_pixel // 8)) for columns, rows in sizes if columns > 0 and rows > 0
    )
