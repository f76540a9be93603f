"""Small pictures, made here so that the repository carries no photos: whole ones, and ones wrong in one way."""

import io
import struct
import zlib
from functools import cache
from random import Random
from typing import Any

from PIL import Image, ImageCms, ImageDraw
from PIL.Image import Exif
from PIL.ImageCms import ImageCmsProfile
from PIL.PngImagePlugin import PngInfo

_cms: Any = ImageCms  # where Pillow leaves types open

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


@cache
def photo_where_and_when(width: int = 640, height: int = 480, *, orientation: int = 1, quality: int = 85) -> bytes:
    """A JPEG with every kind of metadata: EXIF with a place, XMP, IPTC, a comment, and a thumbnail in the EXIF."""
    exif = Exif()
    exif[ORIENTATION_TAG] = orientation
    exif[DESCRIPTION_TAG] = SECRET_PLACE
    exif.get_ifd(GPS_TAG)[2] = (48.0, 51.0, 29.6)
    xmp = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{SECRET_PLACE}</x:xmpmeta>".encode()
    picture = _quarters(width, height)
    content = _encoded(picture, "JPEG", quality=quality, exif=exif.tobytes(), xmp=xmp, comment=SECRET_PLACE)
    iptc = b"Photoshop 3.0\0" + SECRET_PLACE.encode()
    return content[:2] + _segment(0xED, iptc) + content[2:]


@cache
def png_where_and_when(width: int = 640, height: int = 480, *, orientation: int = 1, mode: str = "RGB") -> bytes:
    """A PNG with EXIF, XMP, texts of all three kinds, and something behind its end."""
    exif = Exif()
    exif[ORIENTATION_TAG] = orientation
    exif[DESCRIPTION_TAG] = SECRET_PLACE
    texts = PngInfo()
    texts.add_text("Comment", SECRET_PLACE)
    texts.add_text("Location", SECRET_PLACE, zip=True)
    texts.add_itxt("XML:com.adobe.xmp", f"<x:xmpmeta>{SECRET_PLACE}</x:xmpmeta>")
    picture = _quarters(width, height).convert(mode)
    return _encoded(picture, "PNG", exif=exif.tobytes(), pnginfo=texts) + SECRET_PLACE.encode()


@cache
def webp_where_and_when(width: int = 640, height: int = 480, *, mode: str = "RGB") -> bytes:
    exif = Exif()
    exif[DESCRIPTION_TAG] = SECRET_PLACE
    picture = _quarters(width, height)
    if mode == "RGBA":
        picture.putalpha(128)
    return _encoded(picture, "WEBP", exif=exif.tobytes(), xmp=SECRET_PLACE.encode())


@cache
def photo_with_comment_between_scans() -> bytes:
    """A progressive JPEG whose comment stands where readers that stop at the first scan do not look."""
    content = progressive_photo()
    second_scan = content.index(b"\xff\xda", content.index(b"\xff\xda") + 2)
    start = max(content.rindex(marker, 0, second_scan) for marker in (b"\xff\xc4", b"\xff\xda"))
    return content[:start] + _segment(0xFE, SECRET_PLACE.encode()) + content[start:]


@cache
def photo_before_another() -> bytes:
    """A plain JPEG with another one behind its end, which says where it was taken."""
    return photo() + photo_with_exif()


@cache
def photo_with_jfif_thumbnail() -> bytes:
    """A JPEG whose JFIF header carries a small picture of its own (JFIF 1.02), as wide as one pixel."""
    content = photo()
    small = b"JFIF\0\x01\x02\x00\x00\x01\x00\x01" + bytes([1, len(SECRET_PLACE) // 3]) + SECRET_PLACE.encode()
    end = 4 + int.from_bytes(content[4:6])
    return content[:2] + _segment(0xE0, small) + content[end:]


@cache
def photo_in_swapped_colours() -> bytes:
    """A red JPEG whose colour profile says that its red is what everyone else calls green."""
    srgb = ImageCmsProfile(_cms.createProfile("sRGB")).tobytes()
    swapped = bytearray(srgb)
    tags = {srgb[at : at + 4]: at for at in range(132, 132 + 12 * int.from_bytes(srgb[128:132]), 12)}
    red, green = tags[b"rXYZ"] + 4, tags[b"gXYZ"] + 4
    swapped[red : red + 8], swapped[green : green + 8] = srgb[green : green + 8], srgb[red : red + 8]
    profile = bytes(swapped).replace(b"sRGB", b"none").replace("sRGB".encode("utf-16-be"), "none".encode("utf-16-be"))
    return _encoded(Image.new("RGB", (64, 64), (230, 20, 20)), "JPEG", quality=95, icc_profile=profile)


@cache
def cmyk_photo() -> bytes:
    return _encoded(_quarters(640, 480).convert("CMYK"), "JPEG", quality=90)


@cache
def noise(width: int, height: int, form: str) -> bytes:
    """A picture that does not compress."""
    pixels = Random(1).randbytes(width * height * 3)
    return _encoded(Image.frombytes("RGB", (width, height), pixels), form)


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def _quarters(width: int, height: int) -> Image.Image:
    """Four colours, so that it can be told which side is up: red, green above blue, white."""
    picture = Image.new("RGB", (width, height), "white")
    half = (width // 2, height // 2)
    for colour, corner in (((220, 30, 30), (0, 0)), ((30, 200, 30), (half[0], 0)), ((30, 30, 220), (0, half[1]))):
        picture.paste(colour, (*corner, corner[0] + half[0], corner[1] + half[1]))
    return picture
