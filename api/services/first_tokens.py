"""How long models took before they said something, as workers counted it: read at most every few seconds."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from shared.domain.errors import Unavailable
from shared.domain.first_tokens import Buckets, FirstToken, first_token
from shared.ports.first_tokens import FirstTokenCounts

BELIEVED_S: Final = 5.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class FirstTokenTimes:
    """The last hour's times: by `provider/model`, and by provider."""

    of_models: Mapping[str, FirstToken] = field(default_factory=dict[str, FirstToken])
    of_providers: Mapping[str, FirstToken] = field(default_factory=dict[str, FirstToken])


class FirstTokenReader:
    """The times as one api process knows them."""

    def __init__(self, store: FirstTokenCounts) -> None:
        self._store = store
        self._times = FirstTokenTimes()
        self._read_at = -float("inf")
        self._reading = asyncio.Lock()

    async def times(self) -> FirstTokenTimes:
        """Return the times, at most a few seconds old; with the store away, none, for they are figures and no more."""
        async with self._reading:
            if time.monotonic() - self._read_at >= BELIEVED_S:
                self._times = await self._fresh()
                self._read_at = time.monotonic()
            return self._times

    async def _fresh(self) -> FirstTokenTimes:
        try:
            counts = await self._store.of_last_hour()
        except Unavailable as error:
            _log.info("first_tokens_not_read", error=str(error))
            return FirstTokenTimes()
        of_providers: dict[str, Counter[int]] = {}
        for ref, buckets in counts.items():
            of_providers.setdefault(ref.partition("/")[0], Counter()).update(buckets)
        return FirstTokenTimes(_told(counts), _told(of_providers))


def _told(counts: Mapping[str, Buckets]) -> dict[str, FirstToken]:
    told = {name: first_token(buckets) for name, buckets in counts.items()}
    return {name: times for name, times in told.items() if times is not None}
