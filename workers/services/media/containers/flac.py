"""FLAC (RFC 9639): blocks about the sound, then frames of it, whose lengths only a decoder knows."""

from typing import Final

from shared.domain.ebml import Content
from workers.services.media.containers.broken import CUT_OFF, Broken

_HEAD_BYTES: Final = 4
_STREAM_INFO_BYTES: Final = 34
_MAX_BLOCKS: Final = 1000


def check_flac(content: Content) -> None:
    """Raises `Broken` unless the blocks are within the file, the first is of the stream, and a frame follows them."""
    position = _HEAD_BYTES
    for number in range(_MAX_BLOCKS):
        head = content[position : position + _HEAD_BYTES]
        if len(head) < _HEAD_BYTES:
            raise Broken(CUT_OFF)
        kind, size = head[0] & 0x7F, int.from_bytes(head[1:])
        if (number == 0) is not (kind == 0) or (number == 0 and size != _STREAM_INFO_BYTES):
            raise Broken("it does not begin with what its sound is like")
        position += _HEAD_BYTES + size
        if head[0] & 0x80:
            break
    else:
        raise Broken("it has too many blocks before its sound")
    if position >= len(content):
        raise Broken(CUT_OFF)
    frame = content[position : position + 2]
    if len(frame) < 2 or frame[0] != 0xFF or frame[1] & 0xFE != 0xF8:
        raise Broken("its sound is not where it must be")
