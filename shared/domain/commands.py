"""What can be asked of the core: pydantic models, strict, closed; a job's row carries a `JobSpec` as JSON."""

import base64
import binascii
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator, model_validator

from shared.domain.dispense import DEFAULT_PROFILE, DEFAULT_PROMPT, AnswerForm, DeviceProfile, ProfileName
from shared.domain.dispense import PromptRef as PromptReference
from shared.domain.dispense import PromptText as PromptWords
from shared.domain.jobs import MAX_TIMEOUT, Kind, OnDisconnect
from shared.domain.models import ModelRef
from shared.domain.remote import MAX_REMOTE, RemoteUrl

MAX_INLINE_IMAGE_BYTES: Final = 256 * 1024
"""Larger photos are uploaded first and referred to by id: a job's row stays small."""
MAX_INLINE_AUDIO_BYTES: Final = 256 * 1024
MAX_MESSAGES: Final = 1000
MAX_TEXT_CHARS: Final = 1_000_000
MAX_WISH_CHARS: Final = 32_000
"""What pictures and films are made of; providers take less, and say so."""
MAX_INPUT_IMAGES: Final = 16
MAX_IMAGES: Final = 10
"""Of one job."""


class Command(BaseModel):
    """Base of everything that is asked of the core: unknown fields and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _base64(data: str, *, at_most: int) -> str:
    try:
        decoded = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError("is not base64") from error
    if len(decoded) > at_most:
        raise ValueError(f"is larger than {at_most} bytes: upload it first")
    return data


class StoredImage(Command):
    """An image that was uploaded before."""

    id: Annotated[UUID, Field(strict=False)]


class InlineImage(Command):
    """A small image that travels inside the job, base64-encoded."""

    data: Annotated[str, StringConstraints(min_length=1, max_length=4 * MAX_INLINE_IMAGE_BYTES // 3 + 4)]

    @field_validator("data")
    @classmethod
    def _is_base64(cls, data: str) -> str:
        return _base64(data, at_most=MAX_INLINE_IMAGE_BYTES)

    def content(self) -> bytes:
        """Return the image's bytes."""
        return base64.b64decode(self.data)


ImageSource: TypeAlias = StoredImage | InlineImage


class RemoteMedia(Command):
    """Something elsewhere, which a worker fetches if the server's setting allows that."""

    url: RemoteUrl


class TextPart(Command):
    """Text of a message."""

    type: Literal["text"]
    text: Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARS)]


class ImagePart(Command):
    """An image of a message."""

    type: Literal["image"]
    image: ImageSource | RemoteMedia


class StoredMedia(Command):
    """A video or an audio file that was uploaded before."""

    id: Annotated[UUID, Field(strict=False)]


class VideoPart(Command):
    """A video of a message."""

    type: Literal["video"]
    video: StoredMedia | RemoteMedia


