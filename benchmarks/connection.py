"""A client's HTTP/1.1 connection, as bare as it can be: it notes what came and when, and judges nothing.

Judging is done when the clock has stopped (`streams.py`, `photos.py`), so that the load generator takes as little as
possible of the machine it shares with the system under test.
"""

import asyncio
import time
from typing import Final, cast

import httptools

_HOST: Final = "127.0.0.1"


class Response:
    """What came back for one request; `pieces` are the body's bytes with the monotonic time of their arrival."""

    __slots__ = ("is_whole", "pieces", "status")

    def __init__(self) -> None:
        self.status = 0  # stays 0 if the connection broke before the head was there
        self.pieces: list[tuple[int, bytes]] = []
        self.is_whole = False

    @property
    def body(self) -> bytes:
        """The whole body, or what came of it."""
        return b"".join(piece for _, piece in self.pieces)


class Connection(asyncio.Protocol):
    """One kept-alive connection; it is opened anew where the server has closed it between two requests."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._response: Response | None = None
        self._ended: asyncio.Future[Response] | None = None
        self._now_ns = 0

    async def open(self) -> None:
        """Connect, unless connected."""
        if self._transport is None or self._transport.is_closing():
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.create_connection(lambda: self, _HOST, self._port)

    async def exchange(self, request: bytes) -> Response:
        """Send one request and return what came back, whole or not.

        Raises:
            OSError: if no connection can be made.
        """
        await self.open()
        assert self._transport is not None
        self._parser = httptools.HttpResponseParser(self)
        ended = self._ended = asyncio.get_running_loop().create_future()
        self._response = Response()
        self._transport.write(request)
        return await ended

    def close(self) -> None:
        """Close at once; a response under way ends as it stands."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        if self._response is None:  # nothing was asked: the next exchange opens a new connection
            self.close()
            return
        self._now_ns = time.monotonic_ns()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end()

    def on_headers_complete(self) -> None:
        assert self._response is not None
        self._response.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        assert self._response is not None
        self._response.pieces.append((self._now_ns, body))

    def on_message_complete(self) -> None:
        assert self._response is not None
        self._response.is_whole = True
        if not self._parser.should_keep_alive():
            self.close()
        self._end()

    def _end(self) -> None:
        response, ended = self._response, self._ended
        self._response = self._ended = None
        if response is not None and ended is not None and not ended.done():
            ended.set_result(response)


def http_request(method: str, path: str, *, token: str, body: bytes | None = None, headers: str = "") -> bytes:
    """Return a request's bytes; `headers` are further header lines, each ended by CRLF."""
    content = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body is not None else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: {_HOST}\r\nAuthorization: Bearer {token}\r\n{headers}{content}\r\n"
    return head.encode() + (body or b"")
