"""Pictures by OpenAI's images API; it makes no films here."""

from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import Final, Self

from shared.domain.errors import InvalidRequest
from shared.domain.events import Noted
from shared.domain.models import Makes
from workers.providers.studio import openai_images_wire as wire
from workers.providers.studio.base import ImagesAsked, Made, Ordered, StudioClocks, VideoAsked
from workers.providers.studio.client import NO_HEADERS, StudioClient
from workers.providers.studio.pictures import one_after_the_other, pictures_of
from workers.providers.studio.wire import encoded

GENERATIONS: Final = "/images/generations"
EDITS: Final = "/images/edits"


class OpenAIImages:
    """See `Studio`."""

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        api_key: str | None,
        proxy: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        self._client = StudioClient(name, base_url=base_url, api_key=api_key, proxy=proxy, headers=headers)

    @property
    def name(self) -> str:
        """See `Studio`."""
        return self._client.name

    @property
    def base_url(self) -> str:
        """See `Studio`."""
        return self._client.base_url

    def makes(self, model: str) -> Makes:
        """See `Studio`."""
        return wire.makes(model)

    def remarks(self, asked: ImagesAsked | VideoAsked) -> list[Noted]:
        """See `Studio`."""
        return wire.remarks(asked) if isinstance(asked, ImagesAsked) else []

    def make_images(self, asked: ImagesAsked, clocks: StudioClocks) -> AsyncGenerator[Made, None]:
        """See `Studio`."""

        async def call() -> bytes:
            path, body = (
                (EDITS, wire.form(asked))
                if asked.images
                else (GENERATIONS, await encoded(partial(wire.members, asked)))
            )
            return await self._client.order(path, body, connect_s=clocks.connect_s, within_s=clocks.images_s)

        return one_after_the_other([pictures_of(self._client, call)])

    async def order_video(self, asked: VideoAsked, clocks: StudioClocks) -> str:
        """See `Studio`."""
        raise self._no_films()

    async def look_at(self, order_id: str, clocks: StudioClocks) -> Ordered:
        """See `Studio`."""
        raise self._no_films()

    async def cancel_order(self, order_id: str, clocks: StudioClocks) -> None:
        """See `Studio`."""
        raise self._no_films()

    def with_key(self, api_key: str) -> Self:
        """See `Studio`."""
        derived = object.__new__(type(self))
        derived._client = self._client.with_key(api_key)
        return derived

    async def close(self) -> None:
        """See `Studio`; no connection is kept."""

    def _no_films(self) -> InvalidRequest:
        return InvalidRequest(f"{self.name} makes no films here.", field="model")
