"""The kind `image`: pictures, by a studio's own call or drawn within an answer; each is stored as soon as it is there.

Also what becomes of a chat whose model makes pictures and talks of nothing.
"""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final

import msgspec
import structlog

from shared.domain.commands import ImageInput
from shared.domain.errors import (
    BadOutput,
    InvalidRequest,
    OutcomeUnknown,
    ProviderError,
    ProviderTimeout,
    ProviderUnreachable,
    SmartSipError,
    StreamIncomplete,
    Unavailable,
)
from shared.domain.events import Event, ImageStored, Noted, Text, Usage
from workers.outcomes import Park
from workers.providers.base import MESSAGES_FIELD, GeneratedImage, Prompt, PromptImage, PromptMessage, PromptText
from workers.providers.studio.base import IMAGE_FAILED, ImagesAsked, Studio
from workers.providers.studio.pictures import added
from workers.services.answers.answer_text import AnswerText
from workers.services.answers.stream_answer import stream_answer
from workers.services.attempt import Attempt
from workers.services.generation.orders import dispatch, not_taken, order_of
from workers.services.generation.studio_calls import admitted, begin, clocks_of, content_of, must_not_make, studio_of
from workers.services.media.load_image import load_image

TRIES: Final = 5
"""How often a picture that was paid for is stored, before it is lost."""
MAX_SAID_CHARS: Final = 300
UNCLEAR: Final = (ProviderTimeout, ProviderUnreachable, StreamIncomplete, Unavailable)
"""After these an answer may have been made, and paid for; every other error is the answer."""
RATIOS: Final = frozenset({"1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"})
_WIDTH_AND_HEIGHT: Final = re.compile(r"([0-9]{2,5})x([0-9]{2,5})", re.IGNORECASE)
_NAMED_SIZE: Final = re.compile(r"[0-9.]{1,3}K", re.IGNORECASE)

_log = structlog.get_logger(__name__)


async def make_images(attempt: Attempt) -> str:
    """Have the pictures made and report them; return why it ended.

    Raises:
        Park: if the provider is not to be asked at the moment.
        InvalidRequest: if the model makes none, or an image it is to be made after cannot be had.
        ProviderError: if there is none.
        OutcomeUnknown: if nobody knows: then it is not asked again.
    """
    wish = attempt.spec.input
    if not isinstance(wish, ImageInput):
        raise TypeError("an image job carries a wish for pictures")
    must_not_make(attempt, "video", "films: ask for one with a job of the kind video")
    await _must_be_new(attempt)
    images = tuple(await asyncio.gather(*(load_image(attempt, image) for image in wish.images)))
    studio = studio_of(attempt)
    if studio is None:
        return await _drawn_in_answers(attempt, wish, images)
    asked = ImagesAsked(
        model=attempt.spec.model_name,
        prompt=wish.prompt,
        images=images,
        n=wish.n,
        size=wish.size,
        aspect_ratio=wish.aspect_ratio,
        seed=attempt.spec.parameters.seed,
        options=attempt.spec.parameters.options,
    )
    return await _made_by(attempt, studio, asked)


async def images_for_chat(attempt: Attempt, studio: Studio, message: PromptMessage) -> str:
    """Answer a message with pictures made after its words and images; raises as `make_images`."""
    await _must_be_new(attempt)
    if not message.text.strip():
        raise InvalidRequest("This model makes pictures: say of what.", field=MESSAGES_FIELD)
    asked = ImagesAsked(
        model=attempt.spec.model_name,
        prompt=message.text,
        images=tuple(part for part in message.parts if isinstance(part, PromptImage)),
        seed=attempt.spec.parameters.seed,
        options=attempt.spec.parameters.options,
    )
    return await _made_by(attempt, studio, asked)


class _Collected:
    """Passes on what is reported; counts the pictures, adds up what they cost, and keeps words to itself if told to."""

    def __init__(self, emit: Callable[[Event], None], *, takes_words: bool = False) -> None:
        self._emit = emit
        self._takes_words = takes_words
        self.images = 0
        self.words = ""
        self.usage: Usage | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case Usage():
                self.usage = event if self.usage is None else added(self.usage, event)
            case Text() if self._takes_words:
                self.words += event.text
            case ImageStored():
                self.images += 1
                self._emit(event)
            case _:
                self._emit(event)

    def tell_usage(self) -> None:
        if self.usage is not None:
            self._emit(self.usage)
            self.usage = None


async def _must_be_new(attempt: Attempt) -> None:
    order = await order_of(attempt)
    if order is not None:
        raise order.lost(attempt.spec.provider_name)


async def _made_by(attempt: Attempt, studio: Studio, asked: ImagesAsked) -> str:
    collected = attempt.emit = _Collected(attempt.emit)
    begin(attempt, asked.prompt, images=len(asked.images))
    for note in studio.remarks(asked):
        attempt.emit(note)
    async with admitted(attempt) as admission:
        await dispatch(attempt)
        try:
            await _report(attempt, studio, asked, collected)
        except OutcomeUnknown:
            raise
        except ProviderError:
            await not_taken(attempt)
            raise
        admission.is_answered = True
        used = collected.usage
        admission.used_tokens = 0 if used is None else used.input_tokens + used.output_tokens
    return _ended(attempt, collected, None)


