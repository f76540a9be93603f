"""Ogg (RFC 3533 section 6): pages, each with a table of the pieces in it."""

from typing import Final

from shared.domain.ebml import Content
from workers.services.media.containers.broken import CUT_OFF, MAX_STEPS, TOO_MANY_PARTS, Broken, is_padding

_HEAD_BYTES: Final = 27
_BEGINS_A_STREAM: Final = 2


def check_ogg(content: Content) -> None:
    """Raises `Broken` unless the file is one page after another, the first the beginning of a stream."""
    position, end = 0, len(content)
    for number in range(MAX_STEPS):
        if position == end or (number and is_padding(content, position, end)):
            break
        head = content[position : position + _HEAD_BYTES]
        if len(head) < _HEAD_BYTES:
            raise Broken(CUT_OFF)
        if not head.startswith(b"OggS\0"):
            raise Broken("something that is no page is where one must be")
        if not number and not head[5] & _BEGINS_A_STREAM:
            raise Broken("its beginning is missing")
        table = content[position + _HEAD_BYTES : position + _HEAD_BYTES + head[26]]
        position += _HEAD_BYTES + head[26] + sum(table)
        if len(table) < head[26] or position > end:
            raise Broken(CUT_OFF)
    else:
        raise Broken(TOO_MANY_PARTS)
    if number < 2:
        raise Broken("it has no more than a beginning")
