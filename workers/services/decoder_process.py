"""A subprocess that opens hostile images, one after another, and may die of any of them.

Started by `ImageDecoder` as `python -m workers.services.decoder_process <pixels> <bytes of memory>` with its end of a
socket pair as standard input, with no environment and so no secret. Ends when that socket does: no decoder outlives
its worker, however that died.
"""

import io
import math
import resource
import socket
import sys
import time
import warnings
from contextlib import suppress
from typing import Final

from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from workers.services.decoder_wire import MAX_SIDE, PASS_THROUGH_BYTES, REPLY, REQUEST, Format, Verdict

_CODECS: Final = (JpegImagePlugin, PngImagePlugin, WebPImagePlugin)
"""Imported because that registers them, here and not at the first image, whose time it would take."""
_QUALITY: Final = 90
_HARMLESS_SEGMENTS: Final = frozenset({"APP0", "APP14"})
"""JFIF and Adobe's colour transform. Everything else (EXIF, XMP, IPTC, comments) may say where a photo was taken."""


def main() -> None:
    """Serve images from standard input until it is closed."""
    max_pixels, memory_bytes = int(sys.argv[1]), int(sys.argv[2])
    _confine(max_pixels, memory_bytes)
    with socket.socket(fileno=0) as channel, suppress(ConnectionError):
        _serve(channel, max_pixels)


def _serve(channel: socket.socket, max_pixels: int) -> None:
    channel.sendall(REPLY.pack(Verdict.READY, 0, 0, 0))
    while len(header := _receive(channel, REQUEST.size)) == REQUEST.size:
        kind, size, cpu_s = REQUEST.unpack(header)
        content = _receive(channel, size)
        if len(content) < size:
            return
        _allow_cpu(cpu_s)
        verdict, width, height, made = _answer(content, Format(kind), max_pixels)
        channel.sendall(REPLY.pack(verdict, width, height, len(made)) + made)


def _confine(max_pixels: int, memory_bytes: int) -> None:
    Image.MAX_IMAGE_PIXELS = max_pixels
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    for what, limit in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(what, (limit, limit))


def _allow_cpu(seconds: float) -> None:
    """Let the kernel end this process (SIGXCPU) when one image takes longer; the limit counts from the start."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time() + seconds), hard))


def _answer(content: bytes, kind: Format, max_pixels: int) -> tuple[Verdict, int, int, bytes]:
    try:
        return _prepare(content, kind, max_pixels)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Verdict.TOO_MANY_PIXELS, 0, 0, b""
    except MemoryError:
        return Verdict.TOO_MUCH_MEMORY, 0, 0, b""
    except Exception:  # noqa: BLE001 - Pillow's plugins raise anything on hostile bytes; the verdict says it
        return Verdict.BROKEN, 0, 0, b""


def _prepare(content: bytes, kind: Format, max_pixels: int) -> tuple[Verdict, int, int, bytes]:
    with Image.open(io.BytesIO(content), formats=[kind.name]) as image:
        size = image.size
        if size[0] * size[1] > max_pixels:
            return Verdict.TOO_MANY_PIXELS, 0, 0, b""
        if kind is Format.JPEG:
            image.draft("RGB", (MAX_SIDE, MAX_SIDE))  # libjpeg then decodes a huge photo at a fraction of its size
        image.load()
        if kind is Format.JPEG and max(size) <= MAX_SIDE and _is_clean(content, image):
            return Verdict.UNCHANGED, *size, b""
        upright = ImageOps.exif_transpose(image)
        upright.thumbnail((MAX_SIDE, MAX_SIDE))
        plain = _without_alpha(upright)
    buffer = io.BytesIO()
    plain.save(buffer, "JPEG", quality=_QUALITY)
    return Verdict.REMADE, plain.width, plain.height, buffer.getvalue()


def _is_clean(content: bytes, image: Image.Image) -> bool:
    """Whether a JPEG can go to a provider as it is: small, plain colours, nothing in it but its pixels."""
    segments = {name for name, _ in getattr(image, "applist", ())}
    return (
        len(content) <= PASS_THROUGH_BYTES
        and image.mode in ("RGB", "L")
        and segments <= _HARMLESS_SEGMENTS
        and content.rstrip(b"\0").endswith(b"\xff\xd9")  # cameras pad with zeros; other bytes are not ours to pass on
    )


def _without_alpha(image: Image.Image) -> Image.Image:
    """Return the image in plain colours, what is transparent as white, and without its metadata."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    plain = image if image.mode in ("RGB", "L") else image.convert("RGB")
    plain.info = {}
    return plain


def _receive(channel: socket.socket, size: int) -> bytes:
    """Return exactly `size` bytes, or fewer if the other side is gone."""
    received = bytearray()
    while len(received) < size:
        part = channel.recv(min(size - len(received), 1 << 20))
        if not part:
            break
        received += part
    return bytes(received)


if __name__ == "__main__":
    main()