async def _report(attempt: Attempt, studio: Studio, asked: ImagesAsked, collected: _Collected) -> None:
    answer = AnswerText(attempt)
    # closing is explicit: a generator that is merely dropped would keep the socket until it is collected
    async with aclosing(studio.make_images(asked, clocks_of(attempt))) as made:
        async for piece in made:
            if isinstance(piece, GeneratedImage):
                await _keep(attempt, studio, answer, piece)
            else:
                attempt.emit(piece)


async def _keep(attempt: Attempt, studio: Studio, answer: AnswerText, image: GeneratedImage) -> None:
    """Store a picture, patiently: it was paid for. What it says of itself is not believed."""
    try:
        content = await _patiently(attempt, lambda: content_of(attempt, studio, image), InvalidRequest)
        await _patiently(attempt, lambda: answer.show(GeneratedImage(content=content)), Unavailable)
    except SmartSipError as error:
        _log.warning("picture_lost", code=error.code, detail=error.detail)
        attempt.emit(Noted(IMAGE_FAILED, f"A picture was made and could not be kept: {error}"))


async def _patiently(
    attempt: Attempt, work: Callable[[], Awaitable[Any]], passing: type[SmartSipError]
) -> Any:  # Any: what `work` returns
    pause_s = attempt.tools.clocks.retry_base.total_seconds()
    for left in reversed(range(TRIES)):
        try:
            return await work()
        except passing:
            if not left:
                raise
        await asyncio.sleep(pause_s)
        pause_s *= 2
    raise AssertionError  # the last try returned or raised


async def _drawn_in_answers(attempt: Attempt, wish: ImageInput, images: tuple[PromptImage, ...]) -> str:
    """Ask a model that draws within its answers, once for each picture."""
    collected = attempt.emit = _Collected(attempt.emit, takes_words=True)
    prompt = _prompt(attempt, wish, images)
    await dispatch(attempt)
    for _ in range(wish.n):
        try:
            await stream_answer(attempt, prompt)
        except (Park, SmartSipError) as error:
            if not collected.images:
                raise await _none(attempt, error) from error
            attempt.emit(Noted(IMAGE_FAILED, str(error)))
            break
    return _ended(attempt, collected, collected.words)


async def _none(attempt: Attempt, error: Park | SmartSipError) -> Exception:
    """Return what to say where the first answer failed: what is unclear is not asked for again."""
    if isinstance(error, UNCLEAR):
        return OutcomeUnknown(error.detail)
    await not_taken(attempt)
    return error


def _prompt(attempt: Attempt, wish: ImageInput, images: tuple[PromptImage, ...]) -> Prompt:
    """Return the wish as one message, and how the pictures are to be in the options that OpenRouter and Gemini know."""
    parameters = attempt.spec.parameters
    options = {"modalities": ["image", "text"], **parameters.options}
    config = _as_drawn(wish) | _object(options.get("image_config"))
    if config:
        options["image_config"] = config
    return Prompt(
        model=attempt.spec.model_name,
        messages=(PromptMessage("user", (PromptText(wish.prompt), *images)),),
        parameters=parameters.model_copy(update={"options": options}),
        is_order=True,
    )


def _as_drawn(wish: ImageInput) -> dict[str, str]:
    """Return how the pictures are to be, in the words of models that draw: a shape, and one of a few sizes."""
    config = {} if wish.aspect_ratio is None else {"aspect_ratio": wish.aspect_ratio}
    if wish.size is not None and _NAMED_SIZE.fullmatch(wish.size):
        return {**config, "image_size": wish.size.upper()}
    measured = _WIDTH_AND_HEIGHT.fullmatch(wish.size or "")
    if measured is None:
        return config
    width, height = int(measured[1]), int(measured[2])
    shared = math.gcd(width, height)
    ratio = f"{width // shared}:{height // shared}"
    side = max(width, height)
    config["image_size"] = "1K" if side <= 1536 else "2K" if side <= 3072 else "4K"
    return {"aspect_ratio": ratio, **config} if ratio in RATIOS else config


def _object(value: object) -> dict[str, Any]:  # JSON of the caller's own
    return msgspec.convert(value, dict[str, Any]) if isinstance(value, dict) else {}


def _ended(attempt: Attempt, collected: _Collected, words: str | None) -> str:
    """Tell what it cost, also where nothing came of it.

    Raises:
        BadOutput: if there is no picture.
    """
    collected.tell_usage()
    if collected.images:
        return "stop"
    said = " ".join((words or "").split())[:MAX_SAID_CHARS]
    raise BadOutput(f"{attempt.spec.model} made no picture that could be kept.{f' It said: {said}' if said else ''}")
