"""What `ImageDecoder` and its subprocesses say to each other over a socket pair. Imports nothing, so it starts fast."""

import struct
from enum import IntEnum
from typing import Final

REQUEST: Final = struct.Struct(">BId")
"""`Format`, size of the image that follows, CPU seconds it may take."""
REPLY: Final = struct.Struct(">BIII")
"""`Verdict`, width, height, size of the image that follows (0 unless it was made anew)."""

MAX_SIDE: Final = 2048
"""Long side of a prepared image: what the vision models look at, at most."""
MAX_REPLY_BYTES: Final = 16 * 1024 * 1024
"""More than any JPEG of MAX_SIDE × MAX_SIDE at our quality: 4 bytes a pixel."""
PASS_THROUGH_BYTES: Final = 64 * 1024
"""Up to this size a clean JPEG is left as it is: making it anew would cost its quality and our time."""


class Format(IntEnum):
    """What an image was sniffed as; nothing else is tried on it."""

    JPEG = 1
    PNG = 2
    WEBP = 3


class Verdict(IntEnum):
    """How it went."""

    READY = 1  # sent once, when the process can take its first image
    UNCHANGED = 2  # the image is fine as it came
    REMADE = 3
    BROKEN = 4
    TOO_MANY_PIXELS = 5
    TOO_MUCH_MEMORY = 6
