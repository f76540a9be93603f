"""Small pictures, made here so that the repository carries no photos: whole ones, and ones wrong in one way."""

import io
import struct
import zlib
from functools import cache

from PIL import Image, ImageDraw
from PIL.Image import Exif

GPS_TAG = 0x8825
ORIENTATION_TAG = 0x0112
DESCRIPTION_TAG = 0x010E
SECRET_PLACE = "behind the third door"


@cache
def photo(width: int = 240, height: int = 240, *, seed: int = 0) -> bytes:
    """A JPEG of a cup under a tap, of about the size the device sends (240 × 240, some kilobytes)."""
    return _encoded(_scene(width, height, seed), "JPEG", quality=30)


@cache
def png(width: int = 64, height: int = 48, *, mode: str = "RGB") -> bytes:
    return _encoded(_scene(width, height, 0).convert(mode), "PNG")


@cache
def webp(width: int = 64, height: int = 48, *, lossless: bool = False) -> bytes:
    return _encoded(_scene(width, height, 0), "WEBP", lossless=lossless)


@cache
def webp_with_alpha() -> bytes:
    """Alpha makes the encoder write the extended form (VP8X)."""
    picture = _scene(64, 48, 0).convert("RGBA")
    picture.putalpha(128)
    return _encoded(picture, "WEBP")


@cache
def photo_with_exif() -> bytes:
    """A JPEG lying on its side (orientation 6: turn a quarter clockwise) that says where it was taken."""
    exif = Exif()
    exif[ORIENTATION_TAG] = 6
    exif[DESCRIPTION_TAG] = SECRET_PLACE
    exif.get_ifd(GPS_TAG)[2] = (48.0, 51.0, 29.6)
    return _encoded(_scene(240, 160, 0), "JPEG", quality=30, exif=exif.tobytes())


@cache
def photo_with_comment() -> bytes:
    return _encoded(_scene(120, 120, 0), "JPEG", comment=SECRET_PLACE)


@cache
def progressive_photo() -> bytes:
    return _encoded(_scene(240, 240, 0), "JPEG", progressive=True)


@cache
def flat_photo(side: int) -> bytes:
    """A JPEG of one colour: many pixels in few bytes."""
    return _encoded(Image.new("RGB", (side, side), (90, 120, 150)), "JPEG", quality=20)


@cache
def huge_webp() -> bytes:
    """A lossless WebP of one colour, 64 megapixels, 256 MB once decoded."""
    return _encoded(Image.new("RGB", (8000, 8000), (90, 120, 150)), "WEBP", lossless=True, quality=0, method=0)


@cache
def bomb(width: int = 10_000, height: int = 5_000) -> bytes:
    """A PNG of some kilobytes that says, truly, that it has 50 megapixels."""
    row = b"\0" + bytes((width + 7) // 8)
    compressor = zlib.compressobj(9)
    pixels = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def with_broken_pixels(content: bytes) -> bytes:
    """A PNG whose headers are fine and whose pixels are not."""
    start = content.index(b"IDAT") + 12
    return content[:start] + bytes(byte ^ 0x5A for byte in content[start : start + 64]) + content[start + 64 :]


def cut_off(content: bytes, part: float = 0.6) -> bytes:
    return content[: int(len(content) * part)]


def html_page() -> bytes:
    return b"<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not found</body></html>"


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _scene(width: int, height: int, seed: int) -> Image.Image:
    """A cup on a tray; `seed` shades it, so that many different photos can be made."""
    picture = Image.new("RGB", (width, height), (170, 160, 150))
    draw = ImageDraw.Draw(picture)
    shade = (40 + seed * 37 % 160, 90 + seed * 11 % 120, 140)
    draw.ellipse((width * 0.2, height * 0.3, width * 0.8, height * 0.9), fill=shade, outline="white")
    draw.ellipse((width * 0.3, height * 0.4, width * 0.7, height * 0.7), fill="white")
    for line in range(0, width, 7):
        draw.line((line, 0, width - line, height * 0.25), fill=(line % 255, 120, 60))
    return picture


def _encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()
