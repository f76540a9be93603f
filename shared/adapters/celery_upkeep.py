"""Upkeep as Celery tasks on Redis, sent without blocking the event loop."""

from typing import Final

from celery import Celery
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.adapters.celery_message import envelope_for, message_for
from shared.domain.errors import Unavailable
from shared.domain.jobs import Queue
from shared.domain.models import REFRESH_MODELS

EXPIRES_S: Final = 30.0
"""What no worker heard within this is dropped: a queue without workers must not fill up with it."""


class CeleryUpkeep:
    """`Upkeep` for a Celery whose broker is the Redis of `client`, with `prefix` as its `global_keyprefix`."""

    def __init__(self, celery_app: Celery, client: Redis, prefix: str) -> None:
        self._celery = celery_app
        self._client = client
        self._prefix = prefix

    async def refresh_models(self, provider: str) -> None:
        """See `Upkeep`."""
        message = message_for(self._celery, REFRESH_MODELS, [provider], expires_s=EXPIRES_S)
        try:
            key = f"{self._prefix}{Queue.MEDIA.value}"
            await self._client.lpush(key, envelope_for(message, Queue.MEDIA))  # pyright: ignore[reportGeneralTypeIssues]
        except (RedisError, OSError) as error:
            raise Unavailable("the broker cannot be reached at the moment") from error
