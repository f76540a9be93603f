"""Asking workers for lists of models: one question per provider at a time, and none that waits for ever."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from shared.database.queries import Queries
from shared.database.statements.provider_lists import last_try
from shared.domain.errors import Unavailable
from shared.ending import end
from shared.ports.upkeep import Upkeep

FIRST_LOOK_S: Final = 0.02
LAST_LOOK_S: Final = 0.5
"""Between two looks at whether the answer is there; each is longer than the one before."""
LOOKS_GROW: Final = 1.5
GRACE: Final = timedelta(seconds=5)
"""What a worker needs beside its provider's time, to hear and to note; later its answer counts as lost."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Refresh:
    """A question under way."""

    asked_at: float
    """By time.monotonic."""
    answer: asyncio.Task[None]


class Refreshes:
    """The questions of one api process."""

    def __init__(
        self, queries: Queries, upkeep: Upkeep, *, provider_may_take: timedelta, worker_may_take: timedelta = GRACE
    ) -> None:
        self._queries = queries
        self._upkeep = upkeep
        self._lost_after_s = (provider_may_take + worker_may_take).total_seconds()
        self._under_way: dict[str, Refresh] = {}

    def ask(self, provider: str, *, tried_at: datetime | None) -> Refresh:
        """Ask for a provider's list, or join whoever asked already. `tried_at` is of the last answer that is known."""
        refresh = self._under_way.get(provider)
        if refresh is None:
            asking = asyncio.create_task(self._ask(provider, tried_at), name=f"models of {provider}")
            refresh = self._under_way[provider] = Refresh(time.monotonic(), asking)
            asking.add_done_callback(lambda asked: self._forget(provider, asked))
        return refresh

    async def close(self) -> None:
        """Wait for no answer any more."""
        await end(*(refresh.answer for refresh in self._under_way.values()))

    def _forget(self, provider: str, asked: asyncio.Task[None]) -> None:
        del self._under_way[provider]
        if not asked.cancelled() and (error := asked.exception()) is not None:
            _log.error("models_not_refreshed", provider=provider, exc_info=error)

    async def _ask(self, provider: str, tried_at: datetime | None) -> None:
        """Return when there is an answer, or when it is too late for one; an answer may be a failure, too."""
        try:
            await self._upkeep.refresh_models(provider)
            async with asyncio.timeout(self._lost_after_s):
                await self._answered(provider, tried_at)
        except TimeoutError:
            _log.warning("models_not_refreshed", provider=provider, reason="no worker answered")
        except Unavailable as error:
            _log.warning("models_not_refreshed", provider=provider, reason=str(error))

    async def _answered(self, provider: str, tried_at: datetime | None) -> None:
        pause_s = FIRST_LOOK_S
        while True:
            await asyncio.sleep(pause_s)
            rows = await self._queries.rows(last_try(provider))
            if rows and rows[0].tried_at != tried_at:
                return
            pause_s = min(pause_s * LOOKS_GROW, LAST_LOOK_S)
