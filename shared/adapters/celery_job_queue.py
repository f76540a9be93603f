"""Doorbells as Celery tasks, sent without blocking the event loop.

On Redis, Celery makes its own message and we put it where kombu's Redis transport would: one pipeline of `LPUSH` for
all bells of a call, 0.2 ms instead of 0.6 ms through a thread. Any other broker goes through the thread.
"""

import asyncio
import base64
import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from celery import Celery
from kombu import Producer
from kombu.exceptions import OperationalError
from kombu.serialization import dumps
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.domain.errors import Unavailable
from shared.domain.jobs import RUN_JOB
from shared.ports.job_queue import Bell

PERSISTENT: Final = 2  # AMQP's delivery mode
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
            messages.setdefault(f"{self._prefix}{bell.queue.value}", []).append(_envelope(self._celery, bell))
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
    amqp: Any = celery_app.amqp  # its as_task_v2 has no stub either
    return amqp.as_task_v2(str(uuid.uuid4()), RUN_JOB, args=[str(bell.job_id), bell.solo], ignore_result=True)


def _envelope(celery_app: Celery, bell: Bell) -> bytes:
    """Wrap Celery's message as kombu's virtual transports do (`kombu.transport.virtual.Channel`, kombu 5.7)."""
    message = _message(celery_app, bell)
    content_type, content_encoding, body = dumps(message.body, serializer="json")
    return msgspec.json.encode(
        {
            "body": base64.b64encode(body.encode() if isinstance(body, str) else body).decode(),
            "content-encoding": content_encoding,
            "content-type": content_type,
            "headers": message.headers,
            "properties": {
                **message.properties,
                "delivery_mode": PERSISTENT,
                "delivery_info": {"exchange": "", "routing_key": bell.queue.value},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4()),
            },
        }
    )
