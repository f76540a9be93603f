"""One WebSocket and the jobs it follows: a task per job that pumps its reader, and one that hears the client."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.auth import Caller
from api.cursors import cursor_from
from api.errors import problem
from api.front import Front
from api.relay import Outcome, Reader
from api.services.cancel import cancel, cancel_if_abandoned
from api.services.watch import job_of, open_reader
from shared.database.views import JobView
from shared.domain.errors import Conflict, InvalidRequest, MalformedRequest, NotFound, SmartSipError, TooManyStreams
from shared.domain.events import Entry, encode_event
from shared.domain.ids import JobId
from shared.domain.jobs import OnDisconnect

MAX_FOLLOWED: Final = 1000
MAX_MESSAGE_CHARS: Final = 64 * 1024
DONE, GOING_AWAY, NOT_TEXT, POLICY, TOO_BIG, INTERNAL, TRY_LATER = 1000, 1001, 1003, 1008, 1009, 1011, 1013
"""Close codes: RFC 6455 section 7.4.1, and the last of the IANA registry it founds."""

_log = structlog.get_logger(__name__)


class Follow(msgspec.Struct, tag="follow", forbid_unknown_fields=True):
    """Send a job's events from now on."""

    job_id: UUID
    after: str | None = None


class Unfollow(msgspec.Struct, tag="unfollow", forbid_unknown_fields=True):
    """Stop sending a job's events; the job goes on."""

    job_id: UUID


class Cancel(msgspec.Struct, tag="cancel", forbid_unknown_fields=True):
    """Cancel a job."""

    job_id: UUID


_decode = msgspec.json.Decoder[Follow | Unfollow | Cancel](Follow | Unfollow | Cancel).decode  # pyright: ignore[reportArgumentType]
_encode = msgspec.json.Encoder().encode
Show: TypeAlias = Callable[[Entry], Entry | None]
"""What a client is shown of an entry; None if it is shown nothing."""
_FIELD: Final = re.compile(r"(?:field `|at `\$\.)(\w+)`")
"""How msgspec's sentences name a field: "missing required field `x`", "… - at `$.x`"."""


def whole_entry(entry: Entry) -> Entry:
    """Show everything."""
    return entry


class _Followed:
    """A job that is followed: its reader once there is one, and the task that pumps it."""

    def __init__(self) -> None:
        self.reader: Reader | None = None
        self.policy = OnDisconnect.CONTINUE
        self.pump: asyncio.Task[None] | None = None


