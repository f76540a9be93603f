"""The contract between the runner and every provider: a prompt goes in, deltas come out, or one `ProviderError`."""

import secrets
from collections.abc import AsyncGenerator
from typing import Any, Final, Literal, Protocol, TypeAlias

import msgspec

from shared.domain.commands import CalledTool, Parameters
from shared.domain.events import Delta, StopsBilling
from shared.domain.models import ListedModel

MESSAGES_FIELD: Final = "input.messages"
"""Where the media of a prompt came from."""


class ResponseSchema(msgspec.Struct, frozen=True):
    """The JSON the answer must be: canonical and strict already (all required, `additionalProperties` false)."""

    name: str
    schema: dict[str, Any]  # a JSON schema: its values are of many types


class PromptText(msgspec.Struct, frozen=True):
    """Text of a message."""

    text: str


class PromptImage(msgspec.Struct, frozen=True):
    """An image of a message, loaded and decoded elsewhere: a provider never fetches anything."""

    content: bytes
    media_type: str

    def __repr__(self) -> str:
        return f"PromptImage({len(self.content)} bytes of {self.media_type})"


class PromptVideo(msgspec.Struct, frozen=True):
    """A video of a message, loaded elsewhere."""

    content: bytes
    media_type: str

    def __repr__(self) -> str:
        return f"PromptVideo({len(self.content)} bytes of {self.media_type})"


class PromptAudio(msgspec.Struct, frozen=True):
    """A recording of a message, loaded elsewhere."""

    content: bytes
    media_type: str

    def __repr__(self) -> str:
        return f"PromptAudio({len(self.content)} bytes of {self.media_type})"


class GeneratedImage(msgspec.Struct, frozen=True):
    """An image that a provider made: as bytes, or at a URL of the provider's that will expire."""

    content: bytes | None = None
    url: str | None = None

    def __repr__(self) -> str:
        return f"GeneratedImage({len(self.content)} bytes)" if self.content is not None else "GeneratedImage(a URL)"


PromptMedia: TypeAlias = PromptImage | PromptVideo | PromptAudio
PromptPart: TypeAlias = PromptText | PromptMedia
ProviderDelta: TypeAlias = Delta | GeneratedImage
"""What a provider may yield: what is reported as it is, and images, of which only references are."""
Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


class PromptMessage(msgspec.Struct, frozen=True):
    """One turn of a conversation.

    `tool_calls` are an assistant's, `tool_call_id` says which of them a tool's message answers. `signatures` and
    `reasoning` are what an assistant's turn came with, for providers that want it back.
    """

    role: Role
    parts: tuple[PromptPart, ...]
    tool_calls: tuple[CalledTool, ...] = ()
    tool_call_id: str | None = None
    signatures: tuple[str, ...] = ()
    reasoning: str = ""

    @property
    def text(self) -> str:
        """Its texts, one a line."""
        return "\n".join(part.text for part in self.parts if isinstance(part, PromptText))


class Prompt(msgspec.Struct, frozen=True):
    """What a model is asked; `model` is the provider's own name for it, without our prefix."""

    model: str
    messages: tuple[PromptMessage, ...]
    parameters: Parameters = Parameters()
    response_schema: ResponseSchema | None = None
    defaults: frozenset[str] = frozenset()
    """Names of parameters that are ours, not the caller's: nobody is told what becomes of them."""
    is_order: bool = False
    """Whether the answer is paid for apiece: then it is never sent a second time, however little was heard."""


class Clocks(msgspec.Struct, frozen=True):
    """How long a provider may be silent, in seconds; the job's deadline is the runner's.

    `first_delta_s` counts from the call, connecting included; `idle_s` between two deltas (comments, keep-alives and
    empty fragments do not count).
    """

    connect_s: float
    first_delta_s: float
    idle_s: float


class Provider(Protocol):
    """One place that answers prompts."""

    @property
    def name(self) -> str:
        """The part of a model's reference before the slash."""
        ...

    @property
    def stops_billing_on_abort(self) -> StopsBilling:
        """Whether it stops charging when its socket is closed half-way."""
        ...

    @property
    def is_near(self) -> bool:
        """Whether it is on this machine or in its network: then what it made may be there, too."""
        ...

    @property
    def media(self) -> frozenset[str]:
        """What it takes parts of beside text and images: `video`, `audio`."""
        ...

    def stream(self, prompt: Prompt, clocks: Clocks) -> AsyncGenerator[ProviderDelta, None]:
        """Ask, and yield what is answered: never an empty text; at most one `Usage`; `Finish` once, as the last.

        Closing the generator, or cancelling the task that iterates it, closes the provider's socket at once. Nothing
        is retried here, except a request that the provider refused for its form before it answered anything.

        Raises:
            ProviderError: one of its classes, instead of `Finish`; what was yielded before is a part of the answer.
            UnsupportedMediaType: if it takes no media of a kind the prompt has; it was not called.
        """
        ...

    def with_key(self, api_key: str) -> "Provider":
        """Return this provider with another key, over the same connections; closing that one closes nothing.

        A provider that wants no key returns itself.

        Raises:
            InvalidRequest: if no key can look like this.
        """
        ...

    async def list_models(self, timeout_s: float) -> list[ListedModel]:
        """Return the models that can chat, as the provider lists them; what is known of it where it has no list.

        Raises:
            ProviderError: one of its classes, where there is a list and it cannot be had.
        """
        ...

    async def close(self) -> None:
        """Close the connections; running streams break."""
        ...


def new_call_id() -> str:
    """Return an id for a tool call that its provider gave none: the caller needs one to answer it."""
    return f"call_{secrets.token_hex(12)}"
