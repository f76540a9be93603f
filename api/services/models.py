"""What can be asked of whom: the providers' lists of models as workers last heard them, and what a model's name means.

No provider is ever called from here. A list that is too old is asked for, and answered as it is meanwhile.
"""

import asyncio
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from api.services.refreshes import Refresh, Refreshes
from shared.database.queries import AnyRow, Queries
from shared.database.statements.provider_lists import every_list
from shared.domain.errors import InvalidRequest
from shared.domain.models import MODEL_PATTERN, NOTHING_KNOWN, Abilities, ListedModel, in_common
from shared.model_facts import abilities_of
from shared.providers_known import DEMO, about

BELIEVED_S: Final = 5.0
"""How long this process believes what it read: a bare name then costs no query."""
PATIENCE_S: Final = 3.0
"""How long a caller waits for a list there is none of yet."""
RETRY_S: Final = 60.0
"""How long after a failure a list is asked for again, where it would be anyway."""
NEVER: Final = float("inf")


@dataclass(frozen=True)
class KnownModel:
    """A model that can be asked; `id` is its provider's name for it, `name` what people call it."""

    provider: str
    id: str
    name: str
    abilities: Abilities
    aliases: tuple[str, ...] = ()

    @property
    def ref(self) -> str:
        """How a job names it: `provider/model`."""
        return f"{self.provider}/{self.id}"

    @property
    def refs(self) -> tuple[str, ...]:
        """Every way a job may name it."""
        return (self.ref, *(f"{self.provider}/{alias}" for alias in self.aliases))

    @property
    def context_length(self) -> int | None:
        """In tokens, where it is known."""
        return self.abilities.context_length


@dataclass(frozen=True)
class KnownModels:
    """One provider's models. Without `listed_at` they are not its own list, but what is known of it anyway."""

    provider: str
    models: tuple[KnownModel, ...]
    listed_at: datetime | None = None
    tried_at: datetime | None = None
    error: str | None = None
    """Why the list could not be had when it was last asked for."""
    listed_s_ago: float = NEVER
    tried_s_ago: float = NEVER
    abilities: Abilities = NOTHING_KNOWN
    """What holds for each of its models."""
    ids: frozenset[str] = field(default=frozenset(), repr=False)
    """With aliases."""


@dataclass(frozen=True)
class ProviderFacts:
    """A configured provider; `id` is the part of a model's reference before the slash."""

    id: str
    name: str
    description: str


