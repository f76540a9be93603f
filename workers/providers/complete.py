"""The law of a provider's stream: in time, whole, and ended by one usage and one finish, or by one error."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import structlog

from shared.domain.errors import (
    BadOutput,
    InvalidRequest,
    ProviderError,
    ProviderTimeout,
    ProviderUnreachable,
    StreamIncomplete,
)
from shared.domain.events import Finish, Noted, Text, ToolCall, Usage
from workers.providers.base import Clocks, GeneratedImage, ProviderDelta
from workers.providers.clocks import Watchdog
from workers.providers.data_urls import SCHEME, image_of_data_url

TRAILER_S: Final = 2.0
"""How long usage may come after the answer said that it is finished; it is in the next packet, or never comes."""
BREAKS: Final = (ProviderTimeout, ProviderUnreachable, StreamIncomplete)
ASIDE_CHARS: Final = 64 * 1024
"""Of an image in base64: what takes longer to decode than half a millisecond is decoded beside the loop."""
logger = structlog.get_logger(__name__)


async def complete(
    source: AsyncGenerator[ProviderDelta, None], clocks: Clocks, *, provider: str
) -> AsyncGenerator[ProviderDelta, None]:
    """Yield what an adapter translates, under the clocks, with the last `Usage` and then `Finish` at its end.

    An adapter yields in the order of the wire, any number of each. Once the finish was seen the answer is whole: what
    breaks afterwards costs the usage, not the answer. Images in data URLs become bytes.

    Raises:
        StreamIncomplete: if the source ends without a finish.
        BadOutput: if the limit of tokens was reached before the first word.
    """
    watchdog = Watchdog(provider)
    told = _Told(clocks, watchdog)
    try:
        while True:
            delta = await watchdog.next(source)
            if told.take(delta):
                yield await _loaded(delta) if isinstance(delta, GeneratedImage) else delta
    except StopAsyncIteration:
        pass
    except ProviderError as error:
        if told.finish is None or not isinstance(error, BREAKS):
            if told.usage is not None and told.has_begun:
                yield told.usage
            raise
        logger.info("provider_broke_after_its_finish", provider=provider, error=str(error))
    finally:
        watchdog.stop()
        await source.aclose()
    if told.usage is not None and (told.finish is not None or told.has_begun):
        yield told.usage
    yield _ended(told, provider)


class _Told:
    """What one source has told so far."""

    def __init__(self, clocks: Clocks, watchdog: Watchdog) -> None:
        self._idle_s = clocks.idle_s
        self._watchdog = watchdog
        self.usage: Usage | None = None
        self.finish: Finish | None = None
        self.has_begun = False
        self.has_answer = False
        watchdog.allow("first_delta", clocks.first_delta_s)

    def take(self, delta: ProviderDelta) -> bool:
        """Take what came, move the clock if it is progress; return whether the reader is to have it now."""
        if isinstance(delta, Usage):  # some count with every chunk, however empty
            self.usage = delta
            return False
        if isinstance(delta, Finish):
            if self.finish is None:
                self.finish = delta
                self._watchdog.allow("idle", min(TRAILER_S, self._idle_s))
            return False
        if isinstance(delta, Noted):  # ours, about the request
            return True
        self.has_begun = True
        self.has_answer = self.has_answer or _is_answer(delta)
        if self.finish is None:
            self._watchdog.allow("idle", self._idle_s)
        return True


def _ended(told: _Told, provider: str) -> Finish:
    if told.finish is None:
        raise StreamIncomplete(f"{provider} ended its answer without saying that it was complete")
    if told.finish.reason == "length" and not told.has_answer:
        raise BadOutput(f"{provider} spent the limit of output tokens on reasoning before its first word: allow more")
    return told.finish


def _is_answer(delta: ProviderDelta) -> bool:
    return isinstance(delta, ToolCall | GeneratedImage) or (isinstance(delta, Text) and bool(delta.text.strip()))


async def _loaded(image: GeneratedImage) -> GeneratedImage | Noted:
    """Return an image with its bytes if its URL holds them; a note about one that cannot be read."""
    if image.content is not None or image.url is None or not image.url.startswith(SCHEME):
        return image
    data = image.url.removeprefix(SCHEME)
    try:
        aside = len(data) > ASIDE_CHARS
        return GeneratedImage(await asyncio.to_thread(image_of_data_url, data) if aside else image_of_data_url(data))
    except InvalidRequest as error:
        return Noted("image_refused", f"An image of the answer was left out: {error}")
