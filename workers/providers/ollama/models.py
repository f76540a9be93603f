"""What Ollama's models can do: it lists names, and answers about each model by itself (docs/api.md, "Show Model")."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from shared.domain.errors import ProviderError
from shared.domain.models import ListedModel
from workers.providers.listed_abilities import abilities_said
from workers.providers.model_lists import MAX_BODY_BYTES
from workers.providers.refusal import is_object
from workers.providers.transport import TRANSPORT_ERRORS

AT_A_TIME: Final = 4
MAX_ASKED: Final = 200


async def with_abilities(
    models: Sequence[ListedModel], show: Callable[[str], Awaitable[bytes]], *, until: float
) -> list[ListedModel]:
    """Return models with what `show` answers about each, but for those that make nothing we could ask for.

    A model about which there is no answer until then, by the loop's clock, stays as it is.
    """
    turns = asyncio.Semaphore(AT_A_TIME)

    async def asked(model: ListedModel) -> ListedModel:
        try:
            async with asyncio.timeout_at(until), turns:
                return _with_answer(model, await show(model.id))
        except (ProviderError, *TRANSPORT_ERRORS):
            return model

    known = await asyncio.gather(*map(asked, models[:MAX_ASKED]))
    return [model for model in (*known, *models[MAX_ASKED:]) if model.abilities.makes != ()]


def _with_answer(model: ListedModel, content: bytes) -> ListedModel:
    try:
        answer: object = msgspec.json.decode(content) if len(content) <= MAX_BODY_BYTES else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return model
    return replace(model, abilities=abilities_said(answer).or_else(model.abilities)) if is_object(answer) else model
