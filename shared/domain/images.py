"""What an upload is, read from its headers alone: the api sniffs and counts, only a worker's subprocess decodes.

Fast enough for an event loop (20 MB of the worst kind take milliseconds), allocates nothing of the size an image
claims, and raises nothing but refusals.
"""

import re
from typing import Final, NoReturn

import msgspec

from shared.domain.errors import ImageRefused, PayloadTooLarge, UnsupportedMediaType

MAX_PIXELS: Final = 40_000_000
"""Default of `settings.limits.image_pixels`: 120 MB once decoded."""
EXTENSION_OF: Final = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
_JPEG: Final = b"\xff\xd8"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_END: Final = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_JPEG_END: Final = b"\xff\xd9"
_JPEG_SIZES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers (ITU T.81 table B.1): C4, C8 and CC are tables and extensions."""
_JPEG_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length: TEM, RST0–7 and SOI."""
_JPEG_MARKERS: Final = 2000
"""Before the first scan. Real files have some dozens, an MPF or ICC monster some hundreds."""
_FILL: Final = re.compile(rb"\xff+")
_LOOKS_LIKE: Final = (
    (b"%PDF-", "a PDF document"),
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"\x7fELF", "a program"),
)


class ImageFacts(msgspec.Struct, frozen=True):
    """What an image says of itself; `extension` has no dot."""

    media_type: str
    width: int
    height: int
    extension: str


def sniff(content: bytes, *, max_pixels: int = MAX_PIXELS, field: str = "image") -> ImageFacts:
    """Return what the content is, if it is a whole JPEG, PNG or WebP as far as its headers tell.

    Bytes after the end are fine: cameras pad. `field` is where the caller put the image.

    Raises:
        UnsupportedMediaType: if it is something else; the text says what it looks like.
        ImageRefused: if it is empty, broken or cut off.
        PayloadTooLarge: if it has more than `max_pixels`.
    """
    if not content:
        _refuse("The image is empty: 0 bytes arrived.", field)
    if content.startswith(_JPEG):
        media_type, (width, height) = "image/jpeg", _jpeg_size(content, field)
    elif content.startswith(_PNG):
        media_type, (width, height) = "image/png", _png_size(content, field)
    elif _is_webp(content):
        media_type, (width, height) = "image/webp", _webp_size(content, field)
    else:
        raise UnsupportedMediaType(
            f"This is {appearance(content)}; images are taken as JPEG, PNG or WebP.", field=field
        )
    if width == 0 or height == 0:
        _refuse(f"The image has no pixels: it says that it is {width} × {height}.", field)
    if width * height > max_pixels:
        raise PayloadTooLarge(
            f"The image is {width} × {height}, {width * height:,} pixels; at most {max_pixels:,} are taken.",
            field=field,
        )
    return ImageFacts(media_type, width, height, EXTENSION_OF[media_type])


def looks_like_image(start: bytes) -> bool:
    """Whether bytes begin as images do that are taken."""
    return start.startswith((_JPEG, _PNG)) or _is_webp(start)


def _is_webp(start: bytes) -> bool:
    return start.startswith(b"RIFF") and start[8:12] == b"WEBP"


def _refuse(detail: str, field: str) -> NoReturn:
    raise ImageRefused(detail, field=field)


def _cut_off(what: str, field: str) -> NoReturn:
    _refuse(f"The {what} is cut off: its end is missing.", field)


def _jpeg_size(content: bytes, field: str) -> tuple[int, int]:
    """Walk the markers (ITU T.81 annex B) to the first scan, after whose start an end marker must follow."""
    size: tuple[int, int] | None = None
    position = 2
    for _ in range(_JPEG_MARKERS):
        marker, position = _jpeg_marker(content, position, field)
        if marker == 0xD9:
            _refuse("The JPEG ends before its first pixel.", field)
        if marker in _JPEG_BARE:
            continue
        length = int.from_bytes(content[position : position + 2])
        if length < 2:
            _broken_or_cut(content, position, field)
        if marker in _JPEG_SIZES:
            size = _jpeg_frame(content[position : position + length], field)
        position += length
        if marker == 0xDA:
            break
    else:
        _refuse(f"The JPEG is broken: {_JPEG_MARKERS} markers and no pixels.", field)
    if size is None:
        _refuse("The JPEG is broken: its pixels come before its size.", field)
    if content.find(_JPEG_END, position) < 0:
        _cut_off("JPEG", field)
    return size


def _jpeg_marker(content: bytes, position: int, field: str) -> tuple[int, int]:
    """Return the marker at `position` and where it ends; any number of fill bytes may stand before it."""
    if position < len(content) and content[position] != 0xFF:
        _refuse("The JPEG is broken: a marker is not where one must be.", field)
    if fill := _FILL.match(content, position):
        position = fill.end()
    if position >= len(content):
        _cut_off("JPEG", field)
    return content[position], position + 1


def _broken_or_cut(content: bytes, position: int, field: str) -> NoReturn:
    if position + 2 > len(content):
        _cut_off("JPEG", field)
    _refuse("The JPEG is broken: a segment is shorter than its own length.", field)


def _jpeg_frame(segment: bytes, field: str) -> tuple[int, int]:
    if len(segment) < 8:
        _cut_off("JPEG", field)
    return int.from_bytes(segment[5:7]), int.from_bytes(segment[3:5])


def _png_size(content: bytes, field: str) -> tuple[int, int]:
    if len(content) < 33:
        _cut_off("PNG", field)
    if content[8:16] != b"\x00\x00\x00\x0dIHDR":
        _refuse("The PNG is broken: it does not begin with its size.", field)
    if content.find(_PNG_END, 33) < 0:
        _cut_off("PNG", field)
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def _webp_size(content: bytes, field: str) -> tuple[int, int]:
    """Read the first chunk (RFC 9649 section 2): VP8 lossy, VP8L lossless or VP8X extended."""
    if len(content) < 30 or len(content) < 8 + int.from_bytes(content[4:8], "little"):
        _cut_off("WebP", field)
    kind, body = content[12:16], content[20:30]
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    _refuse("The WebP is broken: its first chunk has no size.", field)


def appearance(content: bytes, *, otherwise: str = "not a picture of a known kind") -> str:
    """Say in a few words what the content looks like instead."""
    head = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page, perhaps an error page under an image's name"
    if head.startswith((b"<svg", b"<?xml")):
        return "an XML document or SVG drawing"
    if head.startswith((b"{", b"[")):
        return "JSON"
    for magic, name in _LOOKS_LIKE:
        if content.startswith(magic):
            return name
    if content[4:8] == b"ftyp":
        return "an HEIC or AVIF picture or a video"
    if not content[:64].strip(b"\0"):
        return "nothing but zero bytes"
    return otherwise
