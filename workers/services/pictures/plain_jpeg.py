"""A JPEG freed of everything but its picture, without touching that. Runs in the decoder's subprocess only.

Pillow reads markers up to the first scan. Comments and EXIF may stand between scans as well, and a second photo behind
the end, so this walks the whole file (ITU T.81 annex B).

Where a damaged byte has hidden a segment's marker, the segment counts as pixels, which a decoder skips. Its text gives
it away; binary remarks (a position in EXIF, say) between the scans of a damaged file would not be noticed.
"""

import re
from typing import Final

_MARKER: Final = re.compile(rb"\xff++([\x01-\xfe])")
_AFTER_A_SCAN: Final = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""What ends a scan: inside it FF is followed by 00 or by a restart marker (D0 to D7)."""
_TEXT: Final = re.compile(rb"[\x20-\x7e]{20}")
"""What pixels do not look like: by chance once in some 100 MB, and then the picture is only made anew."""
_END: Final = 0xD9
_START_OF_SCAN: Final = 0xDA
_OF_THE_PICTURE: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, _START_OF_SCAN})
"""Frames (baseline, extended, progressive), Huffman and quantization tables, restart interval, scan."""
_REMARKS: Final = frozenset({*range(0xE0, 0xF0), 0xFE})
"""Application segments (EXIF, XMP, IPTC, profiles, further pictures) and comments."""
_JFIF, _ADOBE = 0xE0, 0xEE
_TELL_COLOURS: Final = (b"JFIF\0", b"Adobe")
"""Beginnings of segments without which decoders would guess how colours are encoded."""
_JFIF_BYTES: Final = 14  # without a thumbnail of its own, which might show what was cut away later
_ADOBE_BYTES: Final = 12


def without_remarks(content: bytes) -> bytes | None:
    """Return a decodable JPEG without anything but its picture: the same object if there was nothing else.

    None if it is put together in a way that is not known here; then it has to be made anew.
    """
    kept = [content[:2]]
    is_plain = True
    position = 2
    while marker := _MARKER.match(content, position):
        code, start = marker[1][0], marker.end()
        if code == _END:
            is_plain &= not content[start:].strip(b"\0")  # cameras pad with zeros; other bytes are not ours to pass on
            return content if is_plain else b"".join([*kept, content[position:start]])
        body = content[start + 2 : start + int.from_bytes(content[start : start + 2])]
        following = _end_of(code, content, start + 2 + len(body))
        if following is None:
            return None
        if _is_harmless(code, body):
            kept.append(content[position:following])
        elif code in _REMARKS and not body.startswith(_TELL_COLOURS):
            is_plain = False
        else:
            return None
        position = following
    return None


def _end_of(code: int, content: bytes, position: int) -> int | None:
    """Return where a segment ends whose body ends at `position`: a scan's pixels follow its header.

    None if they do not end, or hold text.
    """
    if code != _START_OF_SCAN:
        return position
    marker = _AFTER_A_SCAN.search(content, position)
    if marker is None or _TEXT.search(content, position, marker.start()):
        return None
    return marker.start()


def _is_harmless(code: int, body: bytes) -> bool:
    if code == _JFIF:
        return body.startswith(b"JFIF\0") and len(body) == _JFIF_BYTES
    if code == _ADOBE:
        return body.startswith(b"Adobe") and len(body) == _ADOBE_BYTES
    return code in _OF_THE_PICTURE
