"""Counts of first tokens in Redis: a hash for each minute, with a field for each model and bucket."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.domain.errors import Unavailable
from shared.domain.first_tokens import MINUTE_S, MINUTES, Buckets, Noted

LIVES_S: Final = 70 * MINUTE_S
"""The hour that is read, and what clocks of machines may differ by."""


class RedisFirstTokens:
    """`shared.ports.first_tokens.FirstTokenCounts` on Redis; each call is one round trip."""

    def __init__(self, client: Redis, prefix: str, *, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._prefix = prefix
        self._now = now

    async def add(self, counts: Mapping[Noted, int]) -> None:
        """See `FirstTokenCounts`."""
        pipeline: Any = self._client.pipeline(transaction=False)  # redis-py types no pipeline
        for noted, count in counts.items():
            pipeline.hincrby(self._key(noted.minute), f"{noted.bucket} {noted.ref}", count)
        for minute in {noted.minute for noted in counts}:
            pipeline.expire(self._key(minute), LIVES_S)
        await self._executed(pipeline)

    async def of_last_hour(self) -> dict[str, Buckets]:
        """See `FirstTokenCounts`."""
        this = int(self._now() // MINUTE_S)
        pipeline: Any = self._client.pipeline(transaction=False)  # redis-py types no pipeline
        for minute in range(this - MINUTES, this + 1):
            pipeline.hgetall(self._key(minute))
        sums: defaultdict[str, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        for counted in cast("list[dict[bytes, bytes]]", await self._executed(pipeline)):
            for field, count in counted.items():
                bucket, _, ref = field.decode().partition(" ")
                sums[ref][int(bucket)] += int(count)
        return {ref: dict(buckets) for ref, buckets in sums.items()}

    def _key(self, minute: int) -> str:
        return f"{self._prefix}first_tokens:{minute}"

    async def _executed(self, pipeline: Any) -> Any:  # what redis-py answers
        try:
            return await pipeline.execute()
        except (RedisError, OSError) as error:
            raise Unavailable("Redis cannot be reached at the moment") from error
