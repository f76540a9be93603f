"""Answers of a number of tokens in three protocols, all at once or one by one, for `benchmarks.token_cost`.

Runs in a process of its own, so that what it uses is not counted (`python -m benchmarks.token_server --port N`). The
path says which protocol, the model's name how much: `t-<tokens>-<ms between two tokens>`.
"""

import argparse
import asyncio
import re
import signal
from collections.abc import Callable
from itertools import repeat
from typing import Final, cast

import msgspec
import uvloop

from benchmarks.timer_wheel import TimerWheel, now_ms

EVENTS_AFTER_TOKENS: Final = 3
"""In OpenAI's protocol: the reason of the end, what was used, and the end."""
_MODEL: Final = re.compile(rb"\bt-(\d+)-(\d+)\b")
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"


def openai(tokens: int) -> list[bytes]:
    """Return chat completion chunks, with what OpenAI sends around a token."""
    chunk: dict[str, object] = {
        "id": "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012",
        "object": "chat.completion.chunk",
        "created": 1795296950,
        "model": "gpt-6-2026-09-01",
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
        "usage": None,
        "obfuscation": "aZ3kQ9",
    }
    choice = {"index": 0, "delta": {"content": " water"}, "logprobs": None, "finish_reason": None}
    end = chunk | {"choices": [choice | {"delta": {}, "finish_reason": "stop"}]}
    used = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": tokens + 10}
    usage = _event(chunk | {"usage": used, "choices": ()})
    return [*repeat(_event(chunk | {"choices": [choice]}), tokens), _event(end), usage, b"data: [DONE]\n\n"]


def ollama(tokens: int) -> list[bytes]:
    """Return the lines of an Ollama chat."""
    line = {"model": "llama4:8b", "created_at": "2026-11-21T21:35:50.898123Z"}
    message = {"role": "assistant", "content": " water"}
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": 10, "eval_count": tokens, "eval_duration": 1}
    told = msgspec.json.encode(line | {"message": message, "done": False}) + b"\n"
    return [*repeat(told, tokens), msgspec.json.encode(line | {"message": message | {"content": ""}} | end) + b"\n"]


def gemini(tokens: int) -> list[bytes]:
    """Return the events of Gemini's own protocol, each with what was used up to it."""
    content = {"content": {"parts": [{"text": " water"}], "role": "model"}, "index": 0}
    details = [{"modality": "TEXT", "tokenCount": 10}]
    used = {
        "promptTokenCount": 10,
        "candidatesTokenCount": tokens,
        "totalTokenCount": 80,
        "promptTokensDetails": details,
    }
    chunk = {"usageMetadata": used, "modelVersion": "gemini-3.8-flash", "responseId": "AbCdEfGh01234567"}
    empty = {"content": {"parts": [{"text": ""}], "role": "model"}, "index": 0, "finishReason": "STOP"}
    return [*repeat(_event({"candidates": [content]} | chunk), tokens), _event({"candidates": [empty]} | chunk)]


_PROTOCOLS: Final[dict[bytes, tuple[bytes, Callable[[int], list[bytes]]]]] = {
    b"/chat/completions": (b"text/event-stream", openai),
    b"/api/chat": (b"application/x-ndjson", ollama),
    b":streamGenerateContent": (b"text/event-stream", gemini),
}


class TokenServer(asyncio.Protocol):
    """One connection: requests come one after the other."""

    def __init__(self, wheel: TimerWheel) -> None:
        self._wheel = wheel
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not separator or len(body) < int(length[1] if length else 0):
            return
        asked, self._received = _MODEL.search(self._received), b""
        kind = next((kind for ending, kind in _PROTOCOLS.items() if ending in head.partition(b"\r\n")[0]), None)
        if asked is None or kind is None:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        media_type, answer = kind
        self._transport.write(_HEAD % media_type)
        pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in answer(int(asked[1]))] + [b"0\r\n\r\n"]
        gap_ms = int(asked[2])
        if not gap_ms:
            self._transport.write(b"".join(pieces))
        else:
            self._send(pieces[::-1], gap_ms, now_ms())

    def _send(self, left: list[bytes], gap_ms: int, due_ms: int) -> None:
        if left and not self._transport.is_closing():
            self._transport.write(left.pop())
            self._wheel.call_at(due_ms + gap_ms, lambda _: self._send(left, gap_ms, due_ms + gap_ms))


async def serve(port: int) -> None:
    """Answer on a loopback port until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    wheel = TimerWheel(loop)
    server = await loop.create_server(lambda: TokenServer(wheel), "127.0.0.1", port)
    stopped = asyncio.Event()
    for stop_signal in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop_signal, stopped.set)
    async with server:
        await stopped.wait()


def _event(data: object) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def main() -> None:
    """Serve on the port named on the command line."""
    parser = argparse.ArgumentParser(description=serve.__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
