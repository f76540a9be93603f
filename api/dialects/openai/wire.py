"""Chat completions as clients ask for them, and nothing else.

Source: the types of the official SDK 3.54 (`openai/types/chat`). How long and how much anything may be, the core says.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

JsonObject: TypeAlias = dict[str, Any]  # JSON of the caller's own


class Wire(BaseModel):
    """Base of what a request is made of: what is unknown is ignored, a wrong type refused."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class TextPart(Wire):
    """Text of a message."""

    type: Literal["text"]
    text: str


class RefusalPart(Wire):
    """What an assistant would not answer."""

    type: Literal["refusal"]
    refusal: str


class ImageURL(Wire):
    """An image as a data URL, or elsewhere."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Wire):
    """An image of a message."""

    type: Literal["image_url"]
    image_url: ImageURL


class InputAudio(Wire):
    """A recording in base64."""

    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Wire):
    """A recording of a message."""

    type: Literal["input_audio"]
    input_audio: InputAudio


UserPart: TypeAlias = Annotated[TextPart | ImagePart | AudioPart, Field(discriminator="type")]
AssistantPart: TypeAlias = Annotated[TextPart | RefusalPart, Field(discriminator="type")]


class SystemMessage(Wire):
    """What the model is told before anybody speaks."""

    role: Literal["system", "developer"]
    content: str | list[TextPart]


class UserMessage(Wire):
    """What the user says."""

    role: Literal["user"]
    content: str | list[UserPart]


class CalledFunction(Wire):
    """Which function was called; `arguments` are JSON as the model wrote it."""

    name: str
    arguments: str


class ToolCall(Wire):
    """A tool call of an earlier turn."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class AssistantMessage(Wire):
    """What was answered before: words, tool calls, or both."""

    role: Literal["assistant"]
    content: str | list[AssistantPart] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "AssistantMessage":
        if self.content is None and self.refusal is None and not self.tool_calls:
            raise ValueError("an assistant's message has content or tool_calls")
        return self


class ToolMessage(Wire):
    """What a called tool returned."""

    role: Literal["tool"]
    content: str | list[TextPart]
    tool_call_id: str


Message: TypeAlias = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class OpenObject(BaseModel):
    """Base of what is handed on to the provider as it came."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


class ToolFunction(OpenObject):
    """A function the model may call."""

    name: str


class Tool(Wire):
    """A tool; the only kind there is, is a function."""

    type: Literal["function"]
    function: ToolFunction


class NamedSchema(OpenObject):
    """The JSON schema of the answer."""

    name: str


class ResponseFormat(Wire):
    """What the answer must be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> "ResponseFormat":
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema is required")
        return self


class StreamOptions(Wire):
    """What a stream has besides the answer."""

    include_usage: bool | None = None


class Request(OpenObject):
    """`POST /v1/chat/completions`. What has no field here is offered to the provider, which takes what it knows."""

    messages: list[Message]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | JsonObject | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None
    n: int | None = None
    logprobs: bool | None = None
    modalities: list[str] | None = None
    functions: object = None
    function_call: object = None

    @field_validator("n")
    @classmethod
    def _one_choice(cls, n: int | None) -> int | None:
        if n not in (None, 1):
            raise ValueError("only one choice is made: n is 1")
        return n

    @field_validator("logprobs")
    @classmethod
    def _without_probabilities(cls, wanted: bool | None) -> bool | None:
        if wanted:
            raise ValueError("log probabilities are not kept: leave it out")
        return wanted

    @field_validator("modalities")
    @classmethod
    def _without_speech(cls, modalities: list[str] | None) -> list[str] | None:
        if modalities and "audio" in modalities:
            raise ValueError("answers are not spoken: leave out audio")
        return modalities

    @field_validator("functions", "function_call")
    @classmethod
    def _tools_instead(cls, given: object) -> object:
        if given is not None:
            raise ValueError("is deprecated and not taken: use tools and tool_choice")
        return given
