"""From a chat completion's request to what is asked of the core. Pure; refuses what cannot be said there.

Intentional differences from OpenAI: images are data URLs, unless the server fetches others; the last message is not a
system's; `name` of a message is ignored. A member that is unknown here goes to the provider if that knows it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, assert_never
from uuid import UUID

from pydantic import BaseModel, ValidationError

from api.dialects.openai.attachments import Attachment, Attachments
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
from shared.domain.commands import AudioPart as AudioOfCore
from shared.domain.commands import (
    ChatInput,
    JsonObject,
    Parameters,
    Part,
    StoredImage,
    StoredMedia,
    SubmitChat,
)
from shared.domain.commands import ImagePart as ImageOfCore
from shared.domain.jobs import OnDisconnect

LIKELIEST: Final = 1e-6
"""What a `top_p` of 0 means: only the likeliest word. The core takes more than 0."""
_SEPARATOR: Final = "\n"
"""Between the texts of a message that has several."""
_Model = TypeVar("_Model", bound=BaseModel)


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


class NotTaken(Exception):
    """The core does not take a value; `document` is what it was shown, whose places are nearly the request's own."""

    def __init__(self, error: ValidationError, document: JsonObject) -> None:
        super().__init__(str(error.title))
        self.error = error
        self.document = document


def parse(request: Request, *, may_fetch: bool = False) -> Asked:
    """Return what a request asks for; `may_fetch` says whether images may be elsewhere.

    Raises:
        InvalidRequest: if an image or a recording cannot be taken; `field` says which.
        NotTaken: if the core does not take a value.
    """
    attachments = Attachments(may_fetch=may_fetch)
    messages = [_message(message, attachments, f"messages.{number}") for number, message in enumerate(request.messages)]
    return Asked(
        model=request.model or None,
        wants_stream=bool(request.stream),
        wants_usage=bool(request.stream_options and request.stream_options.include_usage),
        input=taken(ChatInput, {"messages": messages}),
        parameters=_parameters(request, details=attachments.details),
        attachments=tuple(attachments.kept),
    )


def _message(message: Message, attachments: Attachments, place: str) -> JsonObject:
    match message:
        case SystemMessage():
            return {"role": "system", "content": _text_of(message.content)}
        case UserMessage(content=str() as text):
            return {"role": "user", "content": text}
        case UserMessage(content=parts):
            assert not isinstance(parts, str), "matched above"
            return {
                "role": "user",
                "content": [_part(part, attachments, f"{place}.content.{number}") for number, part in enumerate(parts)],
            }
        case AssistantMessage():
            return _assistant(message)
        case ToolMessage():
            return {"role": "tool", "content": _text_of(message.content), "tool_call_id": message.tool_call_id}
        case _:
            assert_never(message)


def _part(part: TextPart | ImagePart | AudioPart, attachments: Attachments, place: str) -> JsonObject:
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
    return taken(Parameters, {name: value for name, value in given.items() if value is not None})


def taken(model: type[_Model], document: JsonObject) -> _Model:
    """Return what the core makes of a document; raises `NotTaken`."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise NotTaken(error, document) from error


def _sent(document: BaseModel) -> JsonObject:
    return document.model_dump(exclude_unset=True)


def _options(request: Request, details: set[str]) -> JsonObject:
    """Return what only some providers know; how closely images are looked at is one choice for all of them."""
    options = dict(request.model_extra or {}) | {"modalities": request.modalities}
    if len(details) == 1:
        options["image_detail"] = min(details)
    return {name: value for name, value in options.items() if value is not None}
