"""Sending large objects, whole or the one range a browser asks for, in parts that fit into memory."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.domain.errors import NotFound, RangeNotSatisfiable, SmartSipError
from shared.ports.object_store import ObjectStore

PART_BYTES: Final = 1024 * 1024
"""What is fetched at a time."""
PIECE_BYTES: Final = 64 * 1024
"""What is sent at a time, so that the clock `send` cuts off those who do not read, and not those who read slowly."""
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Span:
    """So many bytes of an object, from byte `first` on."""

    first: int
    size_bytes: int

    def content_range(self, size_bytes: int) -> str:
        """Return the header that says which part of an object of this size this is."""
        return f"bytes {self.first}-{self.first + self.size_bytes - 1}/{size_bytes}"


def wanted_span(headers: Headers, *, size_bytes: int, tag: str) -> Span | None:
    """Return the one range that is asked for (RFC 9110 section 14); None means the whole object.

    Several ranges, and what is not understood, are answered with the whole, as section 14.2 allows; so is a range that
    is asked for only if the object were another one (`If-Range`). `tag` is quoted.

    Raises:
        RangeNotSatisfiable: if the object ends before the range begins.
    """
    match = _RANGE.fullmatch(headers.get("range", ""))
    if match is None or match[0] == "bytes=-" or headers.get("if-range", tag) != tag:
        return None
    if not match[1]:
        first, last = max(0, size_bytes - int(match[2])), size_bytes - 1
    else:
        first, last = int(match[1]), min(int(match[2] or size_bytes), size_bytes - 1)
        if match[2] and int(match[2]) < first:
            return None
    if first >= size_bytes:
        raise RangeNotSatisfiable(f"There are {size_bytes} bytes.", field="Range")
    return Span(first, last - first + 1)


class PartsResponse(Response):
    """Sends a span of an object; `begin` fetches its first part, while an error can still have a status."""

    def __init__(
        self,
        objects: ObjectStore,
        key: str,
        span: Span,
        *,
        media_type: str,
        headers: Mapping[str, str],
        status: int,
        send_timeout: timedelta,
    ) -> None:
        length = {"Content-Length": str(span.size_bytes), "Accept-Ranges": "bytes"}
        super().__init__(status_code=status, headers=dict(headers) | length, media_type=media_type)
        self._objects = objects
        self._key = key
        self._span = span
        self._send_timeout_s = send_timeout.total_seconds()
        self._first_part = b""

    async def begin(self) -> "PartsResponse":
        """Fetch the first part.

        Raises:
            NotFound: if the object is gone.
            Unavailable: if the object store is away.
        """
        self._first_part = await self._part(0)
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the span; a client that leaves, or does not read, is sent no more."""
        watcher = asyncio.create_task(_left(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async with aclosing(self._pieces()) as pieces:
                async for piece in pieces:
                    if watcher.done():
                        return
                    await self._send(send, piece, more=True)
            await self._send(send, b"", more=False)
        except TimeoutError:
            _log.warning("download_cut", reason="the client does not read")
        except SmartSipError as error:
            _log.warning("download_cut", reason=error.code)
        finally:
            watcher.cancel()

    async def _pieces(self) -> AsyncGenerator[bytes]:
        part, sent = self._first_part, 0
        while True:
            for position in range(0, len(part), PIECE_BYTES):
                yield part[position : position + PIECE_BYTES]
            sent += len(part)
            if sent >= self._span.size_bytes:
                return
            part = await self._part(sent)

    async def _part(self, offset: int) -> bytes:
        size = min(PART_BYTES, self._span.size_bytes - offset)
        part = await self._objects.get_part(self._key, first=self._span.first + offset, size_bytes=size)
        if len(part) != size:
            raise NotFound("The object is shorter than it was.")
        return part

    async def _send(self, send: Send, body: bytes, *, more: bool) -> None:
        async with asyncio.timeout(self._send_timeout_s):
            await send({"type": "http.response.body", "body": body, "more_body": more})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
