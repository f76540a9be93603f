"""What `ImageDecoder` and its subprocesses say to each other over a socket pair. Imports little, so it starts fast."""

import struct
from enum import IntEnum
from typing import Final, NamedTuple

REQUEST: Final = struct.Struct(">BBId")
"""`Task`, `Format`, size of the image that follows, CPU seconds it may take."""
REPLY: Final = struct.Struct(">BIIII")
"""`Verdict`, width, height, size of the image that follows (0 unless it was made anew), size of the thumbnail after it
(0 if there is none)."""

MAX_SIDE: Final = 2048
"""Long side of a prepared image: what the vision models look at, at most."""
THUMBNAIL_SIDE: Final = 320
"""Long side of a thumbnail. A JPEG that is no longer is its own."""
MAX_IMAGE_BYTES: Final = 32 * 1024 * 1024
"""Of an image made anew: more than what is uploaded, and than any JPEG of MAX_SIDE × MAX_SIDE at our quality."""
MAX_REPLY_BYTES: Final = MAX_IMAGE_BYTES + 1024 * 1024
"""With its thumbnail."""
PASS_THROUGH_BYTES: Final = 64 * 1024
"""Up to this size a clean JPEG goes to a provider as it is: making it anew would cost its quality and our time."""


class Task(IntEnum):
    """What is to be done with an image."""

    PREPARE = 1  # for a provider
    CLEAN = 2  # to be kept and shown, with a thumbnail


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


class Reply(NamedTuple):
    """A verdict, and what was made; width and height are those of the image, upright."""

    verdict: Verdict
    width: int = 0
    height: int = 0
    content: bytes = b""
    thumbnail: bytes = b""
