"""Notices a consumer that has gone deaf: bells in the broker, free slots here, and nothing is heard.

Reported of Celery on Redis again and again (celery/celery#8030, #8091, #10205): after a broken connection a worker
stays alive and never consumes again. So liveness is judged by progress.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import Enum, auto
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.domain.jobs import Queue
from workers.pool import TaskPool

LOOKS: Final = 8
"""Looks at the queues per patience; bells must have been there at every one of them."""

_log = structlog.get_logger(__name__)


class Hearing(Enum):
    """How well the consumer hears."""

    WELL = auto()
    DEAF = auto()


class Deafness:
    """Judges by successive looks whether bells have gone unheard for too long."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since: float | None = None

    def judge(self, *, bells: int, free_slots: int, heard_at: float, now: float) -> Hearing:
        """Take a look into account; after DEAF the patience begins anew."""
        if not bells or free_slots <= 0:
            self._since = None
            return Hearing.WELL
        self._since = max(self._since or now, heard_at)
        if now - self._since < self._patience_s:
            return Hearing.WELL
        self._since = now
        return Hearing.DEAF


async def watch(
    pool: TaskPool,
    redis: Redis,
    *,
    prefix: str,
    queues: Sequence[Queue],
    patience: timedelta,
    reconnect: Callable[[], None],
    give_up: Callable[[], None],
) -> None:
    """Look until cancelled. A deaf consumer is made to reconnect; if that does not help, `give_up` is called once."""
    deafness = Deafness(patience.total_seconds())
    reconnected_at: float | None = None
    while True:
        await asyncio.sleep(patience.total_seconds() / LOOKS)
        bells = await _bells(redis, [f"{prefix}{queue.value}" for queue in queues])
        now = time.monotonic()
        if reconnected_at is not None and pool.taken_at > reconnected_at:
            reconnected_at = None  # it hears again
        if deafness.judge(bells=bells, free_slots=pool.free_slots, heard_at=pool.heard_at, now=now) is Hearing.WELL:
            continue
        if reconnected_at is not None:
            _log.critical("consumer_is_deaf", bells=bells, action="the process gives its jobs back and exits")
            give_up()
            return
        _log.error("consumer_is_deaf", bells=bells, action="the consumer reconnects")
        reconnected_at = now
        reconnect()


async def _bells(redis: Redis, keys: Sequence[str]) -> int:
    """Return how many bells wait; none if the broker is away, which is not the consumer's fault."""
    try:
        return sum([int(await redis.llen(key)) for key in keys])
    except (RedisError, OSError):
        return 0
