"""The state of the queues for a scrape: read at most once a second, however many scrapers there are."""

import asyncio
import time
from collections.abc import Iterable
from typing import Final

from prometheus_client.core import Metric

from api.front import Front
from api.metrics import queue_metrics, setback_metrics
from shared.database.statements.setbacks import setback_counts

BELIEVED_FOR_S: Final = 1.0


class QueueState:
    """Remembers what was read last."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self._metrics: list[Metric] = []

    async def metrics(self, front: Front) -> Iterable[Metric]:
        """Return the metrics that come from the database.

        Raises:
            Unavailable: if it is away.
        """
        async with self._lock:
            if time.monotonic() - self._read_at > BELIEVED_FOR_S:
                self._metrics = await _read(front)
                self._read_at = time.monotonic()
            return self._metrics


async def _read(front: Front) -> list[Metric]:
    depths = await front.reads.queue_depths()
    rows = await front.queries.rows(setback_counts())
    setbacks = {row.what: row.jobs for row in rows if row.what != "replayed"}
    lost_workers = next((row.workers for row in rows if row.what == "worker_lost"), 0)
    return [*queue_metrics(depths), *setback_metrics(lost_workers=lost_workers, setbacks=setbacks)]
