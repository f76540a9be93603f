"""A provider that plays a script, on a real socket: the stand-in for OpenAI and Ollama in every test.

It runs in a thread of its own, so tests may be synchronous or not, and other processes may call it:

    with ScriptedProvider() as provider:
        provider.play(openai_stream(["Hel", "lo"]))                                  # every request
        provider.play(answer("busy", status=503), openai_stream(["ok"]), model="m")  # the first, then all others
        ... OPENAI_BASE_URL=provider.openai_url, OLLAMA_API_URL=provider.url ...
        await provider.wait_closed()                                                 # the client closed its socket
"""

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast

import uvloop

from tests.scripted_replies import DONE as DONE
from tests.scripted_replies import Reply as Reply
from tests.scripted_replies import answer as answer
from tests.scripted_replies import in_words as in_words
from tests.scripted_replies import model_list as model_list
from tests.scripted_replies import ndjson as ndjson
from tests.scripted_replies import ollama_line as ollama_line
from tests.scripted_replies import ollama_stream as ollama_stream
from tests.scripted_replies import openai_answer as openai_answer
from tests.scripted_replies import openai_chunk as openai_chunk
from tests.scripted_replies import openai_stream as openai_stream
from tests.scripted_replies import sse as sse
from tests.scripted_replies import sse_event as sse_event

PATIENCE_S = 5
POLL_S = 0.002
HELLO = ["Hello", " from", " the", " script."]
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST


@dataclass
class Exchange:
    """One request, and what became of it. Instants are `time.monotonic()`."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    received_at: float
    answered_at: float | None = None
    """When the answer was sent to its scripted end."""
    closed_at: float | None = None
    """When the client was seen to close the connection, if that was before the next request on it."""
    pieces_sent: int = 0

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def model(self) -> str | None:
        """The model that was asked for."""
        try:
            return self.json.get("model")
        except (ValueError, AttributeError):
            return None


Script = Callable[[Exchange], Reply]


@dataclass
class ScriptedProvider:
    """An HTTP/1.1 server on a free loopback port; see the module's example."""

    port: int = 0
    exchanges: list[Exchange] = field(default_factory=list[Exchange])
    """Every request so far, in order of arrival."""
    open_connections: int = 0
    _scripts: dict[tuple[str | None, str | None], Script] = field(default_factory=dict[Any, Script])
    _loop: asyncio.AbstractEventLoop = field(default_factory=uvloop.new_event_loop)

    @property
    def url(self) -> str:
        """The base URL for Ollama."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """The base URL for OpenAI-compatible clients."""
        return f"{self.url}/v1"

    @property
    def active(self) -> int:
        """How many requests have neither been answered to the end nor abandoned by their client."""
        return sum(exchange.answered_at is None and exchange.closed_at is None for exchange in list(self.exchanges))

    def play(self, *replies: Reply, model: str | None = None, path: str | None = None) -> None:
        """Answer the next requests with these replies, the last one for ever.

        Without `model` and `path` it is for all requests no closer script is for.
        """
        ahead = iter(replies[:-1])
        self.play_with(lambda _: next(ahead, replies[-1]), model=model, path=path)

    def play_with(self, script: Script, *, model: str | None = None, path: str | None = None) -> None:
        """Answer with what a function of the request returns; it runs in the server's thread."""
        self._scripts[model, path] = script

    def forget(self) -> None:
        """Answer as if nothing had been scripted, and know of no request."""
        self._scripts.clear()
        self.exchanges.clear()

    def reply_for(self, exchange: Exchange) -> Reply:
        """Return what the script says, by default a short greeting, or one model, in the dialect of the path."""
        model, path = exchange.model, exchange.path
        for key in ((model, path), (model, None), (None, path), (None, None)):
            if script := self._scripts.get(key):
                return script(exchange)
        if path.endswith(("/models", "/api/tags")):
            return model_list("scripted")
        return ollama_stream(HELLO) if path.endswith("/api/chat") else openai_stream(HELLO)

    async def until(self, claim: Callable[[], bool], *, timeout_s: float = PATIENCE_S) -> None:
        """Wait until a claim about this provider is true."""
        async with asyncio.timeout(timeout_s):
            while not claim():  # noqa: ASYNC110 - what is waited for happens in another thread
                await asyncio.sleep(POLL_S)

    async def wait_requests(self, count: int = 1, *, timeout_s: float = PATIENCE_S) -> Exchange:
        """Wait until so many requests have arrived; return the last of them."""
        await self.until(lambda: len(self.exchanges) >= count, timeout_s=timeout_s)
        return self.exchanges[count - 1]

    async def wait_closed(self, index: int = 0, *, timeout_s: float = PATIENCE_S) -> float:
        """Wait until the client of a request closed its connection; return that instant."""
        await self.until(
            lambda: len(self.exchanges) > index and self.exchanges[index].closed_at is not None, timeout_s=timeout_s
        )
        return self.exchanges[index].closed_at or 0

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True, name="scripted-provider")
        self._thread.start()
        if not started.wait(PATIENCE_S):
            raise RuntimeError("the scripted provider did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)

    def _run(self, started: threading.Event) -> None:
        loop = self._loop
        connections: set[_Connection] = set()
        server = loop.run_until_complete(
            loop.create_server(lambda: _Connection(self, connections), "127.0.0.1", self.port, backlog=4096)
        )
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        loop.run_forever()
        server.close()
        for connection in list(connections):
            connection.abort()
        loop.run_until_complete(_all_ended())
        loop.run_until_complete(server.wait_closed())
        loop.close()


async def _all_ended() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)  # lets aborted transports say that they are gone


