"""A provider that needs no key and no network, for trying the system out: it streams, and says that it is no model.

Models: `demo/demo`, and `demo/slow-<ms>`, which pauses so many milliseconds (at most 10,000) before each word.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from typing import Any, Final, Self

from shared.domain.commands import Parameters
from shared.domain.errors import ModelNotFound
from shared.domain.events import Finish, StopsBilling, Text, ToolCall, Usage
from shared.domain.models import ListedModel
from workers.providers.base import (
    Clocks,
    GeneratedImage,
    Prompt,
    PromptAudio,
    PromptImage,
    PromptPart,
    PromptText,
    PromptVideo,
    ProviderDelta,
    new_call_id,
)
from workers.providers.demo_picture import demo_picture
from workers.providers.least import NOT_A_MODEL, least
from workers.providers.model_lists import static_list
from workers.providers.refusal import is_object

WORD_PAUSE_S: Final = 0.02
MAX_PAUSE_MS: Final = 10_000
QUOTED_CHARS: Final = 200
_MODEL: Final = re.compile(r"demo|slow-(?P<ms>\d{1,5})", re.ASCII)


class DemoProvider:
    """Answers by rule: a chat with what it was told, a schema with the least that satisfies it (nothing is poured).

    It calls a function only where it must, and draws its one picture where pictures are wanted.
    """

    name: str = "demo"
    stops_billing_on_abort: StopsBilling = "yes"
    media: frozenset[str] = frozenset({"video", "audio"})

    def __init__(self, *, word_pause_s: float = WORD_PAUSE_S) -> None:
        self._word_pause_s = word_pause_s

    @property
    def is_near(self) -> bool:
        """See `Provider`."""
        return False

    async def stream(self, prompt: Prompt, clocks: Clocks) -> AsyncGenerator[ProviderDelta, None]:
        """See `Provider`; there is nothing the clocks could watch."""
        pause_s = self._pause_s(prompt.model)
        called = _called(prompt.parameters)
        pieces = re.findall(r"\S+\s*|\s+", _answer(prompt) if called is None else json.dumps(_arguments(called)))
        for number, piece in enumerate(pieces):
            await asyncio.sleep(pause_s)
            if called is None:
                yield Text(piece)
            elif number == 0:
                yield ToolCall(0, new_call_id(), called["name"], piece)
            else:
                yield ToolCall(0, arguments=piece)
        if called is None and _wants_picture(prompt.parameters):
            yield GeneratedImage(content=demo_picture())
        yield Usage(input_tokens=_word_count(prompt), output_tokens=len(pieces), is_estimated=True)
        yield Finish("stop" if called is None else "tool_calls")

    def with_key(self, api_key: str) -> Self:
        """See `Provider`."""
        return self

    async def list_models(self, timeout_s: float) -> list[ListedModel]:
        """See `Provider`."""
        return static_list(self.name)

    async def close(self) -> None:
        """See `Provider`; there is nothing to close."""

    def _pause_s(self, model: str) -> float:
        known = _MODEL.fullmatch(model)
        if known is None:
            raise ModelNotFound("The demo provider has the models demo and slow-<ms per word>, as in slow-200")
        return self._word_pause_s if known["ms"] is None else min(int(known["ms"]), MAX_PAUSE_MS) / 1000


def _wants_picture(parameters: Parameters) -> bool:
    modalities: object = parameters.options.get("modalities")
    return isinstance(modalities, list) and "image" in modalities


def _called(parameters: Parameters) -> dict[str, Any] | None:
    """Return the function that must be called: the one that is named, or the first where any will do."""
    functions = [tool["function"] for tool in parameters.tools or () if is_object(tool.get("function"))]
    named = [function for function in functions if isinstance(function.get("name"), str)]
    choice = parameters.tool_choice
    if is_object(choice):
        wanted: object = choice.get("function")
        name: object = wanted.get("name") if is_object(wanted) else None
        return next((function for function in named if function["name"] == name), None)
    return next(iter(named), None) if choice == "required" else None


def _arguments(function: dict[str, Any]) -> object:
    schema: object = function.get("parameters")
    return (least(schema) if is_object(schema) else None) or {}


def _answer(prompt: Prompt) -> str:
    if prompt.response_schema is not None:
        return json.dumps(least(prompt.response_schema.schema))
    wanted = prompt.parameters.response_format or {}
    named: object = wanted.get("json_schema")
    if wanted.get("type") == "json_schema" and is_object(named) and is_object(schema := named.get("schema")):
        return json.dumps(least(schema))
    if wanted.get("type") in ("json_object", "json_schema"):
        return json.dumps({"answer": NOT_A_MODEL})
    return _say(prompt)


def _say(prompt: Prompt) -> str:
    last = prompt.messages[-1] if prompt.messages else None
    said = " ".join(last.text.split()) if last else ""
    quoted = said if len(said) <= QUOTED_CHARS else said[:QUOTED_CHARS] + "…"
    seen = _sent(last.parts) if last else ""
    return (
        f"This is the demo provider, not a model: nothing here was thought about. You said “{quoted}”{seen}. "
        "Configure a provider to get real answers."
    )


def _sent(parts: tuple[PromptPart, ...]) -> str:
    kinds = ((PromptImage, "image"), (PromptVideo, "video"), (PromptAudio, "recording"))
    counted = ((sum(isinstance(part, kind) for part in parts), name) for kind, name in kinds)
    sent = [f"{count} {name}{'s' if count > 1 else ''}" for count, name in counted if count]
    return f" and sent {', '.join(sent)}" if sent else ""


def _word_count(prompt: Prompt) -> int:
    parts = (part for message in prompt.messages for part in message.parts)
    return sum(len(part.text.split()) for part in parts if isinstance(part, PromptText))
