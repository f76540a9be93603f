"""From calls for pictures to what is reported of them: what came is given, what did not is told."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeAlias

from shared.domain.errors import OutcomeUnknown, ProviderError
from shared.domain.events import Noted, Usage
from workers.providers.base import GeneratedImage
from workers.providers.request_body import ASIDE_BYTES
from workers.providers.studio.base import IMAGE_FAILED, Made
from workers.providers.studio.client import StudioClient
from workers.providers.studio.wire import Failed, Pictures, for_good, read_pictures

Pieces: TypeAlias = AsyncGenerator[Made, None]


async def pictures_of(client: StudioClient, call: Callable[[], Awaitable[bytes]]) -> Pieces:
    """Make one call and yield what came of it.

    Raises:
        ProviderError: if there is no picture; the provider's own reason.
        OutcomeUnknown: if nobody knows whether there is one.
    """
    answer = await call()
    pictures = await _read(answer)
    if pictures is None:
        raise OutcomeUnknown(f"{client.name} answered something else than pictures: {client.said_wrong(answer)}")
    failures = [client.said_wrong(one.body) for one in pictures.made if isinstance(one, Failed)]
    if not any(isinstance(one, GeneratedImage) for one in pictures.made):
        raise _nothing(client, pictures, failures)
    for one in pictures.made:
        if isinstance(one, GeneratedImage):
            yield one
    for failure in failures:
        yield failed(failure)
    if pictures.usage is not None:
        yield pictures.usage


async def one_after_the_other(calls: Sequence[Pieces]) -> Pieces:
    """Make calls, and yield what came of all of them; once a picture came, what fails is told and ends it."""
    used: Usage | None = None
    is_any = False
    try:
        for call in calls:
            async with aclosing(call) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Usage):
                        used = piece if used is None else added(used, piece)
                    else:
                        is_any = is_any or isinstance(piece, GeneratedImage)
                        yield piece
    except ProviderError as error:
        if not is_any:
            raise
        yield failed(error)
    if used is not None:
        yield used


def failed(error: ProviderError) -> Noted:
    """Return the note about a picture that was not made."""
    return Noted(IMAGE_FAILED, error.detail or error.title)


def added(one: Usage, other: Usage) -> Usage:
    """Return what two calls used together."""
    return Usage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        is_estimated=one.is_estimated or other.is_estimated,
    )


def _nothing(client: StudioClient, pictures: Pictures, failures: list[ProviderError]) -> ProviderError:
    """Return why there is no picture, never as something to try again: the order was taken."""
    if failures:
        return for_good(failures[0])
    if pictures.error is not None:
        return for_good(client.said_wrong(pictures.error))
    return ProviderError(f"{client.name} answered without a picture, and without a reason")


async def _read(answer: bytes) -> Pictures | None:
    return read_pictures(answer) if len(answer) < ASIDE_BYTES else await asyncio.to_thread(read_pictures, answer)
