"""Asking a studio within a job: under the limits that all workers share, and noted before it costs anything."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from shared.domain.errors import InvalidRequest
from shared.domain.models import Makes
from shared.domain.tokens import ASCII_CHARS_PER_TOKEN, IMAGE_TOKENS, tokens_of, weight_of
from shared.settings_sources import is_near
from workers.gate import Admission, Asked, NotNow
from workers.outcomes import Park
from workers.providers.base import GeneratedImage
from workers.providers.studio.base import Studio, StudioClocks
from workers.services.attempt import Attempt
from workers.services.media.fetch_url import fetch_url

MAX_IMAGE_BYTES: Final = 32 * 1024 * 1024
"""Of a picture that was made: one of 4096 × 4096 may have more than an upload."""


def studio_of(attempt: Attempt) -> Studio | None:
    """Return the studio of the job's provider, if it has one; with the key that the chat brought, where it did."""
    studio = attempt.tools.studios.get(attempt.spec.provider_name)
    if studio is None or attempt.own_key is None:
        return studio
    return studio.with_key(attempt.own_key)


def what_it_makes(attempt: Attempt) -> Makes:
    """Return what comes of asking the job's model, as far as its name tells."""
    studio = attempt.tools.studios.get(attempt.spec.provider_name)
    return "answer" if studio is None else studio.makes(attempt.spec.model_name)


def must_not_make(attempt: Attempt, other: Makes, instead: str) -> None:
    """Refuse a model that is known to make something else than the job asks for."""
    if what_it_makes(attempt) == other:
        raise InvalidRequest(f"{attempt.spec.model} makes {instead}.", field="model")


def clocks_of(attempt: Attempt) -> StudioClocks:
    """Return how long its calls may take."""
    clocks = attempt.tools.clocks
    return StudioClocks(
        connect_s=clocks.provider_connect.total_seconds(),
        images_s=clocks.provider_images.total_seconds(),
        call_s=clocks.provider_idle.total_seconds(),
    )


def begin(attempt: Attempt, prompt: str = "", *, images: int = 0) -> None:
    """Note who is asked, and about how much it is sent, for the ledger and the receipt."""
    attempt.provider = attempt.tools.providers.get(attempt.spec.provider_name)
    attempt.input_weight = weight_of(prompt) + images * IMAGE_TOKENS * ASCII_CHARS_PER_TOKEN


@asynccontextmanager
async def admitted(attempt: Attempt) -> AsyncGenerator[Admission]:
    """Hold a place at the provider for one call; nothing of it costs anything before.

    Raises:
        Park: if it is not to be asked at the moment.
    """
    asked = Asked(
        job_id=attempt.job_id,
        queue=attempt.queue,
        provider=attempt.spec.provider_name,
        model=attempt.spec.model_name,
        own_key=attempt.own_key,
        tokens=tokens_of(attempt.input_weight),
    )
    try:
        async with attempt.tools.gate.admitted(asked) as admission:
            yield admission
    except NotNow as refusal:
        raise Park(refusal.wait_s, refusal.error) from None


async def content_of(attempt: Attempt, studio: Studio, image: GeneratedImage) -> bytes:
    """Return a picture's bytes; those that are elsewhere are fetched at once, for they will not be there for long.

    Raises:
        InvalidRequest: if they cannot be had.
    """
    if image.content is not None:
        return image.content
    return await fetched(attempt, studio, image.url or "", max_bytes=MAX_IMAGE_BYTES)


async def fetched(attempt: Attempt, studio: Studio, url: str, *, max_bytes: int) -> bytes:
    """Return what a studio says that it put somewhere; near this machine only where it is near itself.

    Raises:
        InvalidRequest: if it cannot be had.
    """
    result = await fetch_url(
        url,
        max_bytes=max_bytes,
        timeout_s=attempt.tools.clocks.provider_images.total_seconds(),
        allow_private=is_near(studio.base_url),
    )
    return result.content
