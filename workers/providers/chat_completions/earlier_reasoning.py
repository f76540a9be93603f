"""What a model thought in earlier turns, sent back as its provider wants it. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

import msgspec

from workers.providers.base import PromptMessage
from workers.providers.chat_completions.row import Replay
from workers.providers.refusal import is_object
from workers.providers.wire_json import Json, without_nulls

_DETAIL: Final = "reasoning."
"""What the types of OpenRouter's `reasoning_details` begin with."""


class Thoughts(NamedTuple):
    """What is added to a message: members, and parts before its text."""

    members: Mapping[str, Any] = MappingProxyType({})
    parts: tuple[Json, ...] = ()


def earlier_reasoning(message: PromptMessage, replay: Replay, *, reasons: bool) -> Thoughts:
    """Return what goes along with an assistant's turn; `reasons` is whether the model is going to."""
    if message.role != "assistant":
        return Thoughts()
    match replay:
        case "reasoning_content":
            # An empty one is taken too (tried by others: https://github.com/earendil-works/pi/pull/3659).
            return Thoughts({"reasoning_content": message.reasoning} if message.tool_calls and reasons else {})
        case "reasoning":
            return Thoughts({"reasoning": message.reasoning} if message.reasoning else {})
        case "reasoning_details":
            details = [detail for signature in message.signatures for detail in _details(signature)]
            return Thoughts({"reasoning_details": details} if details else {})
        case "thinking_parts":
            said: Json = {"type": "thinking", "thinking": [{"type": "text", "text": message.reasoning}]}
            return Thoughts(parts=(said | _signature(message),) if message.reasoning and reasons else ())


def _signature(message: PromptMessage) -> Json:
    """Return the turn's signature if it has one, and that is none of a form that others have."""
    plain = [it for it in message.signatures if ":" not in it and not it.startswith(("{", "["))]
    return {"signature": plain[0]} if len(plain) == 1 else {}


def _details(signature: str) -> list[Json]:
    """Return the details that a signature holds: one, or a list of them; another provider's holds none."""
    try:
        held: Any = msgspec.json.decode(signature)  # whatever a provider once sent
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return []
    entries = cast("list[object]", held) if isinstance(held, list) else [held]
    return [without_nulls(entry) for entry in entries if is_object(entry) and _is_detail(entry)]


def _is_detail(entry: Json) -> bool:
    return isinstance(kind := entry.get("type"), str) and kind.startswith(_DETAIL)
