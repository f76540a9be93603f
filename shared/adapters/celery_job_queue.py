"""Doorbells as Celery tasks, sent without blocking the event loop.

On Redis, Celery makes its own message and we put it where kombu's Redis transport would: one pipeline of `LPUSH` for
all bells of a call, 0.2 ms instead of 0.6 ms through a thread. Any other broker goes through the thread.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from celery import Celery
from kombu import Producer
from kombu.exceptions import OperationalError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.adapters.celery_message import envelope_for, message_for
from shared.domain.errors import Unavailable
from shared.domain.jobs import RUN_JOB
from shared.ports.job_queue import Bell

PUBLISH_RETRIES: Final = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.2}


class CeleryJobQueue:
    """`JobQueue` for a Celery whose broker is the Redis of `client`, with `prefix` as its `global_keyprefix`."""

    def __init__(self, celery_app: Celery, client: Redis, prefix: str) -> None:
        self._celery = celery_app
        self._client = client
        self._prefix = prefix

    async def ring(self, bells: Sequence[Bell]) -> None:
        """Send the doorbells in one round trip.

        Raises:
            Unavailable: if Redis cannot be reached; some of the bells may have been sent.
        """
        messages: dict[str, list[bytes]] = {}
        for bell in bells:
            messages.setdefault(f"{self._prefix}{bell.queue.value}", []).append(
                envelope_for(_message(self._celery, bell), bell.queue)
            )
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for key, values in messages.items():
                    pipeline.lpush(key, *values)
                await pipeline.execute()
        except (RedisError, OSError) as error:
            raise Unavailable("the broker cannot be reached at the moment") from error


class ThreadedJobQueue:
    """`JobQueue` for any broker that Celery can use: kombu's producer, which blocks, in a thread."""

    def __init__(self, celery_app: Celery) -> None:
        self._celery = celery_app

    async def ring(self, bells: Sequence[Bell]) -> None:
        """Send the doorbells one after the other.

        Raises:
            Unavailable: if the broker cannot be reached; some of the bells may have been sent.
        """
        try:
            await asyncio.to_thread(self._publish, list(bells))
        except (OperationalError, OSError) as error:
            raise Unavailable("the broker cannot be reached at the moment") from error

    def _publish(self, bells: Sequence[Bell]) -> None:
        pool: Any = self._celery.producer_pool  # celery-types leaves it untyped
        with pool.acquire(block=True) as producer:
            for bell in bells:
                self._publish_one(producer, bell)

    def _publish_one(self, producer: Producer, bell: Bell) -> None:
        message = _message(self._celery, bell)
        producer.publish(
            message.body,
            exchange="",
            routing_key=bell.queue.value,
            headers=message.headers,
            serializer="json",
            retry=True,
            retry_policy=PUBLISH_RETRIES,
            **message.properties,
        )


def _message(celery_app: Celery, bell: Bell) -> Any:  # Celery's task_message, which has no stub
    return message_for(celery_app, RUN_JOB, [str(bell.job_id), bell.solo])
