"""From a chat completion's request to what is asked of the core. Pure; refuses what cannot be said there.

Intentional differences from OpenAI: images are data URLs, because nothing is fetched from here; the last message is
not a system's; `name` of a message is ignored. A member that is unknown here goes to the provider if that knows it.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, assert_never
from uuid import UUID

from pydantic import BaseModel

from api.dialects.openai.wire import (
    AssistantMessage,
    AudioPart,
    ImagePart,
    Message,
    RefusalPart,
    Request,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from shared.domain.commands import (
    MAX_INLINE_IMAGE_BYTES,
    ChatInput,
    JsonObject,
    Parameters,
    Part,
    StoredImage,
    StoredMedia,
    SubmitChat,
)
from shared.domain.commands import AudioPart as AudioOfCore
from shared.domain.commands import ImagePart as ImageOfCore
from shared.domain.errors import InvalidRequest, UnsupportedMediaType
from shared.domain.images import sniff
from shared.domain.jobs import OnDisconnect
from shared.domain.media import SNIFFED_BYTES, sniff_media

INLINE_BYTES: Final = MAX_INLINE_IMAGE_BYTES
"""What of all images and recordings together travels inside the job; the rest is stored first."""
MAX_ATTACHMENTS: Final = 64
"""Images and recordings of one request."""
LIKELIEST: Final = 1e-6
"""What a `top_p` of 0 means: only the likeliest word. The core takes more than 0."""
_SEPARATOR: Final = "\n"
"""Between the texts of a message that has several."""


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """An image or a recording to be stored before the job is accepted; `field` is where the caller put it."""

    kind: Literal["image", "audio"]
    content: bytes = field(repr=False)
    field: str


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it was understood; what is to be stored has its place in `attachments` for an id."""

    model: str | None
    wants_stream: bool
    wants_usage: bool
    input: ChatInput
    parameters: Parameters
    attachments: tuple[Attachment, ...]

    def command(self, model: str, stored: Sequence[UUID], *, on_disconnect: OnDisconnect) -> SubmitChat:
        """Return what is asked of the core; `stored` are the ids of what was stored, one for each attachment."""
        ids = {UUID(int=place): identity for place, identity in enumerate(stored)}
        messages = [
            message
            if isinstance(message.content, str)
            else message.model_copy(update={"content": [_with_id(part, ids) for part in message.content]})
            for message in self.input.messages
        ]
        return SubmitChat(
            kind="chat",
            model=model,
            input=self.input.model_copy(update={"messages": messages}) if ids else self.input,
            parameters=self.parameters,
            on_disconnect=on_disconnect,
        )


def parse(request: Request) -> Asked:
    """Return what a request asks for.

    Raises:
        InvalidRequest: if an image or a recording cannot be taken; `field` says which.
        ValidationError: if the core does not take a value; its places are the request's own.
    """
    attachments = _Attachments()
    messages = [
        _message(message, attachments, f"messages.{number}") for number, message in enumerate(request.messages)
    ]
    return Asked(
        model=request.model or None,
        wants_stream=bool(request.stream),
        wants_usage=bool(request.stream_options and request.stream_options.include_usage),
        input=ChatInput.model_validate({"messages": messages}),
        parameters=_parameters(request, details=attachments.details),
        attachments=tuple(attachments.kept),
    )


class _Attachments:
    """Collects a request's images and recordings: small ones as they are, the others with a stand-in for their id."""

    def __init__(self) -> None:
        self.kept: list[Attachment] = []
        self.details: set[str] = set()
        """How closely images are to be looked at."""
        self._inline_bytes = 0
        self._count = 0

    def image(self, part: ImagePart, place: str) -> JsonObject:
        """Return an image as a part of the core's."""
        place = f"{place}.image_url.url"
        content = _content_of_url(part.image_url.url, place)
        sniff(content, field=place)
        if part.image_url.detail is not None:
            self.details.add(part.image_url.detail)
        inline = {"data": base64.b64encode(content).decode()}
        return {"type": "image", "image": self._taken(Attachment(kind="image", content=content, field=place), inline)}

    def audio(self, part: AudioPart, place: str) -> JsonObject:
        """Return a recording as a part of the core's."""
        place = f"{place}.input_audio.data"
        content = _decoded(part.input_audio.data, place)
        if sniff_media(content[:SNIFFED_BYTES], field=place).kind != "audio":
            raise UnsupportedMediaType("This is a video, not a recording.", field=place)
        inline = {"data": part.input_audio.data, "format": part.input_audio.format}
        return {"type": "audio", "audio": self._taken(Attachment(kind="audio", content=content, field=place), inline)}

    def _taken(self, attachment: Attachment, inline: JsonObject) -> JsonObject:
        self._count += 1
        if self._count > MAX_ATTACHMENTS:
            raise InvalidRequest(
                f"At most {MAX_ATTACHMENTS} images and recordings are taken in one request.", field=attachment.field
            )
        if self._inline_bytes + len(attachment.content) <= INLINE_BYTES:
            self._inline_bytes += len(attachment.content)
            return inline
        self.kept.append(attachment)
        return {"id": UUID(int=len(self.kept) - 1)}


