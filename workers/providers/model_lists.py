"""Lists of models on the wire: from what a provider answers to what can be asked of it. Calls nobody, and is tolerant.

Every provider adds members of its own, and some lack those of OpenAI; what cannot be used is left out, not refused.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from shared.domain.errors import ProviderError, ProviderTimeout
from shared.domain.models import ListedModel
from shared.providers_known import about
from workers.providers.refusal import is_object

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""OpenRouter's list, the longest by far, has 1 MB."""
MAX_MODELS: Final = 2000
MAX_ID_CHARS: Final = 200
"""As long as a model's reference may be."""
MAX_NAME_CHARS: Final = 200
MAX_CONTEXT_TOKENS: Final = 2**31 - 1
_LISTS: Final = ("data", "models")
_IDS: Final = ("id", "name", "model")
_LENGTHS: Final = (
    *("context_length", "context_window", "max_context_length", "max_model_len"),  # OpenRouter, Groq, Mistral, vLLM
    *("inputTokenLimit", "n_ctx_train"),  # Gemini, llama.cpp (in `meta`)
)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """How a provider lists its models."""

    path: str = "/models"
    prefix: str = ""
    """Stands before each id, and is no part of the name a model is called by."""
    hides: tuple[str, ...] = ()
    """Parts of the ids of those that cannot chat. They can be called all the same."""


USUAL: Final = Listing()


async def whole(body: AsyncIterator[bytes]) -> bytes:
    """Read an answer, and no more of one that is too long than `read_list` needs to see that."""
    content = bytearray()
    async for chunk in body:
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            break
    return bytes(content)


def read_list(content: bytes, listing: Listing, *, provider: str) -> list[ListedModel]:
    """Return the models that an answer lists, in its order, each once.

    Raises:
        ProviderError: if it is no list of models, or too long to be one.
    """
    if len(content) > MAX_BODY_BYTES:
        raise ProviderError(f"{provider} sent a list of models of more than {MAX_BODY_BYTES} bytes")
    try:
        answer: object = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderError(f"{provider} did not answer with a list of models: is its base URL right?") from error
    entries = _entries(answer)
    if entries is None:
        raise ProviderError(f"{provider} did not answer with a list of models: is its base URL right?")
    models = {model.id: model for model in _models(entries, listing)}
    return list(models.values())[:MAX_MODELS]


def not_in_time(provider: str, timeout_s: float) -> ProviderTimeout:
    """Return the error of a provider that did not list its models in time."""
    return ProviderTimeout(f"{provider} did not list its models within {timeout_s:g} s")


def static_list(provider: str) -> list[ListedModel]:
    """Return what is known of a provider that has no list."""
    return [ListedModel(model, model) for model in about(provider).models]


def _entries(answer: object) -> list[object] | None:
    """Find the list: the whole answer, or under a name. Ollama says null where there are none."""
    if is_object(answer):
        name = next((name for name in _LISTS if name in answer), None)
        if name is None:
            return None
        answer = cast("object", answer[name]) or []
    return cast("list[object]", answer) if isinstance(answer, list) else None


def _models(entries: Iterable[object], listing: Listing) -> Iterator[ListedModel]:
    for entry in entries:
        about_it: Mapping[str, Any] = entry if is_object(entry) else {"id": entry}
        called = next((about_it[name] for name in _IDS if isinstance(about_it.get(name), str)), "")
        model_id = str(called).removeprefix(listing.prefix)
        if _can_be_named(model_id) and _can_chat(model_id, about_it, listing):
            yield ListedModel(model_id, _shown(about_it) or model_id, _context_length(about_it))


def _can_be_named(model_id: str) -> bool:
    return 0 < len(model_id) <= MAX_ID_CHARS and model_id.isprintable() and not any(map(str.isspace, model_id))


def _can_chat(model_id: str, entry: Mapping[str, Any], listing: Listing) -> bool:
    abilities = entry.get("capabilities")  # Mistral
    is_other = is_object(abilities) and abilities.get("completion_chat") is False
    is_off = entry.get("active") is False  # Groq
    return not is_other and not is_off and not any(part in model_id.lower() for part in listing.hides)


def _shown(entry: Mapping[str, Any]) -> str:
    """Return what people call the model, where the provider says it beside the id."""
    said = entry.get("display_name") or entry.get("displayName") or ("id" in entry and entry.get("name")) or ""
    text = "".join(char if char.isprintable() else " " for char in said) if isinstance(said, str) else ""
    return " ".join(text.split())[:MAX_NAME_CHARS]


def _context_length(entry: Mapping[str, Any]) -> int | None:
    more = entry.get("meta")
    places = (entry, more) if is_object(more) else (entry,)
    values = (place.get(name) for place in places for name in _LENGTHS)
    return next((value for value in values if type(value) is int and 0 < value <= MAX_CONTEXT_TOKENS), None)
