"""When a consumer counts as deaf, and what is done about it."""

import asyncio
from datetime import timedelta

from pydantic import SecretStr

from shared.adapters.redis_connection import connect
from shared.domain.jobs import Queue
from shared.settings import Redis
from tests.stack import TestStack, eventually
from workers.loop_thread import LoopThread
from workers.pool import TaskPool
from workers.watchdog import Deafness, Hearing, watch


def test_bells_that_wait_while_slots_are_free_make_a_consumer_deaf_after_a_while() -> None:
    deafness = Deafness(patience_s=10)
    looks = [deafness.judge(bells=1, free_slots=1, heard_at=0, now=now) for now in (100, 105, 109, 110, 115, 120)]
    assert looks == [Hearing.WELL, Hearing.WELL, Hearing.WELL, Hearing.DEAF, Hearing.WELL, Hearing.DEAF]


def test_an_empty_queue_or_full_slots_begin_the_patience_anew() -> None:
    deafness = Deafness(patience_s=10)
    for bells, free_slots in ((0, 5), (5, 0)):
        assert deafness.judge(bells=1, free_slots=1, heard_at=0, now=100) is Hearing.WELL
        assert deafness.judge(bells=bells, free_slots=free_slots, heard_at=0, now=109) is Hearing.WELL
        assert deafness.judge(bells=1, free_slots=1, heard_at=0, now=111) is Hearing.WELL
        assert deafness.judge(bells=0, free_slots=1, heard_at=0, now=112) is Hearing.WELL


def test_a_bell_that_was_heard_begins_the_patience_anew() -> None:
    deafness = Deafness(patience_s=10)
    deafness.judge(bells=9, free_slots=1, heard_at=0, now=100)
    assert deafness.judge(bells=9, free_slots=1, heard_at=105, now=111) is Hearing.WELL
    assert deafness.judge(bells=9, free_slots=1, heard_at=105, now=115) is Hearing.DEAF


async def test_a_deaf_consumer_is_made_to_reconnect_and_given_up_when_that_does_not_help(
    stack: TestStack, redis_prefix: str
) -> None:
    client = connect(Redis(url=SecretStr(stack.redis_url)))
    done: list[str] = []
    with LoopThread() as loops:
        pool = TaskPool.bound_to(loops.loop, slots=1)(limit=1)  # nobody brings it anything
        await client.lpush(f"{redis_prefix}device", "bell")
        watching = asyncio.create_task(
            watch(
                pool,
                client,
                prefix=redis_prefix,
                queues=[Queue.CHAT, Queue.DEVICE],
                patience=timedelta(seconds=0.1),
                reconnect=lambda: done.append("reconnect"),
                give_up=lambda: done.append("give up"),
            )
        )
        await eventually(lambda: _is_done(watching))
    await client.delete(f"{redis_prefix}device")
    await client.aclose()
    assert done == ["reconnect", "give up"]


async def _is_done(task: asyncio.Task[None]) -> bool:
    return task.done()
