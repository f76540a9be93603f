"""The contract with providers that make pictures and films: what is asked of them, and what they answer.

Beside `Provider`: here an answer costs what it costs once it was asked for, so nothing is ever asked twice. What was
certainly not taken (a `ProviderError`) is told apart from what may have been (`OutcomeUnknown`).
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from shared.domain.errors import ProviderError
from shared.domain.events import Noted, Usage
from shared.domain.models import Makes
from workers.providers.base import GeneratedImage, PromptImage

IMAGE_FAILED: Final = "image_failed"


class ImagesAsked(msgspec.Struct, frozen=True):
    """Pictures to be made; `options` are the caller's, by any provider's names, and only what is known of them counts.

    `size` is in the provider's own words.
    """

    model: str
    prompt: str
    images: tuple[PromptImage, ...] = ()
    n: int = 1
    size: str | None = None
    aspect_ratio: str | None = None
    seed: int | None = None
    options: dict[str, Any] = {}  # JSON of the caller's own


class VideoAsked(msgspec.Struct, frozen=True):
    """A film to be made; `options` as for pictures."""

    model: str
    prompt: str
    images: tuple[PromptImage, ...] = ()
    aspect_ratio: str | None = None
    resolution: str | None = None
    duration_s: int | None = None
    seed: int | None = None
    options: dict[str, Any] = {}  # JSON of the caller's own


Made: TypeAlias = GeneratedImage | Noted | Usage


class OrderState(StrEnum):
    """Where an order is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """What a provider says of an order; `url` is where its film is for a while, `error` why there will be none."""

    state: OrderState
    fraction: float | None = None
    url: str | None = field(default=None, repr=False)
    error: ProviderError | None = None
    usage: Usage | None = None


class StudioClocks(msgspec.Struct, frozen=True):
    """How long calls may take, in seconds: to connect, to make pictures, and every other one."""

    connect_s: float
    images_s: float
    call_s: float


class Studio(Protocol):
    """One provider that makes pictures, films or both."""

    @property
    def name(self) -> str:
        """As `Provider.name`."""
        ...

    @property
    def base_url(self) -> str:
        """Where it is: what it says about places near it is as trustworthy as that."""
        ...

    def makes(self, model: str) -> Makes:
        """Return what comes of asking this model, as far as its name tells; `answer` where it does not."""
        ...

    def remarks(self, asked: ImagesAsked | VideoAsked) -> list[Noted]:
        """Return what of this cannot be asked for."""
        ...

    def make_images(self, asked: ImagesAsked, clocks: StudioClocks) -> AsyncGenerator[Made, None]:
        """Ask for pictures, yield them as they come, and at most one `Usage`, last.

        Where some are made and others are not, the others are told as `Noted`. Closing the generator closes the
        connection.

        Raises:
            ProviderError: if none was made, and nothing was taken.
            OutcomeUnknown: if none came, and something may have been taken.
        """
        ...

    async def order_video(self, asked: VideoAsked, clocks: StudioClocks) -> str:
        """Order a film, and return what the provider calls the order.

        Raises:
            InvalidRequest: if it makes none.
            ProviderError: if the order was not taken.
            OutcomeUnknown: if it may have been.
        """
        ...

    async def look_at(self, order_id: str, clocks: StudioClocks) -> Ordered:
        """Return what has become of an order.

        Raises:
            ProviderError: if it cannot be told at the moment (`retryable`), or at all.
        """
        ...

    async def cancel_order(self, order_id: str, clocks: StudioClocks) -> None:
        """Cancel an order that is not being worked at yet; doing it again is harmless.

        Raises:
            ProviderError: if the provider does not do it, for the moment (`retryable`) or at all.
        """
        ...

    def with_key(self, api_key: str) -> "Studio":
        """Return this one with another key."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
