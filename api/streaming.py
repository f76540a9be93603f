"""A reader's entries as server-sent events: our own framing, and the response that any dialect's framer uses.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html section 9.2 (read 2026-11-21).
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.dialect import Framer
from api.relay import Outcome, Reader
from shared.domain.events import Entry, Reasoning, Text, ToolCall, encode_event, event_type

RETRY_MS: Final = 2000
"""How long a browser waits before it comes back, unless it is told otherwise."""
DRAIN_RETRY_MS: Final = (1000, 3000)
"""Spread, so that the readers of a restarted server do not come back in one instant."""
EVENT_STREAM: Final = "text/event-stream"
STREAM_HEADERS: Final = {
    "Cache-Control": "no-cache, no-transform",  # no-transform: a proxy that compresses would hold events back
    "X-Accel-Buffering": "no",  # nginx
}
DELTAS: Final = (Text, Reasoning, ToolCall)

_log = structlog.get_logger(__name__)


class SSEFramer:
    """`id: <attempt>.<seq>`, `event: <type>`, one line of JSON `data:`.

    JSON escapes CR and LF, which alone would end a line; U+2028 and the like mean nothing to SSE.
    """

    @property
    def media_type(self) -> str:
        """The type of an event stream; always UTF-8."""
        return EVENT_STREAM

    @property
    def is_over(self) -> bool:
        """Never: a restart is an event of its own here."""
        return False

    def opening(self) -> bytes:
        """Return the reconnection time and a comment: first bytes, at once."""
        return b"retry: %d\n: stream of job events\n\n" % RETRY_MS

    def frame(self, entry: Entry) -> bytes:
        """Return one event."""
        event = entry.event
        return b"id: %d.%d\nevent: %b\ndata: %b\n\n" % (
            entry.attempt,
            entry.seq,
            event_type(event).encode(),
            encode_event(event),
        )

    def heartbeat(self) -> bytes:
        """Return a comment."""
        return b": heartbeat\n\n"

    def closing(self, *, retry_ms: int) -> bytes:
        """Return a new reconnection time."""
        return b"retry: %d\n\n" % retry_ms


class EventStream(Response):
    """Sends what a reader has until it is over, the client leaves, is too slow, or the server drains.

    `on_end` is called exactly once, however it ends; the reader is closed by then. `on_first_delta` is called once,
    when a first fragment of the answer was sent. `already` are entries that were taken from the reader before.
    """

    def __init__(
        self,
        reader: Reader,
        framer: Framer,
        *,
        send_timeout: timedelta,
        on_end: Callable[[Outcome], None],
        on_first_delta: Callable[[], None] | None = None,
        headers: Mapping[str, str] | None = None,
        already: Sequence[Entry] = (),
    ) -> None:
        super().__init__(headers=STREAM_HEADERS | dict(headers or {}), media_type=framer.media_type)
        del self.headers["content-length"]
        self._reader = reader
        self._framer = framer
        self._send_timeout_s = send_timeout.total_seconds()
        self._on_end = on_end
        self._on_first_delta = on_first_delta
        self._already = already

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        watcher = asyncio.create_task(self._watch_for_leaving(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send_all(send)
        except TimeoutError:
            _log.warning("stream_cut", job_id=str(self._reader.job_id), reason="the client does not read")
        finally:
            watcher.cancel()
            self._reader.close(Outcome.LEFT)
            self._on_end(self._reader.outcome or Outcome.LEFT)

    async def _send_all(self, send: Send) -> None:
        reader, framer = self._reader, self._framer
        await self._send(send, framer.opening() + b"".join(map(framer.frame, self._already)))
        self._look_for_first_delta(self._already)
        while not framer.is_over and (batch := await reader.next()) is not None:
            await self._send(send, b"".join(map(framer.frame, batch)) if batch else framer.heartbeat())
            if self._on_first_delta is not None:
                self._look_for_first_delta(batch)
        if reader.outcome in (Outcome.DRAINED, Outcome.GONE):
            retry_ms = random.randint(*DRAIN_RETRY_MS)  # noqa: S311 - jitter needs no secrecy
            await self._send(send, framer.closing(retry_ms=retry_ms))
        await self._send(send, b"", more=False)

    def _look_for_first_delta(self, batch: Sequence[Entry]) -> None:
        if self._on_first_delta is not None and any(isinstance(entry.event, DELTAS) for entry in batch):
            self._on_first_delta()
            self._on_first_delta = None

    async def _send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        if body or not more:
            async with asyncio.timeout(self._send_timeout_s):
                await send({"type": "http.response.body", "body": body, "more_body": more})
            self._reader.last_sent_at = asyncio.get_running_loop().time()

    async def _watch_for_leaving(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._reader.close(Outcome.LEFT)
