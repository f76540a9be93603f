"""Opening hostile images: in subprocesses with little memory and time, so that none can harm the worker.

The subprocesses are few and live long, because starting one costs more than decoding a hundred photos. One that dies,
stalls or is interrupted is replaced; each is replaced after some thousand images in any case.
"""

import asyncio
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Self, TypeAlias

import msgspec
import structlog

from shared.domain.errors import ImageRefused, InvalidRequest, PayloadTooLarge, Unavailable, UnsupportedMediaType
from shared.domain.images import MAX_PIXELS, sniff
from workers.services.decoder_wire import MAX_REPLY_BYTES, REPLY, REQUEST, Format, Verdict

_log = structlog.get_logger(__name__)

FIELD: Final = "input.image"
_FORMAT_OF: Final = {"image/jpeg": Format.JPEG, "image/png": Format.PNG, "image/webp": Format.WEBP}
_CHECKOUT: Final = Path(__file__).parents[2]
_START_S: Final = 20.0
"""For a new interpreter to load Pillow on a machine that is busy with something else."""
_Reply: TypeAlias = tuple[Verdict, int, int, bytes]
"""Verdict, width, height, and the image if it was made anew."""
_REFUSALS: Final = {
    Verdict.BROKEN: "The image is broken: its pixels cannot be decoded.",
    Verdict.TOO_MANY_PIXELS: "The image has more pixels than are taken.",
    Verdict.TOO_MUCH_MEMORY: "The image needs more memory than one image may take.",
}


class PreparedImage(msgspec.Struct, frozen=True):
    """An image fit for a provider: upright, at most 2048 pixels long, without EXIF or other metadata."""

    content: bytes
    media_type: str
    width: int
    height: int


class ImageDecoder:
    """A small pool of decoding subprocesses. One per worker process; safe for any number of concurrent callers."""

    def __init__(
        self,
        *,
        processes: int = 2,
        images_per_process: int = 5000,
        max_pixels: int = MAX_PIXELS,
        memory_bytes: int = 1024 * 1024 * 1024,
    ) -> None:
        self._images_per_process = images_per_process
        self._max_pixels = max_pixels
        arguments = (str(max_pixels), str(memory_bytes))
        self._places = [_Place(arguments) for _ in range(processes)]
        self._idle: asyncio.LifoQueue[_Place] = asyncio.LifoQueue()
        for place in self._places:
            self._idle.put_nowait(place)

    async def start(self) -> None:
        """Start the subprocesses and wait until each can take an image.

        Raises:
            Unavailable: if one does not start.
        """
        try:
            await asyncio.gather(*(place.process() for place in self._places))
        except BaseException:
            await self.close()
            raise

    async def prepare(self, content: bytes, media_type: str, *, timeout_s: float) -> PreparedImage:
        """Decode an image wholly and return it as a provider should see it.

        A small clean JPEG comes back as it is; everything else is made anew as JPEG. `timeout_s` is CPU and wall time
        of the decoding; waiting for a free subprocess does not count. Cancelling is safe at any point.

        Raises:
            ImageRefused: if it is broken, or takes too long or too much memory.
            PayloadTooLarge: if it has too many pixels.
            UnsupportedMediaType: if it is not a JPEG, PNG or WebP.
            Unavailable: if no subprocess could be started.
        """
        kind = _FORMAT_OF.get(media_type)
        if kind is None:
            raise UnsupportedMediaType(f"Images are taken as JPEG, PNG or WebP, not as {media_type}.", field=FIELD)
        try:
            verdict, width, height, made = await self._decode_twice(content, kind, timeout_s)
        except TimeoutError:
            raise ImageRefused(f"The image could not be decoded within {timeout_s:g} s.", field=FIELD) from None
        except ConnectionError as death:
            raise ImageRefused("The image made the decoder fail.", field=FIELD) from death
        if verdict is Verdict.UNCHANGED:
            return PreparedImage(content, media_type, width, height)
        if verdict is Verdict.REMADE:
            return self._checked(made)
        refusal = PayloadTooLarge if verdict is Verdict.TOO_MANY_PIXELS else ImageRefused
        raise refusal(_REFUSALS[verdict], field=FIELD)

    @property
    def process_ids(self) -> set[int]:
        """The subprocesses that are alive now."""
        return {place.current.pid for place in self._places if place.current is not None}

    async def close(self) -> None:
        """End all subprocesses; images in progress or waiting fail."""
        await asyncio.gather(*(place.close() for place in self._places))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def _decode_twice(self, content: bytes, kind: Format, timeout_s: float) -> _Reply:
        """Decode; if the subprocess dies, once more: one death may be an accident, two are the image's doing."""
        try:
            return await self._decode(content, kind, timeout_s)
        except ConnectionError:
            _log.warning("image_decoder_died", size_bytes=len(content), format=kind.name)
        return await self._decode(content, kind, timeout_s)

    async def _decode(self, content: bytes, kind: Format, timeout_s: float) -> _Reply:
        place = await self._idle.get()
        try:
            process = await place.process()
            try:
                async with asyncio.timeout(timeout_s):
                    reply = await process.decode(content, kind, timeout_s)
            except BaseException:  # cancellation too: a subprocess that still owes an answer cannot be used again
                await place.retire()
                raise
            if process.decoded >= self._images_per_process:
                await place.retire()
            return reply
        finally:
            self._idle.put_nowait(place)

    def _checked(self, made: bytes) -> PreparedImage:
        """Believe a subprocess that hostile bytes ran through no more than a caller."""
        try:
            facts = sniff(made, max_pixels=self._max_pixels, field=FIELD)
        except InvalidRequest as error:
            raise ImageRefused("The image made the decoder fail.", field=FIELD) from error
        return PreparedImage(made, facts.media_type, facts.width, facts.height)


