"""Volcengine Ark's pictures and films: Seedream answers at once, Seedance takes orders that are looked at."""

from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import Final, Self, assert_never
from urllib.parse import quote

from shared.domain.errors import ModelNotFound, OutcomeUnknown, ProviderError
from shared.domain.events import Noted
from shared.domain.models import Makes
from workers.providers.studio import ark_wire as wire
from workers.providers.studio.base import ImagesAsked, Made, Ordered, OrderState, StudioClocks, VideoAsked
from workers.providers.studio.client import NO_HEADERS, StudioClient
from workers.providers.studio.pictures import one_after_the_other, pictures_of
from workers.providers.studio.wire import encoded, for_good

IMAGES: Final = "/images/generations"
TASKS: Final = "/contents/generations/tasks"


class ArkMedia:
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
        match asked:
            case ImagesAsked():
                return wire.image_remarks(asked)
            case VideoAsked():
                return wire.video_remarks(asked)
            case _:
                assert_never(asked)

    def make_images(self, asked: ImagesAsked, clocks: StudioClocks) -> AsyncGenerator[Made, None]:
        """See `Studio`."""

        async def call() -> bytes:
            body = await encoded(partial(wire.images_to_wire, asked), shown_bytes=_shown_bytes(asked))
            return await self._client.order(IMAGES, body, connect_s=clocks.connect_s, within_s=clocks.images_s)

        calls = [pictures_of(self._client, call) for _ in range(wire.calls_for(asked))]
        return one_after_the_other(calls)

    async def order_video(self, asked: VideoAsked, clocks: StudioClocks) -> str:
        """See `Studio`."""
        body = await encoded(partial(wire.video_to_wire, asked), shown_bytes=_shown_bytes(asked))
        answer = await self._client.order(TASKS, body, connect_s=clocks.connect_s, within_s=clocks.call_s)
        order_id = wire.order_id_of(answer)
        if order_id is None:
            raise OutcomeUnknown(f"{self.name} answered without naming the order: {self._client.said_wrong(answer)}")
        return order_id

    async def look_at(self, order_id: str, clocks: StudioClocks) -> Ordered:
        """See `Studio`."""
        try:
            answer = await self._call("GET", order_id, clocks)
        except ModelNotFound as error:
            raise ProviderError(f"{self.name} does not know the order {order_id} (any more)") from error
        read = wire.read_order(answer)
        if read is None:
            raise ProviderError(f"{self.name} does not say what became of the order {order_id}")
        ordered, error = read
        if error is not None and ordered.state is OrderState.FAILED:
            return Ordered(state=ordered.state, error=for_good(self._client.said_wrong(error)), usage=ordered.usage)
        return ordered

    async def cancel_order(self, order_id: str, clocks: StudioClocks) -> None:
        """See `Studio`."""
        await self._call("DELETE", order_id, clocks)

    def with_key(self, api_key: str) -> Self:
        """See `Studio`."""
        derived = object.__new__(type(self))
        derived._client = self._client.with_key(api_key)
        return derived

    async def close(self) -> None:
        """See `Studio`; no connection is kept."""

    async def _call(self, method: str, order_id: str, clocks: StudioClocks) -> bytes:
        path = f"{TASKS}/{quote(order_id, safe='')}"
        return await self._client.ask(method, path, connect_s=clocks.connect_s, within_s=clocks.call_s)


def _shown_bytes(asked: ImagesAsked | VideoAsked) -> int:
    return sum(len(image.content) for image in asked.images)
