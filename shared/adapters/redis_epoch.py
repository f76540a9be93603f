"""The broker's epoch on Redis: one key, gone after a flush, and naming another server after a restart or failover."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.domain.errors import Unavailable


class RedisEpoch:
    """`shared.ports.broker_epoch.BrokerEpoch` for a broker whose messages are in Redis."""

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._key = f"{prefix}epoch"

    async def has_forgotten(self) -> bool:
        """Compare the mark with the server that runs now: a restarted one may have lost its last second of writes."""
        try:
            mark = await self._client.get(self._key)
            return mark is None or _text(mark) != await self._run_id()
        except (RedisError, OSError) as error:
            raise Unavailable("Redis cannot be reached at the moment") from error

    async def begin(self) -> None:
        """Mark the server that runs now."""
        try:
            await self._client.set(self._key, await self._run_id())
        except (RedisError, OSError) as error:
            raise Unavailable("Redis cannot be reached at the moment") from error

    async def _run_id(self) -> str:
        """Return the id that a server takes when it starts, or nothing where a hosted one does not say."""
        info = await self._client.info("server")  # pyright: ignore[reportUnknownMemberType]
        return str(info.get("run_id", ""))


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