class InlineAudio(Command):
    """A short recording that travels inside the job, base64-encoded."""

    data: Annotated[str, StringConstraints(min_length=1, max_length=4 * MAX_INLINE_AUDIO_BYTES // 3 + 4)]
    format: Literal["wav", "mp3"]

    @field_validator("data")
    @classmethod
    def _is_base64(cls, data: str) -> str:
        return _base64(data, at_most=MAX_INLINE_AUDIO_BYTES)


class AudioPart(Command):
    """A recording of a message."""

    type: Literal["audio"]
    audio: StoredMedia | InlineAudio | RemoteMedia


Part: TypeAlias = Annotated[TextPart | ImagePart | VideoPart | AudioPart, Field(discriminator="type")]


def source_of(part: Part) -> ImageSource | StoredMedia | InlineAudio | RemoteMedia | None:
    """Return where a part's image, video or recording is; None for text."""
    match part:
        case TextPart():
            return None
        case ImagePart():
            return part.image
        case VideoPart():
            return part.video
        case AudioPart():
            return part.audio


class CalledTool(Command):
    """A tool call the assistant made in an earlier turn; `arguments` are JSON as the model wrote it."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    arguments: Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARS)]


class Message(Command):
    """One turn of a conversation; `tool_calls` are an assistant's, `tool_call_id` says what a tool's result answers."""

    role: Literal["system", "user", "assistant", "tool"]
    content: Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARS)] | Annotated[list[Part], Field(min_length=1)]
    tool_calls: Annotated[list[CalledTool], Field(min_length=1, max_length=128)] | None = None
    tool_call_id: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None

    @model_validator(mode="after")
    def _tools_are_theirs(self) -> "Message":
        if self.tool_calls is not None and self.role != "assistant":
            raise ValueError("only the assistant's messages have tool_calls")
        if (self.tool_call_id is not None) is not (self.role == "tool"):
            raise ValueError("a tool's message, and no other, has a tool_call_id")
        return self


class ChatInput(Command):
    """A conversation to be continued by one answer."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]

    @model_validator(mode="after")
    def _ends_with_the_user(self) -> "ChatInput":
        if self.messages[-1].role == "system":
            raise ValueError("the last message must be the user's or the assistant's")
        return self

    @model_validator(mode="after")
    def _fetches_little(self) -> "ChatInput":
        if sum(1 for _ in self.remote()) > MAX_REMOTE:
            raise ValueError(f"at most {MAX_REMOTE} images, videos and recordings are fetched from elsewhere")
        return self

    def remote(self) -> Iterator[str]:
        """Yield where what is elsewhere stands in here, as `messages.0.content.1.image.url`."""
        for number, message in enumerate(self.messages):
            if isinstance(message.content, str):
                continue
            for position, part in enumerate(message.content):
                if isinstance(source_of(part), RemoteMedia):
                    yield f"messages.{number}.content.{position}.{part.type}.url"


class VisionInput(Command):
    """A dispenser's photo, to be answered with a safe command.

    `prompt` names a stored one (`name`, or `name@version`), `prompt_text` brings its own. What is left out, the device
    says, or its profile, or the server.
    """

    image: ImageSource
    prompt: PromptReference | None = None
    prompt_text: PromptWords | None = None
    profile: ProfileName | None = None

    @model_validator(mode="after")
    def _one_prompt(self) -> "VisionInput":
        if self.prompt is not None and self.prompt_text is not None:
            raise ValueError("give either prompt or prompt_text")
        return self


AspectRatio: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,2}:[0-9]{1,2}$")]
Wish: TypeAlias = Annotated[str, StringConstraints(max_length=MAX_WISH_CHARS, pattern=r"^[^\x00]*$")]
InputImages: TypeAlias = Annotated[list[ImageSource], Field(max_length=MAX_INPUT_IMAGES)]


class ImageInput(Command):
    """Pictures to be made after words, and after other images where the model takes them.

    `size` is in the provider's own words: `1024x1024`, `2K`.
    """

    prompt: Annotated[Wish, StringConstraints(min_length=1)]
    images: InputImages = []
    n: Annotated[int, Field(ge=1, le=MAX_IMAGES)] = 1
    size: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9*:.-]{1,40}$")] | None = None
    aspect_ratio: AspectRatio | None = None


class VideoInput(Command):
    """A film to be made after words or images.

    One image is the first frame, two are the first and the last, more are what it should look like.
    """

    prompt: Wish = ""
    images: InputImages = []
    aspect_ratio: AspectRatio | None = None
    resolution: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,10}$")] | None = None
    duration_s: Annotated[int, Field(ge=1, le=600)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "VideoInput":
        if not self.prompt.strip() and not self.images:
            raise ValueError("give a prompt, or images")
        return self


class VisionTask(Command):
    """A photo with everything its runner needs: later changes of a prompt or profile do not reach an accepted job.

    `prompt_text` is absent where `prompt` is a built-in one, `envelope` where `profile` is.
    """

    image: ImageSource
    prompt: str = DEFAULT_PROMPT
    prompt_text: PromptWords | None = None
    form: Annotated[AnswerForm, Field(strict=False)] = AnswerForm.FULL
    profile: ProfileName = DEFAULT_PROFILE
    envelope: DeviceProfile | None = None


class UploadTask(Command):
    """A stored image that is to be opened, cleaned of metadata, and given a thumbnail."""

    image_id: Annotated[UUID, Field(strict=False)]


class MediaTask(Command):
    """A stored video or audio file whose container is to be checked."""

    media_id: Annotated[UUID, Field(strict=False)]


class TurnTask(Command):
    """A chat's turn to be answered: its runner reads what was said when it begins, not when it was asked.

    `history_tokens` is how much of what was said before goes along (estimated), `has_own_key` whether the chat brought
    a provider key of its own.
    """

    history_tokens: Annotated[int, Field(ge=0)]
    system_prompt: Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARS)] | None = None
    has_own_key: bool = False


