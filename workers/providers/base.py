"""The contract between the runner and every provider: a prompt goes in, deltas come out, or one `ProviderError`."""

from collections.abc import AsyncGenerator
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from shared.domain.commands import Parameters
from shared.domain.events import Delta, StopsBilling


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


PromptPart: TypeAlias = PromptText | PromptImage
Role: TypeAlias = Literal["system", "user", "assistant"]


class PromptMessage(msgspec.Struct, frozen=True):
    """One turn of a conversation."""

    role: Role
    parts: tuple[PromptPart, ...]


class Prompt(msgspec.Struct, frozen=True):
    """What a model is asked; `model` is the provider's own name for it, without our prefix."""

    model: str
    messages: tuple[PromptMessage, ...]
    parameters: Parameters = Parameters()
    response_schema: ResponseSchema | None = None


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

    def stream(self, prompt: Prompt, clocks: Clocks) -> AsyncGenerator[Delta, None]:
        """Ask, and yield what is answered: never an empty text; at most one `Usage`; `Finish` once, as the last.

        Closing the generator, or cancelling the task that iterates it, closes the provider's socket at once. Nothing
        is retried here, except a request that the provider refused for its form before it answered anything.

        Raises:
            ProviderError: one of its classes, instead of `Finish`; what was yielded before is a part of the answer.
        """
        ...

    async def close(self) -> None:
        """Close the connections; running streams break."""
        ...
