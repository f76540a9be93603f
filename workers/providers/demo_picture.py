"""The picture that the demo provider makes: it says `demo`, and nothing else."""

import struct
import zlib
from functools import cache
from typing import Final

_WORD: Final = (
    "    #",
    "    #",
    " ####  ###  ######   ###",
    "#   # #   # #  #  # #   #",
    "#   # ##### #  #  # #   #",
    "#   # #     #  #  # #   #",
    " ####  ###  #  #  #  ###",
)
_INK: Final = bytes((20, 70, 120))
_PAPER: Final = bytes((235, 245, 250))
_SCALE: Final = 8
"""Pixels a dot."""
_MARGIN: Final = 2
"""Dots on each side."""


@cache
def demo_picture() -> bytes:
    """Return it as a PNG."""
    width = max(map(len, _WORD)) + 2 * _MARGIN
    empty = [""] * _MARGIN
    rows = [f"{'':{_MARGIN}}{row}".ljust(width) for row in (*empty, *_WORD, *empty)]
    lines = [b"\0" + b"".join((_INK if dot == "#" else _PAPER) * _SCALE for dot in row) for row in rows]
    pixels = zlib.compress(b"".join(line * _SCALE for line in lines))
    head = struct.pack(">IIBBBBB", width * _SCALE, len(rows) * _SCALE, 8, 2, 0, 0, 0)  # 8 bits, red green blue
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
