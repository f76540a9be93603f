"""The messages of a chat completion on the wire. Pure; media travel inside, as each provider takes them."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, assert_never

from shared.domain.commands import CalledTool
from shared.domain.errors import UnsupportedMediaType
from workers.providers.base import (
    MESSAGES_FIELD,
    Prompt,
    PromptAudio,
    PromptImage,
    PromptMessage,
    PromptPart,
    PromptText,
    PromptVideo,
)
from workers.providers.request_body import quoted_base64

Json: TypeAlias = dict[str, Any]  # a JSON object of the wire
IMAGE_DETAILS: Final = frozenset({"auto", "low", "high", "original"})
PART_OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "image_url": {"image_detail": "detail"},
    "video_url": {"video_detail": "detail", "max_frames": "max_frames", "fps": "fps"},
}
"""By the kind of part: the options that go into it, and its names for them (SiliconFlow's, for videos)."""
_AUDIO_FORMATS: Final = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


def messages_to_wire(prompt: Prompt, *, takes: frozenset[str], media: frozenset[str]) -> list[Json]:
    """Return the prompt's messages; `takes` are names of options, `media` the kinds that the provider has parts for.

    Raises:
        UnsupportedMediaType: if there is a video or a recording that the provider does not take.
    """
    details = _part_options(prompt.parameters.options, takes)
    return [_message(message, details, media) for message in prompt.messages]


def _part_options(options: Json, takes: frozenset[str]) -> dict[str, Json]:
    given = {name: it for name, it in options.items() if name in takes and isinstance(it, str | int | float)}
    if given.get("image_detail") not in IMAGE_DETAILS:
        given.pop("image_detail", None)
    return {
        kind: {wire: given[name] for name, wire in names.items() if name in given}
        for kind, names in PART_OPTIONS.items()
    }


def _message(message: PromptMessage, details: dict[str, Json], media: frozenset[str]) -> Json:
    """Content is plain text wherever it can be: some servers take lists from users only. It is never left out."""
    is_text = all(isinstance(part, PromptText) for part in message.parts)
    content = message.text if is_text else [_part(part, details, media) for part in message.parts]
    wire: Json = {"role": message.role, "content": content}
    if message.tool_calls:
        wire["tool_calls"] = [_called(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire


def _called(call: CalledTool) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _part(part: PromptPart, details: dict[str, Json], media: frozenset[str]) -> Json:
    """Media travel inside: a self-hosted server would fetch a URL from within its own network."""
    match part:
        case PromptText():
            return {"type": "text", "text": part.text}
        case PromptImage():
            return {"type": "image_url", "image_url": _data_url(part) | details["image_url"]}
        case PromptVideo():
            _must_take("video", "videos", media)
            return {"type": "video_url", "video_url": _data_url(part) | details["video_url"]}
        case PromptAudio():
            _must_take("audio", "recordings", media)
            data = quoted_base64(part.content)
            return {"type": "input_audio", "input_audio": {"data": data, "format": _audio_format(part)}}
        case _:
            assert_never(part)


def _data_url(part: PromptImage | PromptVideo) -> Json:
    return {"url": quoted_base64(part.content, before=f"data:{part.media_type};base64,")}


def _audio_format(part: PromptAudio) -> str:
    known = _AUDIO_FORMATS.get(part.media_type)
    if known is None:
        raise UnsupportedMediaType(
            f"This model's provider takes recordings as WAV or MP3, not as {part.media_type}.", field=MESSAGES_FIELD
        )
    return known


def _must_take(kind: str, name: str, media: frozenset[str]) -> None:
    if kind not in media:
        raise UnsupportedMediaType(f"This model's provider takes no {name}.", field=MESSAGES_FIELD)
