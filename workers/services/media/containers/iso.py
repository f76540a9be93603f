"""MP4, M4A and QuickTime (ISO 14496-12): boxes of a size and a type, some with boxes inside."""

from typing import Final

from shared.domain.ebml import Content
from workers.services.media.containers.broken import CUT_OFF, MAX_STEPS, TOO_MANY_PARTS, Broken, is_padding

_WITH_BOXES_INSIDE: Final = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf"})
_NEEDED: Final = (b"ftyp", b"moov", b"trak", b"mdat")
_HEAD_BYTES: Final = 8
_LONG_HEAD_BYTES: Final = 16


def check_iso(content: Content) -> None:
    """Raises `Broken` unless each box is within what it is in, and those are there without which nothing plays."""
    seen: set[bytes] = set()
    inside = [(0, len(content))]
    steps = 0
    while inside:
        position, end = inside.pop()
        while position < end and not is_padding(content, position, end):
            steps += 1
            if steps > MAX_STEPS:
                raise Broken(TOO_MANY_PARTS)
            kind, begins, position_after = _box(content, position, end)
            seen.add(kind)
            if kind in _WITH_BOXES_INSIDE:
                inside.append((begins, position_after))
            position = position_after
    for kind in _NEEDED:
        if kind not in seen:
            raise Broken(f"it has no box {kind.decode()!r}")


def _box(content: Content, position: int, end: int) -> tuple[bytes, int, int]:
    """Return a box's type, and where its content begins and ends."""
    begins = position + _HEAD_BYTES
    if begins > end:
        raise Broken(CUT_OFF)
    size, kind = int.from_bytes(content[position : position + 4]), content[position + 4 : begins]
    if not all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in kind):
        raise Broken("something that is no box is where one must be")
    if size == 1:
        begins = position + _LONG_HEAD_BYTES
        size = int.from_bytes(content[position + _HEAD_BYTES : begins])
    elif size == 0:  # to the end
        size = end - position
    if size < begins - position:
        raise Broken("a box is shorter than its own head")
    if position + size > end:
        raise Broken("a box reaches beyond the end")
    return kind, begins, position + size
