"""How long providers take before they say something, as this process saw it: noted in memory, told once a second."""

import asyncio
import time
from collections import Counter
from typing import Final

import structlog

from shared.domain.errors import Unavailable
from shared.domain.first_tokens import MINUTE_S, Noted, bucket_of
from shared.ports.first_tokens import FirstTokenCounts

TELL_EVERY_S: Final = 1.0
MAX_MODELS: Final = 64
"""How many models are counted in one minute: what is kept must stay small, whatever callers ask for."""

_log = structlog.get_logger(__name__)


class FirstTokens:
    """The counts that are not told yet. Never waits, and never fails: figures may be lost, answers may not."""

    def __init__(self) -> None:
        self._counts: Counter[Noted] = Counter()
        self._models: set[str] = set()
        self._minute = 0
        self._has_some = asyncio.Event()

    def note(self, ref: str, seconds: float) -> None:
        """Count one call of a model, as `provider/model`, and the time from then to its first fragment."""
        minute = int(time.time() // MINUTE_S)
        if minute != self._minute:
            self._minute, self._models = minute, set()
        if ref not in self._models and len(self._models) >= MAX_MODELS:
            return
        self._models.add(ref)
        self._counts[Noted(minute, ref, bucket_of(seconds))] += 1
        self._has_some.set()

    async def tell(self, store: FirstTokenCounts, *, every_s: float = TELL_EVERY_S) -> None:
        """Tell the counts for ever, all that came together at once; what cannot be told is forgotten."""
        while True:
            await self._has_some.wait()
            await asyncio.sleep(every_s)
            counts, self._counts = self._counts, Counter()
            self._has_some.clear()
            try:
                await store.add(counts)
            except Unavailable as error:
                _log.info("first_tokens_lost", calls=counts.total(), error=str(error))
