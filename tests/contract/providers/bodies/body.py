"""What an answer of a provider is made of, in bytes, and what it tells.

Texts, ids and numbers are made up. Sources of the shapes: the types of the providers' SDKs and their documentation, as
of 2026-11.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.errors import ProviderError
from shared.domain.events import Finish, Text
from tests.images import png
from tests.scripted_replies import sse_event
from workers.providers.base import ProviderDelta

Json = dict[str, Any]
WORDS = ("Tea", " needs", " 80 °C", ".")
SAID = [Text(word) for word in WORDS]
STOP = Finish("stop")
CUP = png(8, 8)
CUP_URL = f"data:image/png;base64,{base64.b64encode(CUP).decode()}"


@dataclass(frozen=True)
class Body:
    """One answer of a row: its bytes, and the deltas it amounts to, or those before an error of a class."""

    name: str
    row: str
    content: bytes
    deltas: Sequence[ProviderDelta]
    error: type[ProviderError] | None = None

    @property
    def media_type(self) -> str:
        """What its server calls it."""
        return "application/x-ndjson" if self.row == "ollama" else "text/event-stream"

    def __str__(self) -> str:
        return self.name


def chunk(delta: Json | None = None, finish: str | None = None, **fields: Any) -> bytes:
    """A chunk; `fields` are added to it. Without a delta and a finish it has no choice."""
    choices = [] if delta is None and finish is None else [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    return sse_event({"id": "x1", "object": "chat.completion.chunk", "created": 1, "choices": choices} | fields)


def words(**more: Any) -> bytes:
    """The answer's words, each in a chunk whose delta has more members besides."""
    return b"".join(chunk({"content": word} | more) for word in WORDS)


def thought(member: str, *texts: str, **more: Any) -> bytes:
    """Chunks of reasoning in a member of the delta."""
    return b"".join(chunk({member: text} | more) for text in texts)


def counted(taken: int, written: int, reasoning: int | None = None, **more: Any) -> Json:
    """What was used, as most count it."""
    details = {} if reasoning is None else {"completion_tokens_details": {"reasoning_tokens": reasoning}}
    return {"prompt_tokens": taken, "completion_tokens": written, "total_tokens": taken + written} | details | more


def lines(*entries: Json) -> bytes:
    """Lines of Ollama."""
    return b"".join(
        json.dumps({"model": "m", "created_at": "2026-11-20T10:00:00Z"} | it).encode() + b"\n" for it in entries
    )


def spoken(text: str = "", **more: Any) -> Json:
    """A message of Ollama in a line."""
    return {"message": {"role": "assistant", "content": text} | more, "done": False}


ROLE = {"role": "assistant", "content": ""}


def error(message: str, **more: Any) -> bytes:
    """An error in the place of a chunk."""
    return sse_event({"error": {"message": message} | more})
