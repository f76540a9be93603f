"""A provider that needs no key and no network, for trying the system out: it streams, and says that it is no model.

Models: `demo/demo`, and `demo/slow-<ms>`, which pauses so many milliseconds (at most 10,000) before each word.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from typing import Any, Final, cast

from shared.domain.errors import ModelNotFound
from shared.domain.events import Delta, Finish, StopsBilling, Text, Usage
from workers.providers.base import Clocks, Prompt, PromptImage

WORD_PAUSE_S: Final = 0.02
MAX_PAUSE_MS: Final = 10_000
NOT_A_MODEL: Final = "demo: not a model"
_TEXTS: Final = {"container": "none", "volume": "0", "degree": "0"}
"""What an answer about a photo says where it is text: that nothing is poured."""
QUOTED_CHARS: Final = 200
_MODEL: Final = re.compile(r"demo|slow-(?P<ms>\d{1,5})", re.ASCII)


class DemoProvider:
    """Answers by rule: a chat with what it was told, a schema with the least that satisfies it (nothing is poured)."""

    name: str = "demo"
    stops_billing_on_abort: StopsBilling = "yes"

    def __init__(self, *, word_pause_s: float = WORD_PAUSE_S) -> None:
        self._word_pause_s = word_pause_s

    async def stream(self, prompt: Prompt, clocks: Clocks) -> AsyncGenerator[Delta, None]:
        """See `Provider`; there is nothing the clocks could watch."""
        pause_s = self._pause_s(prompt.model)
        if prompt.response_schema is not None:
            answer = json.dumps(_least(prompt.response_schema.schema))
        else:
            answer = _say(prompt)
        words = re.findall(r"\S+\s*|\s+", answer)
        for word in words:
            await asyncio.sleep(pause_s)
            yield Text(word)
        yield Usage(input_tokens=_word_count(prompt), output_tokens=len(words), is_estimated=True)
        yield Finish("stop")

    async def close(self) -> None:
        """See `Provider`; there is nothing to close."""

    def _pause_s(self, model: str) -> float:
        known = _MODEL.fullmatch(model)
        if known is None:
            raise ModelNotFound("The demo provider has the models demo and slow-<ms per word>, as in slow-200")
        return self._word_pause_s if known["ms"] is None else min(int(known["ms"]), MAX_PAUSE_MS) / 1000


def _say(prompt: Prompt) -> str:
    last = prompt.messages[-1].parts if prompt.messages else ()
    texts = [part.text for part in last if not isinstance(part, PromptImage)]
    images = len(last) - len(texts)
    said = " ".join(" ".join(texts).split())
    quoted = said if len(said) <= QUOTED_CHARS else said[:QUOTED_CHARS] + "…"
    seen = f" and sent {images} image{'s' if images > 1 else ''}" if images else ""
    return (
        f"This is the demo provider, not a model: nothing here was thought about. You said “{quoted}”{seen}. "
        "Configure a provider to get real answers."
    )


def _least(schema: dict[str, Any]) -> object:
    """Return the most harmless value a strict schema allows: nothing, none, zero, and what this is where it is text."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    match _kind(schema):
        case "object":
            return {name: _field(name, inner) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return []
        case "string":
            return NOT_A_MODEL
        case "integer" | "number":
            return 0
        case "boolean":
            return False
        case _:
            return None


def _kind(schema: dict[str, Any]) -> object:
    kinds: Any = schema.get("type")  # a text, or a list of texts
    if isinstance(kinds, list) and kinds:
        return cast("list[object]", kinds)[0]
    return cast("object", kinds)


def _field(name: str, schema: dict[str, Any]) -> object:
    return _TEXTS[name] if name in _TEXTS and schema.get("type") == "string" else _least(schema)


def _word_count(prompt: Prompt) -> int:
    parts = (part for message in prompt.messages for part in message.parts)
    return sum(len(part.text.split()) for part in parts if not isinstance(part, PromptImage))
