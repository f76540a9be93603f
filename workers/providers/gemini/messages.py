"""A conversation as Gemini wants it: turns of a user and a model in alternation, instructions apart. Pure.

Source: https://ai.google.dev/api/caching#Content and https://ai.google.dev/gemini-api/docs/function-calling.
"""

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

import msgspec

from workers.providers.base import (
    PromptAudio,
    PromptImage,
    PromptMessage,
    PromptPart,
    PromptText,
    PromptVideo,
)
from workers.providers.gemini.signatures import MEMBER, Signatures, with_substitute
from workers.providers.refusal import is_object
from workers.providers.request_body import quoted_base64
from workers.providers.wire_json import Json

UNNAMED: Final = "unknown"
"""A function that was answered and never called: a name is wanted all the same."""
NOTHING_SAID: Final[Json] = {"text": " "}
"""A request without a word is refused; what is answered to this is the model's affair."""


def instructions(messages: Sequence[PromptMessage], more: str = "") -> Json | None:
    """Return what the system says, wherever it says it, and `more` after it."""
    said = [message.text for message in messages if message.role == "system"]
    text = "\n".join(words for words in [*said, more] if words)
    return {"parts": [{"text": text}]} if text else None


def contents(
    messages: Sequence[PromptMessage],
    *,
    fps: float | None = None,
    keeps_signatures: bool = True,
    wants_signatures: bool = False,
) -> list[Json]:
    """Return the turns.

    Neighbours of one role become one turn: results of calls must come together, as the calls did. Empty texts are
    left out, and turns of nothing else. Signatures that are wanted and not there are substituted.
    """
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    turns: list[Json] = []
    for message in messages:
        if message.role == "assistant":
            role, parts = "model", _answer(message, fps, keeps_signatures=keeps_signatures)
            parts = with_substitute(parts) if wants_signatures else parts
        else:
            role, parts = "user", _question(message, names, fps)
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"] += parts
        elif parts:
            turns.append({"role": role, "parts": parts})
    return turns or [{"role": "user", "parts": [NOTHING_SAID]}]


def _question(message: PromptMessage, names: Mapping[str, str], fps: float | None) -> list[Json]:
    if message.role == "system":
        return []
    if message.role == "user":
        return [_part(part, fps) for part in message.parts if part != PromptText("")]
    called = message.tool_call_id or ""
    return [{"functionResponse": {"id": called, "name": names.get(called, UNNAMED), "response": _result(message)}}]


def _answer(message: PromptMessage, fps: float | None, *, keeps_signatures: bool) -> list[Json]:
    """Return an earlier answer's parts, each with the signature it came with."""
    signatures = Signatures(message.signatures if keeps_signatures else ())
    thought = signatures.on({"text": message.reasoning, "thought": True}, "thought", 0)
    parts = [thought] if MEMBER in thought else []  # thoughts are wanted back only if they were signed
    parts += signatures.texts(message.text)
    media = [part for part in message.parts if not isinstance(part, PromptText)]
    parts += [signatures.on(_part(part, fps), "image", at) for at, part in enumerate(media)]
    for at, call in enumerate(message.tool_calls):
        called = {"id": call.id, "name": call.name, "args": _object(call.arguments, otherwise="value")}
        parts.append(signatures.on({"functionCall": called}, "call", at))
    return parts


def _part(part: PromptPart, fps: float | None) -> Json:
    match part:
        case PromptText():
            return {"text": part.text}
        case PromptVideo() if fps is not None:
            return _inline(part) | {"videoMetadata": {"fps": fps}}
        case PromptImage() | PromptAudio() | PromptVideo():
            return _inline(part)
        case _:
            assert_never(part)


def _inline(part: PromptImage | PromptAudio | PromptVideo) -> Json:
    return {"inlineData": {"mimeType": part.media_type, "data": quoted_base64(part.content)}}


def _result(message: PromptMessage) -> Json:
    return _object(message.text, otherwise="output")  # the member that Google names for what is no object


def _object(text: str, *, otherwise: str) -> Json:
    """Return JSON as the object Gemini wants; what is none, as the only member of one."""
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        value = text
    if is_object(value):
        return value
    return {otherwise: value} if text else {}
