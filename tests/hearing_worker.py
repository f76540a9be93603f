"""A worker inside the test's own event loop, which hears the bells that the api rings and does what they ask."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
from redis.asyncio import Redis

from shared.adapters.redis_connection import connect
from shared.domain.ids import JobId
from shared.domain.jobs import RUN_JOB, Queue
from shared.ending import end
from shared.settings import Settings
from workers.runtime import Runtime

LISTENS_S = 1.0
"""How long one look at the queues waits; below the clock of our connections."""


@asynccontextmanager
async def hearing_worker(
    settings: Settings, *, queues: Sequence[Queue] = (Queue.CHAT, Queue.MEDIA)
) -> AsyncGenerator[Runtime]:
    """Work until the block is left."""
    runtime = await Runtime.open(settings, queues=queues, slots=20, decoders=1)
    ears = connect(settings.redis)
    hearing = None
    try:
        await runtime.register()
        keys = [f"{settings.redis.prefix}{queue.value}" for queue in queues]
        hearing = asyncio.create_task(_hear(runtime, ears, keys))
        yield runtime
    finally:
        if hearing is not None:
            await runtime.give_back()  # as a worker that stops does, rather than in the middle of a statement
            await end(hearing)
        await ears.aclose()
        await runtime.close()


async def _hear(runtime: Runtime, ears: Redis, keys: list[str]) -> None:
    async with asyncio.TaskGroup() as running:
        while True:
            heard: Any = await ears.brpop(keys, timeout=LISTENS_S)  # pyright: ignore[reportUnknownMemberType]
            if heard is not None:
                running.create_task(_answer(runtime, heard[1]))


async def _answer(runtime: Runtime, envelope: bytes) -> None:
    """Do what a message asks, read as Celery reads it."""
    message = msgspec.json.decode(envelope)
    arguments = msgspec.json.decode(base64.b64decode(message["body"]))[0]
    if message["headers"]["task"] == RUN_JOB:
        await runtime.runner.run(JobId(UUID(arguments[0])), solo=arguments[1])
    else:
        await runtime.refresh_models(arguments[0])