class JobSocket:
    """Serves an accepted WebSocket until one side ends it."""

    def __init__(self, websocket: WebSocket, front: Front, caller: Caller, *, show: Show = whole_entry) -> None:
        self._websocket = websocket
        self._front = front
        self._caller = caller
        self._show = show
        self._followed: dict[JobId, _Followed] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._cancelling: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()
        self._send_timeout_s = front.settings.clocks.send.total_seconds()
        self._verdict: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def serve_one(self, reader: Reader, view: JobView) -> None:
        """Serve one job, whose reader has begun, and close when it is over."""
        followed = self._followed[reader.job_id] = _Followed()
        followed.reader, followed.policy = reader, view.on_disconnect
        followed.pump = self._start(self._pump_only(reader))
        await self._serve(self._hear_about_one(reader.job_id))

    async def serve_many(self) -> None:
        """Serve whatever the client asks for."""
        await self._serve(self._hear_about_many())

    async def _serve(self, hearing: Coroutine[Any, Any, None]) -> None:
        self._start(hearing)
        self._start(self._drain())
        if self._caller.expires_at is not None:
            self._start(self._expire(self._caller.expires_at))
        try:
            code = await self._verdict
        finally:
            await self._stop()
        if code is None:
            for job_id, followed in self._followed.items():
                cancel_if_abandoned(self._front, job_id, followed.policy)
        else:
            await self._close(code)

    async def _stop(self) -> None:
        tasks = tuple(self._work)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for followed in self._followed.values():
            if followed.reader is not None:
                followed.reader.close(Outcome.LEFT)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guard(work))
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Let any part's end be the socket's where it must be."""
        try:
            await work
        except TimeoutError:
            _log.warning("socket_cut", reason="the client does not read")
            self._end(TRY_LATER)
        except (WebSocketDisconnect, OSError):
            self._end(None)
        except Exception:  # noqa: BLE001 - logged whole; the client is told nothing but that it is our fault
            _log.exception("socket_failed")
            self._end(INTERNAL)

    def _end(self, code: int | None) -> None:
        """End the socket with a close code; None if the client is gone."""
        if not self._verdict.done():
            self._verdict.set_result(code)

    async def _drain(self) -> None:
        await self._front.hub.draining.wait()
        self._end(GOING_AWAY)

    async def _expire(self, at: datetime) -> None:
        await asyncio.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()))
        self._end(POLICY)

    async def _hear_about_one(self, job_id: JobId) -> None:
        async for message in self._messages():
            if isinstance(message, Cancel) and message.job_id == job_id:
                self._cancelling.add(self._start(self._cancel(job_id)))
            else:
                error = InvalidRequest("on this socket there is one job, which may be cancelled; many are at /v2/ws")
                await self._send_error(error, message.job_id)

    async def _hear_about_many(self) -> None:
        async for message in self._messages():
            job_id = JobId(message.job_id)
            match message:
                case Follow():
                    await self._follow(job_id, message.after)
                case Unfollow():
                    await self._unfollow(job_id)
                case Cancel():
                    self._start(self._cancel(job_id))

    async def _messages(self) -> AsyncIterator[Follow | Unfollow | Cancel]:
        """Give what the client says; what cannot be understood is answered and passed over."""
        while not self._verdict.done():
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                self._end(None)
                return
            text: str | None = message.get("text")
            if text is None:
                self._end(NOT_TEXT)
            elif len(text) > MAX_MESSAGE_CHARS:
                self._end(TOO_BIG)
            else:
                try:
                    yield _decode(text)
                except msgspec.DecodeError as error:
                    await self._send_error(_misunderstood(error), None)

    async def _follow(self, job_id: JobId, after: str | None) -> None:
        if job_id in self._followed:
            await self._send_error(Conflict("this job is followed already", field="job_id"), job_id)
        elif len(self._followed) >= MAX_FOLLOWED:
            await self._send_error(TooManyStreams(f"a socket follows at most {MAX_FOLLOWED} jobs"), job_id)
        else:
            followed = self._followed[job_id] = _Followed()
            followed.pump = self._start(self._open_and_pump(job_id, after, followed))

    async def _unfollow(self, job_id: JobId) -> None:
        followed = self._followed.pop(job_id, None)
        if followed is None or followed.pump is None:
            await self._send_error(NotFound("this job is not followed", field="job_id"), job_id)
            return
        followed.pump.cancel()
        await asyncio.gather(followed.pump, return_exceptions=True)
        if followed.reader is not None:
            followed.reader.close(Outcome.LEFT)

    async def _open_and_pump(self, job_id: JobId, after: str | None, followed: _Followed) -> None:
        try:
            reader, view = await open_reader(self._front, self._caller.owner_id, job_id, cursor_from(after))
        except SmartSipError as error:
            del self._followed[job_id]
            await self._send_error(error, job_id)
            return
        followed.reader, followed.policy = reader, view.on_disconnect
        if reader.is_over:
            await self._send({"type": "end", "job_id": job_id})
        else:
            await self._pump(reader)
        if reader.outcome is not Outcome.DRAINED:
            reader.close(Outcome.ENDED)
            self._followed.pop(job_id, None)

    async def _pump_only(self, reader: Reader) -> None:
        await self._pump(reader)
        if self._cancelling:  # whose answer the client waits for: the end of the job may overtake it
            await asyncio.wait(self._cancelling)
        if reader.outcome is not Outcome.DRAINED:
            self._end(DONE)

    async def _pump(self, reader: Reader) -> None:
        head = b'{"job_id":"%b","id":"' % str(reader.job_id).encode()
        while (batch := await reader.next()) is not None:
            shown = [entry for entry in map(self._show, batch) if entry is not None]
            if shown:
                await self._send_texts([_text_of(head, entry) for entry in shown])
            reader.last_sent_at = asyncio.get_running_loop().time()  # the server's pings are this stream's heartbeat

    async def _cancel(self, job_id: JobId) -> None:
        try:
            has_ended = await cancel(self._front, job_id, self._caller.owner_id)
            state = (await job_of(self._front, self._caller.owner_id, job_id))[0].state if has_ended else "cancelling"
        except SmartSipError as error:
            await self._send_error(error, job_id)
        else:
            await self._send({"type": "cancel", "job_id": job_id, "state": state})

    async def _send_error(self, error: SmartSipError, job_id: UUID | None) -> None:
        about = {} if job_id is None else {"job_id": job_id}
        await self._send({"type": "error"} | about | {"problem": problem(error)})

    async def _send(self, document: dict[str, Any]) -> None:  # JSON
        await self._send_texts([_encode(document).decode()])

    async def _send_texts(self, texts: Sequence[str]) -> None:
        async with asyncio.timeout(self._send_timeout_s), self._sending:
            for text in texts:
                await self._websocket.send_text(text)

    async def _close(self, code: int) -> None:
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self._websocket.close(code)
        except (RuntimeError, OSError, WebSocketDisconnect):  # the client was quicker
            _log.debug("socket_gone_before_close", code=code)


def _text_of(head: bytes, entry: Entry) -> str:
    """Return an event's object with the job and the cursor before its own members."""
    return (b'%b%d.%d",%b' % (head, entry.attempt, entry.seq, encode_event(entry.event)[1:])).decode()


def _misunderstood(error: msgspec.DecodeError) -> SmartSipError:
    if not isinstance(error, msgspec.ValidationError):
        return MalformedRequest(f"the message is not JSON: {error}")
    named = _FIELD.search(str(error))
    return InvalidRequest(str(error), field=named[1] if named else None)
