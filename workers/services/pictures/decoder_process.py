"""A subprocess that opens hostile images, one after another, and may die of any of them.

Started by `ImageDecoder` as `python -m workers.services.pictures.decoder_process <pixels> <bytes of memory>` with its
end of a socket pair as standard input, with no environment and so no secret. Ends when that socket does: no decoder
outlives its worker, however that died.
"""

import math
import resource
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from workers.services.pictures.clean_picture import clean
from workers.services.pictures.decoder_wire import REPLY, REQUEST, Format, Reply, Task, Verdict
from workers.services.pictures.prepare_picture import prepare

_CODECS: Final = (JpegImagePlugin, PngImagePlugin, WebPImagePlugin)
"""Imported because that registers them, here and not at the first image, whose time it would take."""
_TASKS: Final[dict[Task, Callable[[bytes, Format], Reply]]] = {Task.PREPARE: prepare, Task.CLEAN: clean}


def main() -> None:
    """Serve images from standard input until it is closed."""
    max_pixels, memory_bytes = int(sys.argv[1]), int(sys.argv[2])
    _confine(max_pixels, memory_bytes)
    for number in (signal.SIGINT, signal.SIGTERM):  # meant for the worker's group; a death would look like the image's
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=0) as channel, suppress(ConnectionError):
        _serve(channel)


def _serve(channel: socket.socket) -> None:
    channel.sendall(REPLY.pack(Verdict.READY, 0, 0, 0, 0))
    while len(header := _receive(channel, REQUEST.size)) == REQUEST.size:
        task, kind, size, cpu_s = REQUEST.unpack(header)
        content = _receive(channel, size)
        if len(content) < size:
            return
        _allow_cpu(cpu_s)
        reply = _answer(Task(task), content, Format(kind))
        sizes = len(reply.content), len(reply.thumbnail)
        channel.sendall(REPLY.pack(reply.verdict, reply.width, reply.height, *sizes) + reply.content + reply.thumbnail)


def _confine(max_pixels: int, memory_bytes: int) -> None:
    Image.MAX_IMAGE_PIXELS = max_pixels
    warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata would fill the worker's log
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


def _answer(task: Task, content: bytes, kind: Format) -> Reply:
    try:
        return _TASKS[task](content, kind)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Reply(Verdict.TOO_MANY_PIXELS)
    except MemoryError:
        return Reply(Verdict.TOO_MUCH_MEMORY)
    except Exception:  # noqa: BLE001 - Pillow's plugins raise anything on hostile bytes; the verdict says it
        return Reply(Verdict.BROKEN)


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