def _message(message: Message, attachments: _Attachments, place: str) -> JsonObject:
    match message:
        case SystemMessage():
            return {"role": "system", "content": _text_of(message.content)}
        case UserMessage(content=str() as text):
            return {"role": "user", "content": text}
        case UserMessage(content=parts):
            assert not isinstance(parts, str), "matched above"
            return {
                "role": "user",
                "content": [
                    _part(part, attachments, f"{place}.content.{number}") for number, part in enumerate(parts)
                ],
            }
        case AssistantMessage():
            return _assistant(message)
        case ToolMessage():
            return {"role": "tool", "content": _text_of(message.content), "tool_call_id": message.tool_call_id}
        case _:
            assert_never(message)


def _part(part: TextPart | ImagePart | AudioPart, attachments: _Attachments, place: str) -> JsonObject:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            return attachments.image(part, place)
        case AudioPart():
            return attachments.audio(part, place)
        case _:
            assert_never(part)


def _assistant(message: AssistantMessage) -> JsonObject:
    content = message.refusal if message.content is None else message.content
    said: JsonObject = {"role": "assistant", "content": _text_of(content or "")}
    if message.tool_calls:
        said["tool_calls"] = [
            {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
            for call in message.tool_calls
        ]
    return said


def _text_of(content: str | Sequence[TextPart | RefusalPart]) -> str:
    if isinstance(content, str):
        return content
    return _SEPARATOR.join(part.text if isinstance(part, TextPart) else part.refusal for part in content)


def _content_of_url(url: str, place: str) -> bytes:
    head, comma, data = url.partition(",")
    if not head.lower().startswith("data:"):
        raise InvalidRequest(
            "Images are sent as data URLs, as in data:image/png;base64,…: this server fetches none.", field=place
        )
    if not comma or not head.lower().endswith(";base64"):
        raise InvalidRequest("A data URL of an image is like data:image/png;base64,…", field=place)
    return _decoded(data, place)


def _decoded(data: str, place: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("This is not base64.", field=place) from error


def _with_id(part: Part, ids: Mapping[UUID, UUID]) -> Part:
    """Return a part with the id of what was stored, in place of its stand-in."""
    match part:
        case ImageOfCore(image=StoredImage(id=stand_in)):
            return part.model_copy(update={"image": StoredImage(id=ids[stand_in])})
        case AudioOfCore(audio=StoredMedia(id=stand_in)):
            return part.model_copy(update={"audio": StoredMedia(id=ids[stand_in])})
        case _:
            return part


def _parameters(request: Request, *, details: set[str]) -> Parameters:
    most = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
    stop = [request.stop] if isinstance(request.stop, str) else request.stop
    wanted = request.response_format
    given = {
        "temperature": request.temperature,
        "top_p": LIKELIEST if request.top_p == 0 else request.top_p,
        "max_output_tokens": most,
        "stop": stop or None,
        "seed": request.seed,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "reasoning_effort": request.reasoning_effort,
        "response_format": _sent(wanted) if wanted and wanted.type != "text" else None,
        "tools": [_sent(tool) for tool in request.tools] if request.tools else None,
        "tool_choice": request.tool_choice,
        "parallel_tool_calls": request.parallel_tool_calls,
        "user": request.user,
        "options": _options(request, details),
    }
    return Parameters.model_validate({name: value for name, value in given.items() if value is not None})


def _sent(document: BaseModel) -> JsonObject:
    return document.model_dump(exclude_unset=True)


def _options(request: Request, details: set[str]) -> JsonObject:
    """Return what only some providers know; how closely images are looked at is one choice for all of them."""
    options = dict(request.model_extra or {}) | {"modalities": request.modalities}
    if len(details) == 1:
        options["image_detail"] = min(details)
    return {name: value for name, value in options.items() if value is not None}