class _Connection(asyncio.Protocol):
    """One client's connection: requests one after the other, each answered by a task that dies with the connection."""

    def __init__(self, provider: ScriptedProvider, connections: "set[_Connection]") -> None:
        self._provider = provider
        self._connections = connections
        self._received = bytearray()
        self._exchange: Exchange | None = None
        self._answering: asyncio.Task[None] | None = None
        self._is_ours = False  # whether the script closed the connection, not the client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without being a subclass
        self._connections.add(self)
        self._provider.open_connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._provider.open_connections -= 1
        if self._exchange and self._exchange.closed_at is None and not self._is_ours:
            self._exchange.closed_at = time.monotonic()
        if self._answering:
            self._answering.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._answering is None or self._answering.done():
            self._take_request()

    def abort(self) -> None:
        self._transport.abort()

    def _take_request(self) -> None:
        head, separator, rest = bytes(self._received).partition(b"\r\n\r\n")
        if not separator:
            return
        request_line, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        size = int(headers.get("content-length", "0"))
        if len(rest) < size:
            return
        self._received = bytearray(rest[size:])
        method, path, _ = request_line.split(" ", 2)
        self._exchange = Exchange(method, path, headers, rest[:size], time.monotonic())
        self._provider.exchanges.append(self._exchange)
        self._answering = asyncio.get_running_loop().create_task(self._answer(self._exchange))
        self._answering.add_done_callback(self._answered)

    def _answered(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is None and self._received:
            self._take_request()

    async def _answer(self, exchange: Exchange) -> None:
        reply = self._provider.reply_for(exchange)
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        self._transport.write(_head(reply))
        next_at = time.monotonic()
        for piece in reply.pieces:
            next_at += reply.gap_s
            await asyncio.sleep(max(next_at - time.monotonic(), 0))
            self._transport.write(_framed(piece) if reply.framing == "chunked" else piece)
            exchange.pieces_sent += 1
        await self._end(reply)
        exchange.answered_at = time.monotonic()

    async def _end(self, reply: Reply) -> None:
        self._is_ours = reply.ending in ("cut", "reset") or reply.framing == "close"
        if reply.ending == "stall":
            await asyncio.get_running_loop().create_future()  # until the connection is lost
        if reply.ending == "reset":
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._transport.abort()
        elif reply.ending == "cut" or reply.framing == "close":
            self._transport.close()
        elif reply.framing == "chunked":
            self._transport.write(b"0\r\n\r\n")


def _head(reply: Reply) -> bytes:
    headers = {"content-type": reply.media_type}
    if reply.framing == "chunked":
        headers["transfer-encoding"] = "chunked"
    elif reply.framing == "length":
        headers["content-length"] = str(len(reply.body) + (reply.ending != "whole"))  # one byte that never comes
    else:
        headers["connection"] = "close"
    lines = [
        f"HTTP/1.1 {reply.status} Scripted",
        *(f"{name}: {value}" for name, value in (headers | dict(reply.headers)).items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _framed(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)
