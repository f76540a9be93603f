"""Plays the worker that hears wishes for lists of models: the real work, in this process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from shared.database.engine import create_engine
from shared.database.queries import Queries
from shared.settings import Settings
from workers.providers.table import build_providers
from workers.services.refresh_models import refresh_models


class InProcess:
    """`Upkeep` whose wishes come true beside the test, unless the test wants them lost."""

    def __init__(self, settings: Settings, queries: Queries) -> None:
        self.asked: list[str] = []
        """The providers, in the order they were asked for."""
        self.is_heard = True
        self._queries = queries
        self._providers = build_providers(settings.providers)
        self._working: set[asyncio.Task[None]] = set()

    async def refresh_models(self, provider: str) -> None:
        """See `Upkeep`."""
        self.asked.append(provider)
        if self.is_heard:
            task = asyncio.create_task(self.fetch(provider))
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    async def fetch(self, provider: str, *, within: timedelta = timedelta(seconds=0.5)) -> None:
        """Do what a worker does."""
        await refresh_models(provider, providers=self._providers, queries=self._queries, within=within)

    async def close(self) -> None:
        """Let go of everything."""
        await asyncio.gather(*self._working)
        for provider in self._providers.values():
            await provider.close()


@asynccontextmanager
async def upkeep_of(settings: Settings) -> AsyncGenerator[tuple[InProcess, Queries]]:
    """An upkeep, and the queries it works with."""
    engine = create_engine(settings.database)
    queries = Queries(engine)
    upkeep = InProcess(settings, queries)
    yield upkeep, queries
    await upkeep.close()
    await engine.dispose()
