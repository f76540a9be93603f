"""One WebSocket of a session: what is said is answered one after the other, each answer in frames of its own.

Close codes: 1000 after an error's frame, 1001 restart (come back), 1003 not text, 1008 the credential is not good any
more, 1009 message too large, 1011 our fault, 1013 too slow (come back). What was said before an error and not answered
yet is forgotten; what was being answered when the client left goes on, and is in the history.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.access import admit
from api.auth import Caller
from api.dialects.llm_service_api.frame import ServiceFramer, error_frame
from api.dialects.llm_service_api.parse import parse_said
from api.dialects.llm_service_api.sessions import session_for, turn_in
from api.framing import INTERRUPTED
from api.front import Front
from api.relay import Outcome, Reader
from api.scopes import Scope
from api.services.watch import accept_and_read
from api.sockets import DONE, GOING_AWAY, INTERNAL, NOT_TEXT, POLICY, TOO_BIG, TRY_LATER
from shared.domain import errors
from shared.domain.errors import ErrorInfo, Forbidden, NotFound, SmartSipError, Unauthenticated, Unavailable
from shared.ending import end

MAX_MESSAGE_BYTES: Final = 64 * 1024
MAX_WAITING: Final = 100
"""Messages that were said while an answer is written."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Last:
    """How a socket ends: the code, and what is said before."""

    code: int
    error: ErrorInfo | None = None


class SessionSocket:
    """Serves an accepted WebSocket until one side ends it."""

    def __init__(self, websocket: WebSocket, front: Front, caller: Caller, session_id: str) -> None:
        self._websocket = websocket
        self._front = front
        self._caller = caller
        self._session_id = session_id
        self._said = asyncio.Queue[str](MAX_WAITING)
        self._answering = asyncio.Lock()
        self._send_timeout_s = front.settings.clocks.send.total_seconds()
        self._verdict: asyncio.Future[Last | None] = asyncio.get_running_loop().create_future()

    async def serve(self) -> None:
        """Answer what is said."""
        parts = (self._hear(), self._answer_all(), self._drain(), self._expire())
        work = [asyncio.create_task(self._guard(part)) for part in parts]
        try:
            last = await self._verdict
        finally:
            await end(*work)
        if last is not None:
            await self._close(last)

    async def _guard(self, part: Coroutine[Any, Any, None]) -> None:
        """Let any part's failure be the socket's end."""
        try:
            await part
        except TimeoutError:
            _log.warning("socket_cut", reason="the client does not read")
            self._end(Last(TRY_LATER))
        except (WebSocketDisconnect, OSError):
            self._end(None)
        except Exception:  # noqa: BLE001 - logged whole; the client is told nothing but that it is our fault
            _log.exception("socket_failed")
            self._end(Last(INTERNAL, errors.Internal().info()))

    def _end(self, last: Last | None) -> None:
        """End the socket; None if the client is gone."""
        if not self._verdict.done():
            self._verdict.set_result(last)

    async def _hear(self) -> None:
        """Keep what is said until its turn comes."""
        while not self._verdict.done():
            message = await self._websocket.receive()
            text: str | None = message.get("text")
            if message["type"] == "websocket.disconnect":
                self._end(None)
            elif text is None:
                self._end(Last(NOT_TEXT))
            elif len(text) > MAX_MESSAGE_BYTES or len(text.encode()) > MAX_MESSAGE_BYTES:
                self._end(Last(TOO_BIG))
            elif self._said.full():
                waiting = errors.QuotaExceeded(f"{MAX_WAITING} messages are waiting for their answers already.")
                self._end(Last(DONE, waiting.info()))
            else:
                self._said.put_nowait(text)

    async def _answer_all(self) -> None:
        while not self._verdict.done():
            said = await self._said.get()
            async with self._answering:
                await self._answer(said)

    async def _drain(self) -> None:
        """End when the server does, after what is being answered was told that it is interrupted."""
        await self._front.hub.draining.wait()
        async with self._answering:
            self._end(Last(GOING_AWAY))

    async def _expire(self) -> None:
        if self._caller.expires_at is not None:
            await asyncio.sleep(max(0.0, (self._caller.expires_at - datetime.now(UTC)).total_seconds()))
            self._end(Last(POLICY))

    async def _answer(self, said: str) -> None:
        try:
            reader = await self._accepted(said)
        except SmartSipError as error:
            self._end(Last(self._code_after(error), error.info()))
            return
        framer = ServiceFramer()
        try:
            await self._send_answer(reader, framer)
        finally:
            reader.close(Outcome.LEFT)
        if framer.has_failed:
            self._end(Last(DONE))
        elif reader.outcome is Outcome.DRAINED:
            self._end(Last(GOING_AWAY, INTERRUPTED))
        elif reader.outcome is Outcome.GONE:
            self._end(Last(DONE, NotFound("The session was deleted.").info()))

    async def _accepted(self, said: str) -> Reader:
        """Return a reader of the answer to come; who is asking is looked at for every message, as for any request."""
        text = parse_said(said)
        front, caller = self._front, self._caller
        if caller.ticket is None:
            access = front.settings.dialects.llm_service_api
            caller = await admit(self._websocket, front, access=access, scope=Scope.JOBS)
        if front.hub.is_draining:
            raise Unavailable("The server is restarting.")
        async with session_for(front, caller, self._session_id, text) as chat:
            reader, _ = await accept_and_read(front, await turn_in(front, caller, chat, text))
        if front.hub.is_draining:  # since a moment ago: nobody else tells this reader
            reader.close(Outcome.DRAINED)
        return reader

    async def _send_answer(self, reader: Reader, framer: ServiceFramer) -> None:
        while not framer.is_over and (batch := await reader.next()) is not None:
            for frame in b"".join(map(framer.frame, batch)).decode().splitlines():
                async with asyncio.timeout(self._send_timeout_s):
                    await self._websocket.send_text(frame)
            reader.last_sent_at = asyncio.get_running_loop().time()

    def _code_after(self, error: SmartSipError) -> int:
        if self._front.hub.is_draining:
            return GOING_AWAY
        return POLICY if isinstance(error, Unauthenticated | Forbidden) else DONE

    async def _close(self, last: Last) -> None:
        with suppress(RuntimeError, OSError, TimeoutError, WebSocketDisconnect):  # the client was quicker, or is stuck
            async with asyncio.timeout(self._send_timeout_s):
                if last.error is not None:
                    await self._websocket.send_text(error_frame(last.error).decode().rstrip("\n"))
                await self._websocket.close(last.code)
