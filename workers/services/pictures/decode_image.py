"""Opening hostile images: in subprocesses with little memory and time, so that none can harm the worker.

The subprocesses are few and live long, because starting one costs more than decoding a hundred photos. One that dies,
stalls or is interrupted is replaced; each is replaced after some thousand images in any case. What they return is
believed no more than what a caller sends.
"""

import asyncio
from typing import Final, Self

import msgspec
import structlog

from shared.domain.errors import ImageRefused, InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from shared.domain.images import MAX_PIXELS, ImageFacts, sniff
from workers.services.pictures.decoder_pool import Place
from workers.services.pictures.decoder_wire import THUMBNAIL_SIDE, Format, Reply, Task, Verdict

_log = structlog.get_logger(__name__)

FIELD: Final = "input.image"
_FORMAT_OF: Final = {"image/jpeg": Format.JPEG, "image/png": Format.PNG, "image/webp": Format.WEBP}
_REFUSALS: Final = {
    Verdict.BROKEN: "The image is broken: its pixels cannot be decoded.",
    Verdict.TOO_MANY_PIXELS: "The image has more pixels than are taken.",
    Verdict.TOO_MUCH_MEMORY: "The image needs more memory than one image may take.",
}
_ASIDE_BYTES: Final = 1024 * 1024
"""Larger images are sniffed in a thread: it takes longer than an event loop may stand still."""


class PreparedImage(msgspec.Struct, frozen=True):
    """An image fit for a provider: upright, at most 2048 pixels long, without EXIF or other metadata."""

    content: bytes
    media_type: str
    width: int
    height: int


class CleanImage(msgspec.Struct, frozen=True):
    """An image fit to be kept and shown: whole, upright, in full size, nothing in it but pixels.

    `thumbnail` is a JPEG of at most 320 pixels, and None where the image is one itself. `is_unchanged` says that the
    content is what came, byte for byte.
    """

    content: bytes
    media_type: str
    width: int
    height: int
    thumbnail: bytes | None
    is_unchanged: bool


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
        self._places = [Place(arguments) for _ in range(processes)]
        self._idle: asyncio.LifoQueue[Place] = asyncio.LifoQueue()
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

        A small clean JPEG comes back as it is, the very same object; everything else is made anew as JPEG. `timeout_s`
        is CPU and wall time of the decoding; waiting for a free subprocess does not count. Cancelling is safe at any
        point.

        Raises:
            ImageRefused: if it is broken, or takes too long or too much memory.
            PayloadTooLarge: if it has too many pixels.
            UnsupportedMediaType: if it is not a JPEG, PNG or WebP.
            Unavailable: if no subprocess could be started.
        """
        reply = await self._reply(Task.PREPARE, content, media_type, timeout_s)
        if reply.verdict is Verdict.UNCHANGED:
            return PreparedImage(content, media_type, reply.width, reply.height)
        facts = await self._checked(reply.content)
        return PreparedImage(reply.content, facts.media_type, facts.width, facts.height)

    async def clean(self, content: bytes, media_type: str, *, timeout_s: float) -> CleanImage:
        """Decode an image wholly and return it as it may be shown, with its thumbnail.

        A JPEG with nothing to remove comes back as it is, other JPEGs as JPEG (encoded anew only if they are turned or
        change their colours), PNG as PNG (as JPEG if it would be larger than 32 MB), WebP as JPEG, or as PNG where it
        is transparent. Otherwise like `prepare`, and it raises the same.
        """
        reply = await self._reply(Task.CLEAN, content, media_type, timeout_s)
        is_unchanged = reply.verdict is Verdict.UNCHANGED
        if is_unchanged and media_type != "image/jpeg":
            raise _decoder_failed()
        cleaned = content if is_unchanged else reply.content
        facts = await self._checked(cleaned)
        thumbnail = await self._thumbnail(reply.thumbnail, facts)
        return CleanImage(cleaned, facts.media_type, facts.width, facts.height, thumbnail, is_unchanged)

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

    async def _reply(self, task: Task, content: bytes, media_type: str, timeout_s: float) -> Reply:
        """Return what was made of the image, or raise why nothing was."""
        kind = _FORMAT_OF.get(media_type)
        if kind is None:
            raise UnsupportedMediaType(f"Images are taken as JPEG, PNG or WebP, not as {media_type}.", field=FIELD)
        try:
            reply = await self._decode_twice(task, content, kind, timeout_s)
        except TimeoutError:
            raise ImageRefused(f"The image could not be decoded within {timeout_s:g} s.", field=FIELD) from None
        except ConnectionError as death:
            raise _decoder_failed() from death
        if reply.verdict in (Verdict.UNCHANGED, Verdict.REMADE):
            return reply
        refusal = PayloadTooLarge if reply.verdict is Verdict.TOO_MANY_PIXELS else ImageRefused
        raise refusal(_REFUSALS[reply.verdict], field=FIELD)

    async def _decode_twice(self, task: Task, content: bytes, kind: Format, timeout_s: float) -> Reply:
        """Decode; if the subprocess dies, once more: one death may be an accident, two are the image's doing."""
        try:
            return await self._decode(task, content, kind, timeout_s)
        except ConnectionError:
            _log.warning("image_decoder_died", task=task.name, size_bytes=len(content), format=kind.name)
        return await self._decode(task, content, kind, timeout_s)

    async def _decode(self, task: Task, content: bytes, kind: Format, timeout_s: float) -> Reply:
        place = await self._idle.get()
        try:
            process = await place.process()
            try:
                async with asyncio.timeout(timeout_s):
                    reply = await process.decode(task, content, kind, timeout_s)
            except BaseException:  # cancellation too: a subprocess that still owes an answer cannot be used again
                await place.retire()
                raise
            if process.decoded >= self._images_per_process:
                await place.retire()
            return reply
        finally:
            self._idle.put_nowait(place)

    async def _checked(self, made: bytes) -> ImageFacts:
        """Sniff what a subprocess returned, which hostile bytes ran through."""
        try:
            if len(made) < _ASIDE_BYTES:
                return sniff(made, max_pixels=self._max_pixels, field=FIELD)
            return await asyncio.to_thread(sniff, made, max_pixels=self._max_pixels, field=FIELD)
        except InvalidRequest as error:
            raise _decoder_failed() from error

    async def _thumbnail(self, made: bytes, of: ImageFacts) -> bytes | None:
        is_its_own = of.media_type == "image/jpeg" and max(of.width, of.height) <= THUMBNAIL_SIDE
        if is_its_own and not made:
            return None
        facts = await self._checked(made)
        if facts.media_type != "image/jpeg" or max(facts.width, facts.height) > THUMBNAIL_SIDE:
            raise _decoder_failed()
        return made


def _decoder_failed() -> ImageRefused:
    return ImageRefused("The image made the decoder fail.", field=FIELD)
