"""WAV and AVI: chunks of an id and a size, at even places, in one chunk that is the file."""

from collections.abc import Iterator
from typing import Final

from shared.domain.ebml import Content
from workers.services.media.containers.broken import CUT_OFF, MAX_STEPS, TOO_MANY_PARTS, Broken, is_padding

_HEAD_BYTES: Final = 8
_UNKNOWN_SIZE: Final = 0xFFFFFFFF
"""What programs write that cannot go back to write the size, such as into a pipe."""
_MIN_FORMAT_BYTES: Final = 14


def check_wav(content: Content) -> None:
    """Raises `Broken` unless the chunks are within the file, and say how it sounds before it does."""
    has_format = has_sound = False
    for kind, _, size in _chunks(content):
        has_format = has_format or (kind == b"fmt " and size >= _MIN_FORMAT_BYTES)
        has_sound = has_sound or (kind == b"data" and has_format)
    if not has_sound:
        raise Broken("it has no sound")


def check_avi(content: Content) -> None:
    """Raises `Broken` unless the chunks are within the file, and among them are a list of streams and their frames."""
    lists = {content[begins : begins + 4] for kind, begins, _ in _chunks(content) if kind == b"LIST"}
    if not lists >= {b"hdrl", b"movi"}:
        raise Broken("it has no pictures")


def _chunks(content: Content) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's id, where its content begins, and how long that is."""
    announced = int.from_bytes(content[4:8], "little")
    end = len(content) if announced == _UNKNOWN_SIZE else _HEAD_BYTES + announced
    if end > len(content):
        raise Broken(CUT_OFF)
    if not is_padding(content, end, len(content)):
        raise Broken("something follows after its end")
    position = 12
    for _ in range(MAX_STEPS):
        if position >= end or is_padding(content, position, end):
            return
        begins = position + _HEAD_BYTES
        kind, size = content[position : position + 4], int.from_bytes(content[position + 4 : begins], "little")
        if not all(0x20 <= byte < 0x7F for byte in kind):
            raise Broken("something that is no chunk is where one must be")
        if size == _UNKNOWN_SIZE == announced and kind == b"data":
            size = end - begins
        if begins + size > end:
            raise Broken("a chunk reaches beyond the end")
        yield kind, begins, size
        position = begins + size + size % 2
    raise Broken(TOO_MANY_PARTS)
