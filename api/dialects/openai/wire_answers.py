"""Chat completions, lists of models and errors as clients read them, and nothing else.

Source: the types of the official SDK 3.54 (`openai/types/chat`). Of our own are `reasoning_content`, as DeepSeek and
those who followed have it, and `annotations` in a stream, as OpenRouter has them.
"""

from typing import Literal, TypeAlias

import msgspec


class Function(msgspec.Struct, frozen=True, omit_defaults=True):
    """A called function, or a fragment of it: the name comes once."""

    arguments: str
    name: str | None = None


class CalledTool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool call, or a fragment of it: `index` is in fragments only, the id and the type come once."""

    function: Function
    index: int | None = None
    id: str | None = None
    type: Literal["function"] | None = None


class Citation(msgspec.Struct, frozen=True):
    """A source; where in the text it is cited is not known."""

    url: str
    title: str
    start_index: int = 0
    end_index: int = 0


class Annotation(msgspec.Struct, frozen=True):
    """A source the model used; `index` is in fragments only."""

    url_citation: Citation
    index: int | msgspec.UnsetType = msgspec.UNSET
    type: Literal["url_citation"] = "url_citation"


class Delta(msgspec.Struct, frozen=True, omit_defaults=True):
    """A fragment of the answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[CalledTool] | None = None
    annotations: list[Annotation] | None = None


FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


class ChunkChoice(msgspec.Struct, frozen=True):
    """The one choice of a chunk."""

    delta: Delta
    finish_reason: FinishReason | None = None
    index: int = 0
    logprobs: None = None


class PromptDetails(msgspec.Struct, frozen=True):
    """What the prompt's tokens were."""

    cached_tokens: int


class CompletionDetails(msgspec.Struct, frozen=True):
    """What the answer's tokens were."""

    reasoning_tokens: int


class Usage(msgspec.Struct, frozen=True):
    """What an answer took."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class Chunk(msgspec.Struct, frozen=True):
    """One event of a stream. `usage` is there only if it was asked for, and null but in the last."""

    id: str
    created: int
    """Unix time in seconds."""
    model: str
    choices: list[ChunkChoice]
    usage: Usage | msgspec.UnsetType | None = msgspec.UNSET
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    system_fingerprint: None = None


class AnswerMessage(msgspec.Struct, frozen=True):
    """The whole answer."""

    content: str | None
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    tool_calls: list[CalledTool] | msgspec.UnsetType = msgspec.UNSET
    annotations: list[Annotation] | msgspec.UnsetType = msgspec.UNSET
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class Choice(msgspec.Struct, frozen=True):
    """The one choice."""

    message: AnswerMessage
    finish_reason: FinishReason
    index: int = 0
    logprobs: None = None


class ChatCompletion(msgspec.Struct, frozen=True):
    """The whole answer to a request."""

    id: str
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | None
    object: Literal["chat.completion"] = "chat.completion"
    system_fingerprint: None = None


class Model(msgspec.Struct, frozen=True):
    """A model that can be asked; `owned_by` is its provider."""

    id: str
    owned_by: str
    created: int = 0
    """Nobody tells when."""
    object: Literal["model"] = "model"


class ModelPage(msgspec.Struct, frozen=True):
    """Every model."""

    data: list[Model]
    object: Literal["list"] = "list"


class Error(msgspec.Struct, frozen=True):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct, frozen=True):
    """An error, as the body of an answer or as an event of a stream."""

    error: Error
