"""The messages of a chat completion on the wire. Pure; media travel inside, as each provider takes them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, assert_never

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
from workers.providers.chat_completions.earlier_reasoning import Thoughts, earlier_reasoning
from workers.providers.chat_completions.row import AudioForm, OpenAICompatible
from workers.providers.parameter_notes import Notes
from workers.providers.refusal import is_object
from workers.providers.request_body import quoted_base64
from workers.providers.wire_json import Json

IMAGE_DETAILS: Final = frozenset({"auto", "low", "high", "original"})
PART_OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "image_url": {"image_detail": "detail", "image_pixel_limit": "image_pixel_limit"},
    "video_url": {"video_detail": "detail", "max_frames": "max_frames", "fps": "fps"},
}
"""By the kind of part: the options that go into it, and the names of those who take them (Ark, SiliconFlow)."""
_PIXELS: Final = ("min_pixels", "max_pixels")
_AUDIO_FORMATS: Final = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
_KINDS: Final[Mapping[type[PromptPart], str]] = {PromptImage: "image_url", PromptVideo: "video_url"}


def messages_to_wire(prompt: Prompt, row: OpenAICompatible, notes: Notes, *, reasons: bool) -> list[Json]:
    """Return the prompt's messages; `reasons` is whether the model is going to.

    Raises:
        UnsupportedMediaType: if there is a video or a recording that the provider does not take.
    """
    details = _part_options(prompt, row, notes)
    return [_message(message, details, row, reasons=reasons) for message in prompt.messages]


def _part_options(prompt: Prompt, row: OpenAICompatible, notes: Notes) -> dict[str, Json]:
    """Return what is added to parts of each kind; nobody is told of an option about parts that there are none of."""
    shown = {_KINDS.get(type(part)) for message in prompt.messages for part in message.parts}
    return {
        kind: dict(_details(prompt.parameters.options, names, row, notes if kind in shown else None))
        for kind, names in PART_OPTIONS.items()
    }


def _details(
    options: Json, names: Mapping[str, str], row: OpenAICompatible, notes: Notes | None
) -> Iterator[tuple[str, object]]:
    for name, wire in names.items():
        if (given := options.get(name)) is None:
            continue
        detail = _detail(name, given) if name in row.takes else None
        if detail is not None:
            yield wire, detail
        elif notes is not None:
            notes.dropped(name, "does not take it like this" if name in row.takes else "does not take it")


def _detail(name: str, given: object) -> object:
    """Return what there is of an option's value that a provider can be sent."""
    match name:
        case "image_detail":
            return given if isinstance(given, str) and given in IMAGE_DETAILS else None
        case "image_pixel_limit":
            limits = given if is_object(given) else {}
            return {bound: limits[bound] for bound in _PIXELS if isinstance(limits.get(bound), int)} or None
        case _:
            return given if isinstance(given, str | int | float) else None


def _message(message: PromptMessage, details: dict[str, Json], row: OpenAICompatible, *, reasons: bool) -> Json:
    """Content is plain text wherever it can be: some servers take lists from users only. It is never left out."""
    is_text = all(isinstance(part, PromptText) for part in message.parts)
    content: Any = message.text if is_text else [_part(part, details, row) for part in message.parts]
    thoughts = earlier_reasoning(message, row.replay, reasons=reasons) if row.replay else Thoughts()
    if thoughts.parts:
        content = [*thoughts.parts, {"type": "text", "text": message.text}]
    wire: Json = {"role": message.role, "content": content, **thoughts.members}
    if message.tool_calls:
        wire["tool_calls"] = [_called(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire


def _called(call: CalledTool) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _part(part: PromptPart, details: dict[str, Json], row: OpenAICompatible) -> Json:
    """Media travel inside: a self-hosted server would fetch a URL from within its own network."""
    match part:
        case PromptText():
            return {"type": "text", "text": part.text}
        case PromptImage():
            return {"type": "image_url", "image_url": _data_url(part) | details["image_url"]}
        case PromptVideo():
            _must_take("video", "videos", row)
            return {"type": "video_url", "video_url": _data_url(part) | details["video_url"]}
        case PromptAudio():
            _must_take("audio", "recordings", row)
            return _recording(part, row.audio_form)
        case _:
            assert_never(part)


def _recording(part: PromptAudio, form: AudioForm) -> Json:
    match form:
        case "audio_url":
            return {"type": "audio_url", "audio_url": _data_url(part)}
        case "input_audio_text":
            return {"type": "input_audio", "input_audio": quoted_base64(part.content)}
        case "input_audio":
            audio = {"data": quoted_base64(part.content), "format": _audio_format(part)}
            return {"type": "input_audio", "input_audio": audio}


def _data_url(part: PromptImage | PromptVideo | PromptAudio) -> Json:
    return {"url": quoted_base64(part.content, before=f"data:{part.media_type};base64,")}


def _audio_format(part: PromptAudio) -> str:
    known = _AUDIO_FORMATS.get(part.media_type)
    if known is None:
        raise UnsupportedMediaType(
            f"This model's provider takes recordings as WAV or MP3, not as {part.media_type}.", field=MESSAGES_FIELD
        )
    return known


def _must_take(kind: str, name: str, row: OpenAICompatible) -> None:
    if kind not in row.media:
        raise UnsupportedMediaType(f"This model's provider takes no {name}.", field=MESSAGES_FIELD)