class ModelLists:
    """The lists as one api process knows them."""

    def __init__(
        self,
        queries: Queries,
        refreshes: Refreshes,
        *,
        providers: Sequence[str],
        default_model: str,
        cached_for: timedelta,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._queries = queries
        self._providers = tuple(sorted(providers, key=lambda name: (name == DEMO, name)))
        self._default_model = default_model
        self._default_provider = default_model.partition("/")[0]
        self._cached_for_s = cached_for.total_seconds()
        self._patience_s = patience_s
        self._refreshes = refreshes
        self._known = {name: _static(name) for name in self._providers}
        self._read_at = -NEVER
        self._reading = asyncio.Lock()

    def providers(self) -> list[ProviderFacts]:
        """Return the configured providers by id, and `demo` last: clients that take the first get a model."""
        facts = map(about, self._providers)
        return [ProviderFacts(known.name, known.title, known.description) for known in facts]

    async def all(self, provider: str | None = None) -> list[KnownModel]:
        """Return every model, or those of one provider; empty if that is not configured. See `lists`."""
        return [model for known in await self.lists(provider) for model in known.models]

    async def lists(self, provider: str | None = None) -> list[KnownModels]:
        """Return the list of each configured provider, or of one.

        A list older than `cached_for` is asked for. Only where there is none yet, or where none is to be
        cached, the answer is waited for, a few seconds at most.

        Raises:
            Unavailable: if PostgreSQL is away.
        """
        names = [name for name in self._providers if provider in (None, name)]
        await self._read(believed_s=BELIEVED_S if self._cached_for_s else 0)
        awaited = [
            refresh
            for name in names
            if (refresh := self._refreshed(name, self._cached_for_s)) and self._is_awaited(self._known[name])
        ]
        if await self._wait(awaited):
            await self._read(believed_s=0)
        return [self._known[name] for name in names]

    async def glance(self) -> dict[str, KnownModels]:
        """Return the list of each configured provider as it is known; a list that is too old is asked for behind.

        Raises:
            Unavailable: if PostgreSQL is away.
        """
        await self._read(believed_s=BELIEVED_S)
        for name in self._providers:
            self._refreshed(name, max(self._cached_for_s, RETRY_S))
        return dict(self._known)

    async def resolve(self, name: str | None) -> str:
        """Return the `provider/model` that a name means; `None` and an empty one mean the server's default.

        A name that does not begin with a configured provider is the one of the model at a provider that lists it: the
        default model's provider first, then by name; else at the default model's. Nothing is waited for but, at times,
        a look at PostgreSQL.

        Raises:
            InvalidRequest: if no model can have this name.
            Unavailable: if PostgreSQL is away.
        """
        if not name:
            return self._default_model
        provider, slash, _ = name.partition("/")
        if not (slash and provider in self._providers):
            name = f"{await self._provider_listing(name)}/{name}"
        if not re.fullmatch(MODEL_PATTERN, name):
            raise InvalidRequest("is no model's name: give provider/model, or a model's name alone", field="model")
        return name

    async def _provider_listing(self, model: str) -> str:
        listing = {name for name, known in (await self.glance()).items() if model in known.ids}
        if self._default_provider in listing:
            return self._default_provider
        return min(listing, default=self._default_provider)

    async def _read(self, *, believed_s: float) -> None:
        """Look at what workers wrote, unless somebody did since `believed_s` before now."""
        now = time.monotonic()
        async with self._reading:
            if self._read_at >= now - believed_s:
                return
            began_at = time.monotonic()
            rows = await self._queries.rows(every_list())
            for row in rows:
                if row.provider in self._known and about(row.provider).has_list:
                    self._known[row.provider] = _from_row(row, self._known[row.provider])
            self._read_at = began_at

    def _refreshed(self, name: str, cached_for_s: float) -> Refresh | None:
        """Ask for a list that is too old; return the question if there is one under way."""
        known = self._known[name]
        since_read_s = time.monotonic() - self._read_at
        is_old = known.listed_s_ago + since_read_s >= cached_for_s
        was_tried = known.tried_s_ago + since_read_s < min(cached_for_s, RETRY_S)
        if not about(name).has_list or not is_old or was_tried:
            return None
        return self._refreshes.ask(name, tried_at=known.tried_at)

    def _is_awaited(self, known: KnownModels) -> bool:
        return known.listed_at is None or not self._cached_for_s

    async def _wait(self, refreshes: Sequence[Refresh]) -> bool:
        """Wait for answers, but for none longer than since it was asked for; say whether that was done at all."""
        now = time.monotonic()
        left_s = max((refresh.asked_at + self._patience_s - now for refresh in refreshes), default=0)
        if left_s <= 0:
            return False
        await asyncio.wait([refresh.answer for refresh in refreshes], timeout=left_s)
        return True


def _static(provider: str) -> KnownModels:
    return _with_models(KnownModels(provider, ()), [ListedModel.named(model) for model in about(provider).models])


def _from_row(row: AnyRow, before: KnownModels) -> KnownModels:
    """Return what a row says; the models are looked at only if they are new."""
    fresh = KnownModels(
        row.provider,
        before.models,
        listed_at=row.listed_at,
        tried_at=row.tried_at,
        error=row.error,
        abilities=before.abilities,
        listed_s_ago=NEVER if row.listed_s_ago is None else max(float(row.listed_s_ago), 0),
        tried_s_ago=NEVER if row.tried_s_ago is None else max(float(row.tried_s_ago), 0),
        ids=before.ids,
    )
    if row.listed_at in (None, before.listed_at):
        return fresh
    return _with_models(fresh, msgspec.convert(row.models, list[ListedModel]))


def _with_models(known: KnownModels, listed: Iterable[ListedModel]) -> KnownModels:
    provider = known.provider
    models = tuple(
        KnownModel(provider, one.id, one.name, abilities_of(provider, one.id, one.abilities), one.aliases)
        for one in listed
    )
    abilities = in_common([model.abilities for model in models]) if models else abilities_of(provider, "")
    ids = frozenset(name for model in models for name in (model.id, *model.aliases))
    return replace(known, models=models, abilities=abilities, ids=ids)
