"""Lite-LLM-Chat's JSON, and nothing else: field for field what its document and its clients know.

What a request may hold is bounded as in the old system, and by what this one keeps; unknown fields are ignored. What is
answered has exactly these members: its terminal client dies of one more in a provider or a model.
"""

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.plain_json import check_plain, check_text
from shared.domain.chats import MAX_MEDIA
from shared.domain.commands import MAX_MESSAGES, MAX_TEXT_CHARS

MAX_NAME_CHARS: Final = 200
_INT64: Final = 2**63

JsonObject: TypeAlias = Annotated[dict[str, Any], AfterValidator(check_plain)]  # JSON of the caller's own
Text: TypeAlias = Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARS), AfterValidator(check_text)]
Name: TypeAlias = Annotated[str, StringConstraints(max_length=MAX_NAME_CHARS), AfterValidator(check_text)]
Names: TypeAlias = Annotated[list[Name], Field(max_length=100)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=10_000_000)]
Integer: TypeAlias = Annotated[int, Field(ge=-_INT64, lt=_INT64)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Penalty: TypeAlias = Annotated[float, Field(ge=-2, le=2)]
Detail: TypeAlias = Literal["auto", "low", "high"]
Uploads: TypeAlias = Annotated[list[Annotated[str, AfterValidator(check_text)]], Field(max_length=MAX_MEDIA)]
"""Where files are: `/uploads/<id>.<extension>`, data URLs, or URLs of what is to be fetched."""


class Asked(BaseModel):
    """Base of what is asked; infinity and NaN are no numbers here."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class NewSession(Asked):
    """`POST /sessions`."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(check_text)]
    provider: Name
    model: Name


class SessionChange(Asked):
    """`PATCH /sessions/{id}`; an empty title keeps the one there is."""

    title: Text | None = None


class ChatMessage(Asked):
    """One message of a request."""

    role: Literal["user", "assistant", "system"]
    content: Text
    images: Uploads | None = None
    videos: Uploads | None = None
    audios: Uploads | None = None


class PixelLimit(Asked):
    """How large images may be that a model sees."""

    max_pixels: Annotated[int, Field(ge=1, lt=_INT64)] | None = None
    min_pixels: Annotated[int, Field(ge=1, lt=_INT64)] | None = None


class Options(Asked):
    """What only some providers know, by the old system's names; each goes to those that know it, and to no other."""

    image_detail: Detail | None = None
    image_pixel_limit: PixelLimit | None = None
    fps: Annotated[float, Field(ge=0.1, le=10)] | None = None
    video_detail: Detail | None = None
    max_frames: Count | None = None

    thinking: bool | None = None
    disable_reasoning: bool | None = None
    reasoning_format: Name | None = None
    include_reasoning: bool | None = None
    enable_thinking: bool | None = None
    thinking_budget: Annotated[int, Field(ge=128, le=32_768)] | None = None
    min_p: Share | None = None
    top_k: float | None = None

    transforms: Names | None = None
    models: Names | None = None
    route: Name | None = None
    repetition_penalty: Annotated[float, Field(ge=0, le=2)] | None = None
    top_a: Share | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    structured_outputs: bool | None = None
    parallel_tool_calls: bool | None = None
    reasoning: JsonObject | None = None
    modalities: Names | None = None
    image_config: JsonObject | None = None
    plugins: Annotated[list[JsonObject], Field(max_length=100)] | None = None
    web_search_options: JsonObject | None = None

    safe_prompt: bool | None = None
    random_seed: Integer | None = None

    imagen_number_of_images: Annotated[int, Field(ge=1, le=4)] | None = None
    imagen_image_size: Literal["1K", "2K"] | None = None
    imagen_aspect_ratio: Literal["1:1", "3:4", "4:3", "9:16", "16:9"] | None = None
    imagen_person_generation: Literal["dont_allow", "allow_adult", "allow_all"] | None = None
    thinking_level: Literal["minimal", "low", "medium", "high"] | None = None
    media_resolution: (
        Literal[
            "MEDIA_RESOLUTION_UNSPECIFIED",
            "MEDIA_RESOLUTION_LOW",
            "MEDIA_RESOLUTION_MEDIUM",
            "MEDIA_RESOLUTION_HIGH",
        ]
        | None
    ) = None
    google_search: bool | None = None
    url_context: bool | None = None
    safety_threshold: Name | None = None
    """The old system's own web page sends it, and its schema had forgotten it."""

    sequential_image_generation: Name | None = None
    max_images: Integer | None = None
    watermark: bool | None = None
    prompt_optimize_mode: Name | None = None
    size: Name | None = None

    resolution: Name | None = None
    ratio: Name | None = None
    duration: Integer | None = None
    generate_audio: bool | None = None
    draft: bool | None = None
    camera_fixed: bool | None = None


class ChatRequest(Options):
    """`POST /chat`: the document's table, parameter by parameter."""

    provider: Name
    model: Name
    messages: Annotated[list[ChatMessage], Field(max_length=MAX_MESSAGES)]
    session_id: int | None = None
    message_provider: Name | None = None
    message_model: Name | None = None
    stream: bool = True
    title: Text | None = None
    system_prompt: Text | None = None

    temperature: Annotated[float, Field(ge=0, le=2)] | None = 1.0
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    frequency_penalty: Penalty | None = 0.0
    presence_penalty: Penalty | None = 0.0
    top_p: Share | None = 1.0
    stop: Annotated[list[Text], Field(max_length=8)] | None = None
    reasoning_effort: Annotated[Name, Field(max_length=40)] | None = None
    response_format: JsonObject | None = None
    seed: Integer | None = None


class Provider(BaseModel):
    """One of `GET /providers`."""

    id: str
    name: str
    description: str
    supported: bool


class Model(BaseModel):
    """One of `GET /models`."""

    id: str
    name: str
    provider: str
    context_length: int | None
    description: str


class Session(BaseModel):
    """A session; instants are naive UTC in ISO 8601 with microseconds."""

    id: int
    title: str
    provider: str
    model: str
    created_at: str
    updated_at: str
    message_count: int


class Message(BaseModel):
    """A message of a session; a search result has `url`, `title` and perhaps `content`."""

    id: int
    role: str
    content: str
    images: list[str] | None
    videos: list[str] | None
    audios: list[str] | None
    search_results: list[dict[str, str]] | None
    provider: str | None
    model: str | None
    thought_process: str | None
    thought_signatures: list[str] | None
    created_at: str


class SessionWithMessages(Session):
    """`GET /sessions/{id}`."""

    messages: list[Message]


class ChatAnswer(BaseModel):
    """`POST /chat` without a stream."""

    session_id: int
    message: Message


class Upload(BaseModel):
    """`POST /upload`."""

    url: str
