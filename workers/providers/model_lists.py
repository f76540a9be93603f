"""Lists of models on the wire: from what a provider answers to what can be asked of it. Calls nobody, and is tolerant.

Every provider adds members of its own, and some lack those of OpenAI; what cannot be used is left out, not refused.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec
from msgspec.structs import replace

from shared.domain.errors import ProviderError, ProviderTimeout
from shared.domain.models import ListedModel
from shared.model_facts import abilities_of
from shared.providers_known import about
from workers.providers.listed_abilities import abilities_said
from workers.providers.refusal import is_object

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""OpenRouter's list, the longest by far, has 1 MB."""
MAX_MODELS: Final = 2000
MAX_ID_CHARS: Final = 200
"""As long as a model's reference may be."""
MAX_NAME_CHARS: Final = 200
MAX_TOKEN_CHARS: Final = 2000
MAX_ALIASES: Final = 20
_LISTS: Final = ("data", "models")
_IDS: Final = ("id", "name", "model")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """How a provider lists its models."""

    path: str = "/models"
    prefix: str = ""
    """Stands before each id, and is no part of the name a model is called by."""
    hides: tuple[str, ...] = ()
    """Parts of the ids of those that neither talk nor draw. They can be called all the same."""


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
    return _each_once(_models(entries, listing, provider))[:MAX_MODELS]


def next_page(content: bytes) -> str | None:
    """Return where a list goes on that `read_list` has read, where it does (Gemini's `nextPageToken`)."""
    answer: object = msgspec.json.decode(content)
    token: object = answer.get("nextPageToken") if is_object(answer) else None
    return token if isinstance(token, str) and 0 < len(token) <= MAX_TOKEN_CHARS else None


def not_in_time(provider: str, timeout_s: float) -> ProviderTimeout:
    """Return the error of a provider that did not list its models in time."""
    return ProviderTimeout(f"{provider} did not list its models within {timeout_s:g} s")


def static_list(provider: str) -> list[ListedModel]:
    """Return what is known of a provider that has no list."""
    return [ListedModel.named(model) for model in about(provider).models]


def _entries(answer: object) -> list[object] | None:
    """Find the list: the whole answer, or under a name. Ollama says null where there are none."""
    if is_object(answer):
        name = next((name for name in _LISTS if name in answer), None)
        if name is None:
            return None
        answer = cast("object", answer[name]) or []
    return cast("list[object]", answer) if isinstance(answer, list) else None


def _models(entries: Iterable[object], listing: Listing, provider: str) -> Iterator[ListedModel]:
    for entry in entries:
        about_it: Mapping[str, Any] = entry if is_object(entry) else {"id": entry}
        called = next((about_it[name] for name in _IDS if isinstance(about_it.get(name), str)), "")
        model_id = str(called).removeprefix(listing.prefix)
        if not _can_be_named(model_id) or _is_hidden(model_id, about_it, listing):
            continue
        said = abilities_said(about_it)
        if abilities_of(provider, model_id, said).makes:
            yield ListedModel(model_id, _shown(about_it) or model_id, said, _aliases(about_it))


def _each_once(models: Iterable[ListedModel]) -> list[ListedModel]:
    """Return models under the first of their names: Mistral lists every alias as a model that has the others."""
    kept: dict[str, ListedModel] = {}
    called: dict[str, str] = {}
    """Who has a name."""
    for model in models:
        same = called.get(model.id) or next((name for name in model.aliases if name in kept), None)
        if same is None:
            kept[model.id] = model
        else:
            names = dict.fromkeys((*kept[same].aliases, model.id, *model.aliases))
            kept[same] = replace(kept[same], aliases=tuple(name for name in names if name != same)[:MAX_ALIASES])
        called |= dict.fromkeys((model.id, *model.aliases), same or model.id)
    return list(kept.values())


def _can_be_named(model_id: str) -> bool:
    return 0 < len(model_id) <= MAX_ID_CHARS and model_id.isprintable() and not any(map(str.isspace, model_id))


def _is_hidden(model_id: str, entry: Mapping[str, Any], listing: Listing) -> bool:
    is_off = entry.get("active") is False  # Groq
    return is_off or any(part in model_id.lower() for part in listing.hides)


def _aliases(entry: Mapping[str, Any]) -> tuple[str, ...]:
    given = entry.get("aliases")
    names = cast("list[object]", given) if isinstance(given, list) else []
    return tuple(name for name in names[:MAX_ALIASES] if isinstance(name, str) and _can_be_named(name))


def _shown(entry: Mapping[str, Any]) -> str:
    """Return what people call the model, where the provider says it beside the id."""
    said = entry.get("display_name") or entry.get("displayName") or ("id" in entry and entry.get("name")) or ""
    text = "".join(char if char.isprintable() else " " for char in said) if isinstance(said, str) else ""
    return " ".join(text.split())[:MAX_NAME_CHARS]