JsonObject: TypeAlias = dict[str, Any]  # JSON of the caller's own, e.g. a tool's schema


class Parameters(Command):
    """How the model answers; what a provider does not know is left out for it."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    stop: Annotated[list[Annotated[str, StringConstraints(min_length=1)]], Field(max_length=8)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    reasoning_effort: Annotated[str, StringConstraints(min_length=1, max_length=40)] | None = None
    response_format: JsonObject | None = None
    """As in OpenAI's chat completions: `{"type": "json_object"}`, or `json_schema` with a schema."""
    tools: Annotated[list[JsonObject], Field(max_length=128)] | None = None
    tool_choice: str | JsonObject | None = None
    parallel_tool_calls: bool | None = None
    user: Annotated[str, StringConstraints(max_length=500)] | None = None
    """Whom the provider is told this is for."""
    options: Annotated[JsonObject, Field(max_length=100)] = {}
    """What only some providers know, by their names for it."""


Label: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
LabelName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Labels: TypeAlias = Annotated[dict[LabelName, Label], Field(max_length=16)]


class _Submit(Command):
    model: ModelRef | None = None
    parameters: Parameters = Parameters()
    deadline: Annotated[datetime, Field(strict=False)] | None = None
    timeout_s: Annotated[float, Field(gt=0, le=MAX_TIMEOUT.total_seconds())] | None = None
    on_disconnect: Annotated[OnDisconnect, Field(strict=False)] = OnDisconnect.CONTINUE
    labels: Labels = {}

    @model_validator(mode="after")
    def _one_clock(self) -> "_Submit":
        if self.deadline is not None and self.timeout_s is not None:
            raise ValueError("give either deadline or timeout_s")
        if self.deadline is not None and self.deadline.tzinfo is None:
            raise ValueError("deadline needs a time zone, as in 2026-01-31T12:00:00Z")
        return self


class SubmitChat(_Submit):
    """Ask for one answer to a conversation."""

    kind: Literal["chat"]
    input: ChatInput


class SubmitVision(_Submit):
    """Ask what a dispenser should do, given a photo."""

    kind: Literal["vision"]
    input: VisionInput


class SubmitImage(_Submit):
    """Ask for pictures."""

    kind: Literal["image"]
    input: ImageInput


class SubmitVideo(_Submit):
    """Ask for a film."""

    kind: Literal["video"]
    input: VideoInput


Submission: TypeAlias = SubmitChat | SubmitVision | SubmitImage | SubmitVideo
SubmitJob: TypeAlias = Annotated[Submission, Field(discriminator="kind")]


_WISHES: Final[dict[Kind | None, type[ImageInput | VideoInput]]] = {Kind.IMAGE: ImageInput, Kind.VIDEO: VideoInput}


class JobSpec(Command):
    """What the row of an accepted job says to its runner; `model` is resolved."""

    kind: Annotated[Kind, Field(strict=False)]
    model: ModelRef
    input: ChatInput | VisionTask | UploadTask | MediaTask | TurnTask | ImageInput | VideoInput
    parameters: Parameters = Parameters()
    is_metered: bool = False
    """Whether something is reserved for it, to be settled when it has ended."""

    @field_validator("input", mode="before")
    @classmethod
    def _is_the_kinds_own(cls, value: object, info: ValidationInfo) -> object:
        """Read pictures and films by the kind: the words for one could be for the other."""
        form = _WISHES.get(info.data.get("kind"))
        return value if form is None or isinstance(value, form) else form.model_validate(value)

    @property
    def provider_name(self) -> str:
        """The part of `model` before the first slash."""
        return self.model.partition("/")[0]

    @property
    def model_name(self) -> str:
        """The part of `model` after the first slash."""
        return self.model.partition("/")[2]
