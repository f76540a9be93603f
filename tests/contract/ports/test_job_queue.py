"""What every `JobQueue` keeps: a stock kombu consumer decodes its doorbells, and a stock Celery worker runs them."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker  # pyright: ignore[reportUnknownVariableType]
from pydantic import SecretStr
from redis.asyncio import Redis

from shared.adapters.celery_broker import create_celery
from shared.adapters.celery_job_queue import CeleryJobQueue, ThreadedJobQueue
from shared.adapters.redis_connection import connect
from shared.domain.errors import Unavailable
from shared.domain.ids import new_job_id
from shared.domain.jobs import RUN_JOB, Queue
from shared.ports.job_queue import Bell, JobQueue
from shared.settings import Redis as RedisSettings
from shared.settings import Settings

QUEUES = [queue.value for queue in Queue]


@dataclass
class Rig:
    """A job queue, and the Celery application on its other side."""

    jobs: JobQueue
    app: Celery
    client: Redis
    prefix: str


@pytest.fixture(params=["direct", "threaded"])
async def rig(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Rig]:
    app = create_celery(settings.redis)
    client = connect(settings.redis)
    prefix = settings.redis.prefix
    jobs = CeleryJobQueue(app, client, prefix) if request.param == "direct" else ThreadedJobQueue(app)
    yield Rig(jobs, app, client, prefix)
    await client.aclose()
    app.close()


def heard_by_kombu(app: Celery, count: int) -> list[tuple[str, Any, Any]]:
    """Consume doorbells as any kombu program would: (queue, task, arguments) of each."""
    heard: list[tuple[str, Any, Any]] = []

    def hear(body: Any, message: Any) -> None:
        heard.append((message.delivery_info["routing_key"], message.headers["task"], body[0]))
        message.ack()

    connection: Any = app.connection_for_read()
    with connection, connection.Consumer(list(app.amqp.queues.values()), callbacks=[hear], accept=["json"]):  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        while len(heard) < count:
            connection.drain_events(timeout=5)
    return heard


async def test_a_stock_kombu_consumer_decodes_the_bells(rig: Rig) -> None:
    bells = [Bell(new_job_id(), queue, solo=queue is Queue.BATCH) for queue in Queue for _ in range(3)]
    await rig.jobs.ring(bells)
    heard = await asyncio.to_thread(heard_by_kombu, rig.app, len(bells))
    expected = [(bell.queue.value, RUN_JOB, [str(bell.job_id), bell.solo]) for bell in bells]
    assert sorted(heard, key=str) == sorted(expected, key=str)
    leftovers = [await rig.client.llen(f"{rig.prefix}{queue}") for queue in QUEUES]
    assert leftovers == [0] * len(QUEUES)


async def test_a_stock_celery_worker_runs_the_bells(rig: Rig) -> None:
    bells = [Bell(new_job_id(), queue) for queue in Queue] + [Bell(new_job_id(), Queue.CHAT, solo=True)]
    heard: list[tuple[str, bool]] = []
    is_done = threading.Event()

    @rig.app.task(name=RUN_JOB, shared=False)
    def run_job(job_id: str, solo: bool) -> None:  # pyright: ignore[reportUnusedFunction]
        heard.append((job_id, solo))
        if len(heard) == len(bells):
            is_done.set()

    def work() -> bool:
        options: dict[str, Any] = {"pool": "solo", "perform_ping_check": False, "queues": QUEUES}
        with start_worker(rig.app, **options):
            return is_done.wait(timeout=10)

    worker = asyncio.create_task(asyncio.to_thread(work))
    await rig.jobs.ring(bells)
    assert await worker
    assert sorted(heard) == sorted((str(bell.job_id), bell.solo) for bell in bells)


async def test_bells_of_one_queue_are_heard_in_the_order_they_were_rung(rig: Rig) -> None:
    bells = [Bell(new_job_id(), Queue.CHAT) for _ in range(10)]
    await rig.jobs.ring(bells[:4])
    await rig.jobs.ring(bells[4:])
    heard = await asyncio.to_thread(heard_by_kombu, rig.app, len(bells))
    assert [arguments[0] for _, _, arguments in heard] == [str(bell.job_id) for bell in bells]


async def test_ringing_nobody_is_harmless(rig: Rig) -> None:
    await rig.jobs.ring([])
    assert await rig.client.llen(f"{rig.prefix}chat") == 0


async def test_systems_with_other_prefixes_do_not_hear_the_bells(rig: Rig) -> None:
    await rig.jobs.ring([Bell(new_job_id(), Queue.CHAT)])
    assert await rig.client.exists(f"{rig.prefix}chat")
    assert not await rig.client.exists("chat")


@pytest.mark.parametrize("kind", ["direct", "threaded"])
async def test_a_broker_that_is_away_is_unavailable(kind: str, redis_prefix: str) -> None:
    with socket.socket() as nobody:  # bound and not listening: connections are refused
        nobody.bind(("127.0.0.1", 0))
        settings = RedisSettings(url=SecretStr(f"redis://127.0.0.1:{nobody.getsockname()[1]}"), prefix=redis_prefix)
        app, client = create_celery(settings), connect(settings)
        jobs = CeleryJobQueue(app, client, redis_prefix) if kind == "direct" else ThreadedJobQueue(app)
        with pytest.raises(Unavailable, match="the broker cannot be reached"):
            await jobs.ring([Bell(new_job_id(), Queue.CHAT)])
        await client.aclose()
        app.close()
