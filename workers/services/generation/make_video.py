"""The kind `video`: a film is ordered, looked at again and again without holding a slot, and stored when it is there.

An attempt does one of these steps; what the one before did is in the order's row.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeAlias, assert_never

import msgspec
import structlog

from shared.domain.chats import MEDIA_URL
from shared.domain.commands import VideoInput
from shared.domain.errors import (
    DeadlineExceeded,
    InvalidRequest,
    OutcomeUnknown,
    PayloadTooLarge,
    ProviderError,
    ProviderUnreachable,
    SmartSipError,
)
from shared.domain.events import Progress, Text, VideoStored
from shared.domain.jobs import Kind
from workers.outcomes import Park
from workers.providers.base import MESSAGES_FIELD, PromptImage, PromptMessage
from workers.providers.studio.base import Ordered, OrderState, Studio, VideoAsked
from workers.services.attempt import Attempt
from workers.services.generation.orders import Order, dispatch, heard, named, not_taken, order_of
from workers.services.generation.studio_calls import admitted, begin, clocks_of, fetched, must_not_make, studio_of
from workers.services.media.load_image import load_image
from workers.services.media.store_video import store_video

MAX_VIDEO_BYTES: Final = 256 * 1024 * 1024
LONG: Final = timedelta(minutes=2)
"""An order that takes longer is looked at less often."""

_log = structlog.get_logger(__name__)
_placing: Final = set[asyncio.Task[None]]()

Shown: TypeAlias = tuple[str, tuple[PromptImage, ...]]
"""The words and images that a film is made after."""


async def make_video(attempt: Attempt) -> str:
    """Have the film made and report it; return why it ended.

    Raises:
        Park: as long as it is not there.
        InvalidRequest: if the model makes none, or an image it is to be made after cannot be had.
        ProviderError: if there will be none.
        OutcomeUnknown: if nobody knows whether it was ordered.
    """
    wish = attempt.spec.input
    if not isinstance(wish, VideoInput):
        raise TypeError("a video job carries a wish for a film")
    must_not_make(attempt, "images", "pictures: ask for one with a job of the kind image")
    studio = studio_of(attempt)
    if studio is None:
        raise InvalidRequest(f"{attempt.spec.provider_name} makes no films here.", field="model")

    async def shown() -> Shown:
        images = await asyncio.gather(*(load_image(attempt, image) for image in wish.images))
        return wish.prompt, tuple(images)

    asked = VideoAsked(
        model=attempt.spec.model_name,
        prompt="",
        aspect_ratio=wish.aspect_ratio,
        resolution=wish.resolution,
        duration_s=wish.duration_s,
        seed=attempt.spec.parameters.seed,
        options=attempt.spec.parameters.options,
    )
    return await _step(attempt, studio, asked, shown)


async def video_for_chat(attempt: Attempt, studio: Studio, message: Callable[[], Awaitable[PromptMessage]]) -> str:
    """Answer a message, which is loaded only to order, with a film after its words and images.

    Raises:
        Park: as long as it is not there; and as `make_video`.
    """

    async def shown() -> Shown:
        said = await message()
        images = tuple(part for part in said.parts if isinstance(part, PromptImage))
        if not said.text.strip() and not images:
            raise InvalidRequest("This model makes films: say of what.", field=MESSAGES_FIELD)
        return said.text, images

    parameters = attempt.spec.parameters
    asked = VideoAsked(model=attempt.spec.model_name, prompt="", seed=parameters.seed, options=parameters.options)
    return await _step(attempt, studio, asked, shown)


async def _step(attempt: Attempt, studio: Studio, asked: VideoAsked, shown: Callable[[], Awaitable[Shown]]) -> str:
    order = await order_of(attempt)
    begin(attempt)
    for note in studio.remarks(asked):
        attempt.emit(note)
    if order is None:
        prompt, images = await shown()
        begin(attempt, prompt, images=len(images))
        attempt.emit(Progress(OrderState.QUEUED))
        await _place(attempt, studio, msgspec.structs.replace(asked, prompt=prompt, images=images))
        raise _later(attempt)
    if order.order_id is None:
        raise _unnamed(attempt, studio, order)
    return await _look(attempt, studio, order, order.order_id)


async def _place(attempt: Attempt, studio: Studio, asked: VideoAsked) -> None:
    """Order, and note what the order is called: to its end, also where the job is interrupted meanwhile.

    What is ordered and has no name can be neither picked up nor cancelled.
    """
    async with admitted(attempt) as admission:
        await dispatch(attempt)
        placing = asyncio.create_task(_placed(attempt, studio, asked))
        _placing.add(placing)
        placing.add_done_callback(_let_go)
        await asyncio.shield(placing)
        admission.is_answered = True


async def _placed(attempt: Attempt, studio: Studio, asked: VideoAsked) -> None:
    try:
        order_id = await studio.order_video(asked, clocks_of(attempt))
    except OutcomeUnknown:
        raise
    except SmartSipError:
        await not_taken(attempt)
        raise
    await named(attempt, order_id)


def _let_go(placing: asyncio.Task[None]) -> None:
    _placing.discard(placing)
    if not placing.cancelled() and (error := placing.exception()) is not None:
        _log.info("order_not_placed", error=str(error))


def _unnamed(attempt: Attempt, studio: Studio, order: Order) -> Exception:
    """Return what to do about an order without a name: one that is on its way may yet get it."""
    clocks = clocks_of(attempt)
    on_its_way_s = clocks.connect_s + clocks.call_s - order.age.total_seconds()
    if on_its_way_s <= 0:
        return order.lost(studio.name)
    return Park(min(on_its_way_s, attempt.tools.clocks.order_look.total_seconds()), order.lost(studio.name))


async def _look(attempt: Attempt, studio: Studio, order: Order, order_id: str) -> str:
    try:
        ordered = await studio.look_at(order_id, clocks_of(attempt))
    except ProviderError as error:
        if not error.retryable:
            raise
        attempt.emit(Progress(_told(order.state)))
        raise _later(attempt, order, at_least_s=error.retry_after_s) from error
    if ordered.state != order.state:
        await heard(attempt, ordered.state)
    match ordered.state:
        case OrderState.QUEUED | OrderState.RUNNING:
            attempt.emit(Progress(ordered.state, ordered.fraction))
            raise _later(attempt, order)
        case OrderState.FAILED:
            if ordered.usage is not None:
                attempt.emit(ordered.usage)
            raise ordered.error or ProviderError(f"{studio.name} could not make the film, and does not say why")
        case OrderState.SUCCEEDED:
            return await _keep(attempt, studio, ordered)
        case _:
            assert_never(ordered.state)


async def _keep(attempt: Attempt, studio: Studio, ordered: Ordered) -> str:
    """Store the film; another attempt can do it again, as long as the provider has it."""
    if ordered.url is None:
        raise ProviderError(f"{studio.name} says that the film is made, and not where it is")
    try:
        content = await fetched(attempt, studio, ordered.url, max_bytes=MAX_VIDEO_BYTES)
        row = await store_video(attempt, content)
    except PayloadTooLarge as error:
        raise ProviderError(f"The film is larger than is kept: {error}") from error
    except InvalidRequest as error:
        raise ProviderUnreachable(f"The film is made, and could not be fetched: {error}") from error
    attempt.emit(VideoStored(str(row.id), row.media_type, row.size_bytes))
    if attempt.spec.kind is Kind.CHAT:
        attempt.emit(Text(f"Video generated: ![video]({MEDIA_URL.format(media_id=row.id)})"))
    if ordered.usage is not None:
        attempt.emit(ordered.usage)
    return "stop"


def _told(state: str) -> str:
    return state if state in tuple(OrderState) else OrderState.QUEUED


def _later(attempt: Attempt, order: Order | None = None, *, at_least_s: float | None = None) -> Park:
    look = attempt.tools.clocks.order_look
    pause = look if order is None or order.age < LONG else 3 * look
    error = DeadlineExceeded("The film was ordered, and was not there in time.")
    return Park(max(pause.total_seconds(), at_least_s or 0.0), error)
