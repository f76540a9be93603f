"""From Lite-LLM-Chat's requests to what the core understands. Pure: refuses with faults as FastAPI lists them.

Intentional differences from the old system: a request in which nobody says anything is refused, `safety_threshold` is
known, and a model's name is one that can be one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypedDict, TypeVar

from pydantic import BaseModel, ValidationError

from api.dialects.lite_llm_chat.wire import ChatMessage, ChatRequest, NewSession, Options, SessionChange
from shared.domain.chats import MAX_MEDIA, MediaKind
from shared.domain.commands import Parameters
from shared.domain.errors import InvalidRequest
from shared.domain.models import MODEL_PATTERN

MAX_FAULTS: Final = 20
MAX_TITLE_CHARS: Final = 255
LEAST_TOP_P: Final = 1e-6
"""What is asked for in place of 0, which the old system took and providers do not: only the likeliest word."""
_MODEL: Final = re.compile(MODEL_PATTERN)
_Body = TypeVar("_Body", bound=BaseModel)


class Fault(TypedDict):
    """One thing that is wrong with a request: where, and what."""

    type: str
    loc: list[str | int]
    msg: str


class Refused(InvalidRequest):
    """The request is not valid; every fault is named."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        first = faults[0]
        super().__init__(first["msg"], field=".".join(map(str, first["loc"][1:])) or None)
        self.faults = list(faults[:MAX_FAULTS])


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A file a message shows: what the caller wrote, where, and what the list it stands in is for."""

    url: str
    loc: tuple[str | int, ...]
    kind: MediaKind

    @property
    def field(self) -> str:
        """Where it is, as our errors say it: `messages.0.images.1`."""
        return ".".join(map(str, self.loc))


@dataclass(frozen=True, kw_only=True)
class AskedMessage:
    """One message that is new with this request."""

    role: Literal["user", "system"]
    content: str
    media: tuple[Shown, ...]


@dataclass(frozen=True, kw_only=True)
class AskedChat:
    """What `POST /chat` asks. Without a `session_id` a session is made; `model` is `provider/model`."""

    session_id: int | None
    title: str | None
    model: str
    messages: tuple[AskedMessage, ...]
    parameters: Parameters
    system_prompt: str | None
    is_stream: bool

    @property
    def provider(self) -> str:
        """Who is to answer."""
        return self.model.partition("/")[0]


def parse_chat(body: bytes) -> AskedChat:
    """Read the body of `POST /chat`.

    Raises:
        Refused: if it is not JSON, or something in it is not as the document has it.
        UnsupportedProvider: if there can be no provider of this name.
    """
    request = read(body, ChatRequest)
    provider = request.message_provider or request.provider
    messages = tuple(_messages(request.messages))
    if not messages:
        raise Refused([fault("messages", msg="At least one message of the user or the system is required")])
    return AskedChat(
        session_id=request.session_id or None,
        title=title_of(request.title),
        model=model_ref(provider, request.message_model or request.model),
        messages=messages,
        parameters=_parameters(request),
        system_prompt=request.system_prompt,
        is_stream=request.stream,
    )


def parse_new_session(body: bytes) -> tuple[str, str]:
    """Read the body of `POST /sessions`; return its title and `provider/model`. Raises as `parse_chat`."""
    new = read(body, NewSession)
    return new.title, model_ref(new.provider, new.model)


def parse_change(body: bytes) -> str | None:
    """Read the body of `PATCH /sessions/{id}`; return the title, None to keep the one there is.

    Raises:
        Refused: as `parse_chat`.
    """
    return title_of(read(body, SessionChange).title)


def read(body: bytes, model: type[_Body]) -> _Body:
    """Return a body as it was meant; raises `Refused`."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise Refused(faults_of(error.errors(include_url=False, include_input=False), "body")) from None


def faults_of(errors: Sequence[Mapping[str, Any]], *where: str) -> list[Fault]:  # pydantic's error dictionaries
    """Return pydantic's errors as faults; `where` is put before each place. What was sent is not repeated."""
    return [Fault(type=error["type"], loc=[*where, *error["loc"]], msg=error["msg"]) for error in errors[:MAX_FAULTS]]


def fault(*loc: str | int, msg: str) -> Fault:
    """Return something that is wrong at a place of the body."""
    return Fault(type="value_error", loc=["body", *loc], msg=msg)


def fault_at(field: str, msg: str) -> Fault:
    """Return the same, where the place is told as in `messages.0.images.1`."""
    return fault(*(int(part) if part.isdecimal() else part for part in field.split(".")), msg=msg)


def title_of(text: str | None) -> str | None:
    """Return a session's title as far as it is kept; None if there is none."""
    return (text or "")[:MAX_TITLE_CHARS] or None


def model_ref(provider: str, model: str) -> str:
    """Return `provider/model`.

    Raises:
        UnsupportedProvider: if no provider can have this name.
        Refused: if no model can.
    """
    if "/" in provider or not _MODEL.fullmatch(f"{provider}/m"):
        raise UnsupportedProvider(provider)
    ref = f"{provider}/{model}"
    if not _MODEL.fullmatch(ref):
        raise Refused([fault("model", msg="Input should be a model's name: up to 200 characters without spaces")])
    return ref


class UnsupportedProvider(InvalidRequest):
    """The provider is not among those of this server."""

    code, status, title = "unsupported_provider", 400, "Unsupported provider"

    def __init__(self, provider: str) -> None:
        super().__init__(f"Unsupported provider: {provider}")


def _messages(messages: Sequence[ChatMessage]) -> Iterator[AskedMessage]:
    for number, message in enumerate(messages):
        if message.role == "assistant":  # what the assistant said is in the session; the old system ignored it too
            continue
        media = tuple(_media(number, message))
        if len(media) > MAX_MEDIA:
            raise Refused([fault("messages", number, msg=f"A message should show at most {MAX_MEDIA} files")])
        yield AskedMessage(role=message.role, content=message.content, media=media)


def _media(number: int, message: ChatMessage) -> Iterator[Shown]:
    lists: tuple[tuple[MediaKind, Sequence[str] | None], ...] = (
        ("image", message.images),
        ("video", message.videos),
        ("audio", message.audios),
    )
    for kind, urls in lists:
        for position, url in enumerate(urls or ()):
            yield Shown(url=url, loc=("messages", number, f"{kind}s", position), kind=kind)


def _parameters(request: ChatRequest) -> Parameters:
    """Return how the model answers; what changes nothing (penalties of 0, a `top_p` of 1) is left out."""
    top_p = request.top_p if request.top_p != 1 else None
    return Parameters(
        temperature=request.temperature,
        top_p=None if top_p is None else max(top_p, LEAST_TOP_P),
        max_output_tokens=request.max_tokens or request.max_completion_tokens,
        stop=[text for text in request.stop or () if text] or None,
        seed=request.seed,
        presence_penalty=request.presence_penalty or None,
        frequency_penalty=request.frequency_penalty or None,
        reasoning_effort=request.reasoning_effort or None,
        response_format=request.response_format or None,
        options=request.model_dump(include=set(Options.model_fields), exclude_none=True),
    )
