"""A provider that costs as little as Python allows: OpenAI's chat completions, answered as the model's name says.

Runs in a process of its own (`python -m benchmarks.mock_provider --port N`). Every token carries the monotonic time at
which it was sent, so a reader on the same machine knows how long it travelled.
"""

import argparse
import asyncio
import gc
import signal
import time
from collections.abc import Callable
from typing import Final, cast

import httptools
import msgspec
import uvloop

from benchmarks.script import PHOTO_ANSWER, Script, read_script, token_text
from benchmarks.timer_wheel import TimerWheel, now_ms

_STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_USAGE: Final = b'"usage":{"prompt_tokens":10,"completion_tokens":%d,"total_tokens":%d}'
_CHUNK: Final = b'{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"mock",'


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Request(msgspec.Struct):
    """What the mock reads of a request; everything else is ignored."""

    model: str
    stream: bool = False
    stream_options: _StreamOptions | None = None
    response_format: msgspec.Raw = msgspec.Raw()

    @property
    def wants_photo_answer(self) -> bool:
        return bytes(self.response_format) not in (b"", b"null")


_decode_request = msgspec.json.Decoder(_Request).decode


def _framed(data: bytes) -> bytes:
    """Return one server-sent event as one chunk of HTTP's chunked encoding (RFC 9112 section 7.1)."""
    event = b"data: " + data + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)


def _delta(content: str) -> bytes:
    delta = msgspec.json.encode({"content": content})
    return _framed(_CHUNK + b'"choices":[{"index":0,"delta":%b,"finish_reason":null}]}' % delta)


_ROLE: Final = _framed(
    _CHUNK + b'"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}'
)
_FINISH: Final = _framed(_CHUNK + b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}')
_DONE: Final = _framed(b"[DONE]") + b"0\r\n\r\n"
_PHOTO: Final = _delta(PHOTO_ANSWER)
_TOKEN_HEAD, _, _TOKEN_TAIL = _delta(token_text(0, 0)).partition(token_text(0, 0).encode())
"""Every token has the same length, so all that surrounds it is encoded once."""


class _Stream:
    """One answer that is being sent, token by token."""

    def __init__(self, transport: asyncio.Transport, script: Script, wants_usage: bool, on_end: Callable[[], None]):
        self._write = transport.write
        self._script = script
        self._wants_usage = wants_usage
        self._on_end = on_end
        self._first_ms = now_ms() + script.first_token_ms
        self._sent = 0
        self.is_abandoned = False

    def begin(self, wheel: TimerWheel) -> None:
        self._wheel = wheel
        self._write(_STREAM_HEAD)
        wheel.call_at(self._first_ms, self._send_due)

    def _send_due(self, now: int) -> None:
        if self.is_abandoned:
            return
        script = self._script
        late_ms = now - self._first_ms
        due = min(script.tokens, late_ms // script.delay_ms + 1) if script.delay_ms else script.tokens
        data = self._tokens_until(due)
        if self._sent == script.tokens:
            self._write(data + self._end())
            self._on_end()
        else:
            self._write(data)
            self._wheel.call_at(self._first_ms + self._sent * script.delay_ms, self._send_due)

    def _tokens_until(self, due: int) -> bytes:
        first = _ROLE if self._sent == 0 else b""
        start, self._sent = self._sent, due
        if self._script.is_photo:
            return first + _PHOTO
        sent_ns = time.monotonic_ns()
        return first + b"".join(
            _TOKEN_HEAD + b"%05d.%017d " % (position, sent_ns) + _TOKEN_TAIL for position in range(start, due)
        )

    def _end(self) -> bytes:
        if not self._wants_usage:
            return _FINISH + _DONE
        tokens = self._script.tokens
        usage = _framed(_CHUNK + b'"choices":[],' + _USAGE % (tokens, tokens + 10) + b"}")
        return _FINISH + usage + _DONE


class MockProvider(asyncio.Protocol):
    """One connection: requests come one after the other, as HTTP/1.1 clients send them."""

    def __init__(self, wheel: TimerWheel) -> None:
        self._wheel = wheel
        self._stream: _Stream | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        self._parser = httptools.HttpRequestParser(self)
        self._new_request()

    def _new_request(self) -> None:
        self._url = b""
        self._body: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._answer(b"400 Bad Request", {"error": {"message": f"not HTTP: {error}"}})
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stream is not None:
            self._stream.is_abandoned = True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        url, body = self._url, b"".join(self._body)
        self._new_request()
        if url != b"/v1/chat/completions":
            self._answer(b"404 Not Found", {"error": {"message": f"the mock provider has no {url.decode('latin-1')}"}})
            return
        try:
            request = _decode_request(body)
        except msgspec.MsgspecError as error:
            self._answer(b"400 Bad Request", {"error": {"message": f"the request cannot be read: {error}"}})
            return
        script = read_script(request.model)
        if script is None:
            self._answer(b"404 Not Found", {"error": {"message": f"no such model: {request.model}"}})
            return
        self._begin(request, script)

    def _begin(self, request: _Request, script: Script) -> None:
        if request.wants_photo_answer:
            script = msgspec.structs.replace(script, tokens=1, is_photo=True)
        if not request.stream:
            due = now_ms() + round(script.duration_s * 1000)
            self._wheel.call_at(due, lambda _: self._answer_whole(script))
            return
        wants_usage = request.stream_options is not None and request.stream_options.include_usage
        self._stream = _Stream(self._transport, script, wants_usage, self._end_stream)
        self._stream.begin(self._wheel)

    def _end_stream(self) -> None:
        self._stream = None

    def _answer_whole(self, script: Script) -> None:
        now = time.monotonic_ns()
        text = PHOTO_ANSWER if script.is_photo else "".join(token_text(n, now) for n in range(script.tokens))
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 10, "completion_tokens": script.tokens, "total_tokens": script.tokens + 10}
        answer = {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1,
            "model": "mock",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage,
        }
        self._answer(b"200 OK", answer)

    def _answer(self, status: bytes, answer: object) -> None:
        if self._transport.is_closing():
            return
        body = msgspec.json.encode(answer)
        head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        self._transport.write(head + body)


async def serve(port: int) -> None:
    """Answer on a loopback port until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    wheel = TimerWheel(loop)
    server = await loop.create_server(lambda: MockProvider(wheel), "127.0.0.1", port, backlog=4096)
    stopped = asyncio.Event()
    for stop_signal in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop_signal, stopped.set)
    gc.collect()
    gc.freeze()
    async with server:
        await stopped.wait()


def main() -> None:
    """Serve on the port named on the command line."""
    parser = argparse.ArgumentParser(description=serve.__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