class _Place:
    """A place in the pool: holds one subprocess, started when it is first needed and after each that was retired."""

    def __init__(self, arguments: tuple[str, ...]) -> None:
        self._arguments = arguments
        self._starting: asyncio.Task[_Process] | None = None
        self._is_closed = False
        self.current: _Process | None = None

    async def process(self) -> "_Process":
        """Return the subprocess. A caller that is cancelled meanwhile leaves the start going on for the next one."""
        if self._is_closed:
            raise Unavailable("The worker is shutting down.")
        if self.current is None:
            if self._starting is None or _failed(self._starting):
                self._starting = asyncio.create_task(_Process.start(self._arguments))
            process = await asyncio.shield(self._starting)
            if self._is_closed:
                raise Unavailable("The worker is shutting down.")
            self.current = process
        return self.current

    async def retire(self) -> None:
        """End the subprocess, if there is one."""
        process, self.current = self.current, None
        if process is not None:
            self._starting = None
            await asyncio.shield(asyncio.create_task(process.end()))

    async def close(self) -> None:
        """End the subprocess for good, also one that is just starting."""
        self._is_closed = True
        if self._starting is not None:
            with suppress(Unavailable):
                self.current = await self._starting
        await self.retire()


def _failed(task: "asyncio.Task[_Process]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


class _Process:
    """One subprocess and our end of its socket pair.

    Started with `subprocess` in a thread rather than by the event loop, whose child watchers want the main thread.
    """

    def __init__(
        self, child: "subprocess.Popen[bytes]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._child = child
        self._reader = reader
        self._writer = writer
        self.pid = child.pid
        self.decoded = 0

    @classmethod
    async def start(cls, arguments: tuple[str, ...]) -> Self:
        ours, theirs = socket.socketpair()
        try:
            child = await asyncio.to_thread(_popen, theirs, arguments)
        except OSError as error:
            ours.close()
            raise Unavailable("The image decoder could not be started.") from error
        finally:
            theirs.close()
        ours.setblocking(False)
        process = cls(child, *await asyncio.open_connection(sock=ours))
        try:
            async with asyncio.timeout(_START_S):
                await process._reply()
        except (ConnectionError, TimeoutError) as error:
            await process.end()
            raise Unavailable("The image decoder did not start.") from error
        return process

    async def decode(self, content: bytes, kind: Format, cpu_s: float) -> _Reply:
        self.decoded += 1
        self._writer.write(REQUEST.pack(kind, len(content), cpu_s))
        self._writer.write(content)
        await self._writer.drain()
        return await self._reply()

    async def _reply(self) -> _Reply:
        """Read one reply; raises ConnectionError if the subprocess is gone or talks nonsense."""
        try:
            verdict, width, height, size = REPLY.unpack(await self._reader.readexactly(REPLY.size))
            if size > MAX_REPLY_BYTES:
                raise ConnectionError("the decoder's reply is too long")
            return Verdict(verdict), width, height, await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, ValueError) as error:
            raise ConnectionError("the decoder is gone") from error

    async def end(self) -> None:
        self._child.kill()
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
        await asyncio.to_thread(self._child.wait)


def _popen(channel: socket.socket, arguments: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    # An empty environment keeps secrets out of a process that hostile bytes run through.
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module, numbers as arguments
        [sys.executable, "-E", "-s", "-m", "workers.services.decoder_process", *arguments],
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,
        cwd=_CHECKOUT,
        env={},
    )
