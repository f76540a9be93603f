"""What a scripted provider answers: bytes as providers send them, and how they are sent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Literal

Ending = Literal["whole", "cut", "reset", "stall"]


@dataclass(frozen=True)
class Reply:
    """One answer. Each piece is one write; `gap_s` lies before each of them, `delay_s` before the status line.

    `ending`: the body is ended properly ("whole"), or after the last piece the connection is closed without the body's
    end ("cut"), reset ("reset"), or kept open in silence ("stall").
    """

    pieces: tuple[bytes, ...]
    status: int = 200
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    framing: Literal["chunked", "length", "close"] = "chunked"
    delay_s: float = 0
    gap_s: float = 0
    ending: Ending = "whole"

    @property
    def body(self) -> bytes:
        """Everything that would be sent."""
        return b"".join(self.pieces)

    def byte_by_byte(self) -> "Reply":
        """The same body, one byte per write."""
        return replace(self, pieces=tuple(bytes([byte]) for byte in self.body))

    def paced(self, pieces_per_s: float) -> "Reply":
        """The same pieces, so many a second."""
        return replace(self, gap_s=1 / pieces_per_s)

    def delayed(self, seconds: float) -> "Reply":
        """The same answer, later."""
        return replace(self, delay_s=seconds)

    def stalled_after(self, size: int) -> "Reply":
        """So many bytes of the body, then silence on an open connection."""
        return replace(self, pieces=first_bytes(self.pieces, size), ending="stall")

    def cut_after(self, size: int) -> "Reply":
        """So many bytes of the body, then a close without the body's end."""
        return replace(self, pieces=first_bytes(self.pieces, size), ending="cut")

    def reset_after(self, size: int) -> "Reply":
        """So many bytes of the body, then a TCP reset."""
        return replace(self, pieces=first_bytes(self.pieces, size), ending="reset")

    def ended_after(self, size: int) -> "Reply":
        """So many bytes of the body, then its proper end: what a proxy makes of a broken upstream."""
        return replace(self, pieces=first_bytes(self.pieces, size))


def first_bytes(pieces: Sequence[bytes], size: int) -> tuple[bytes, ...]:
    """Return the pieces up to so many bytes, the last one cut."""
    starts = accumulate((len(piece) for piece in pieces), initial=0)
    kept = (piece[: max(size - start, 0)] for piece, start in zip(pieces, starts, strict=False))
    return tuple(piece for piece in kept if piece)


def in_words(text: str) -> list[str]:
    """Cut a text after its spaces, as models tend to."""
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + words[-1:]


def answer(
    body: bytes | str | Mapping[str, Any] | Sequence[Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Reply:
    """An answer in one piece: an error, an HTML page; anything but bytes and text is sent as JSON."""
    content = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return Reply((content,), status=status, headers=headers or {}, media_type=media_type, framing="length")


def model_list(*models: str) -> Reply:
    """A list of models, as OpenAI and Ollama would send it, in one."""
    return answer({"object": "list", "data": [{"id": model, "name": model, "object": "model"} for model in models]})


def openai_answer(text: str) -> Reply:
    """A whole chat completion, as one gets that did not ask for a stream."""
    message = {"role": "assistant", "content": text}
    return answer({"object": "chat.completion", "choices": [{"message": message, "finish_reason": "stop"}]})


def openai_chunk(
    delta: Mapping[str, Any] | None = None, *, finish: str | None = None, model: str = "scripted", **fields: object
) -> bytes:
    """One event of a chat completion stream; `fields` are added to the chunk, or replace what it has."""
    choice: dict[str, object] = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model, "choices": [choice], "usage": None}
    return sse_event(chunk | fields)


def sse_event(data: object, *, event: str | None = None) -> bytes:
    """One server-sent event; text is sent as it is, anything else as JSON."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return (f"event: {event}\n" if event else "").encode() + f"data: {text}\n\n".encode()


DONE = sse_event("[DONE]")


def sse(*events: bytes) -> Reply:
    """A stream of server-sent events, one per write."""
    return Reply(events, media_type="text/event-stream; charset=utf-8")


def openai_stream(
    words: Sequence[str],
    *,
    reasoning: Sequence[str] = (),
    usage: tuple[int, int] | None = (7, 5),
    finish: str = "stop",
) -> Reply:
    """A chat completion stream; `usage` is tokens in and out."""
    events = [openai_chunk({"role": "assistant", "content": ""})]
    events += [openai_chunk({"reasoning_content": word, "content": None}) for word in reasoning]
    events += [openai_chunk({"content": word}) for word in words]
    events.append(openai_chunk(finish=finish))
    if usage is not None:
        tokens = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
        events.append(openai_chunk(choices=[], usage=tokens))
    return sse(*events, DONE)


def ollama_line(message: Mapping[str, Any], **fields: object) -> bytes:
    """One line of an Ollama chat; `fields` are added."""
    line = {"model": "scripted", "message": {"role": "assistant", "content": ""} | dict(message), "done": False}
    return json.dumps(line | fields, ensure_ascii=False).encode() + b"\n"


def ndjson(*lines: bytes) -> Reply:
    """A stream of JSON lines, one per write."""
    return Reply(lines, media_type="application/x-ndjson")


def ollama_stream(
    words: Sequence[str],
    *,
    reasoning: Sequence[str] = (),
    usage: tuple[int, int] | None = (7, 5),
    finish: str = "stop",
) -> Reply:
    """An Ollama chat; `usage` is tokens in and out."""
    lines = [ollama_line({"thinking": word}) for word in reasoning]
    lines += [ollama_line({"content": word}) for word in words]
    counts = {} if usage is None else {"prompt_eval_count": usage[0], "eval_count": usage[1]}
    return ndjson(*lines, ollama_line({}, done=True, done_reason=finish, **counts))
