"""A body that is made while it is sent, a piece at a time, for as long as its reader reads."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import timedelta

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.parts import PIECE_BYTES
from shared.domain.errors import SmartSipError

_log = structlog.get_logger(__name__)


class Streamed(Response):
    """Sends pieces as they are made. Whoever leaves, or does not read, ends the making, too.

    After the first byte an error has no status any more: the body is cut off before its end, which a client sees.
    """

    def __init__(
        self, pieces: AsyncGenerator[bytes], *, media_type: str, headers: Mapping[str, str], send_timeout: timedelta
    ) -> None:
        super().__init__(headers=dict(headers), media_type=media_type)
        del self.headers["content-length"]
        self._pieces = pieces
        self._send_timeout_s = send_timeout.total_seconds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole of it."""
        watcher = asyncio.create_task(_left(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async with aclosing(self._pieces) as pieces:
                async for piece in pieces:
                    if watcher.done():
                        return
                    await self._send(send, piece)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            _log.warning("download_cut", reason="the client does not read")
        except SmartSipError as error:
            _log.warning("download_cut", reason=error.code)
        finally:
            watcher.cancel()

    async def _send(self, send: Send, piece: bytes) -> None:
        for begin in range(0, len(piece), PIECE_BYTES):
            async with asyncio.timeout(self._send_timeout_s):
                body = piece[begin : begin + PIECE_BYTES]
                await send({"type": "http.response.body", "body": body, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
