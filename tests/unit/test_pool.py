"""The pool under a real Celery worker and a real broker: what Celery promises of a pool, and what ours adds."""

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from celery.worker import state as worker_state
from kombu.asynchronous import Hub
from pydantic import SecretStr
from redis.asyncio import Redis

from shared.adapters.redis_connection import connect
from shared.domain.jobs import Queue
from shared.settings import Redis as RedisSettings
from tests.stack import TestStack, eventually
from workers.await_bridge import wait_for
from workers.celery_app import break_connection, new_ear, stop_hearing
from workers.loop_thread import LoopThread
from workers.pool import TaskPool


class Kitchen:
    """A Celery app with tasks that wait until they are told to go on; notes what happens to each."""

    def __init__(self, redis_url: str, prefix: str) -> None:
        self.app = Celery(broker=redis_url)
        self.app.conf.update(
            task_ignore_result=True,
            task_default_queue=Queue.CHAT.value,
            broker_transport_options={"global_keyprefix": prefix},
            broker_connection_retry_on_startup=True,
            worker_hijack_root_logger=False,
        )
        self.notes: list[tuple[str, str]] = []
        self.go = threading.Event()

        def cook(name: str) -> None:
            self._cook(name)

        def burn(name: str) -> None:
            self.notes.append(("began", name))
            raise ValueError("burnt")

        app: Any = self.app  # the stubs do not know `shared`
        self.cooking = app.task(cook, name="cook", shared=False)
        self.burning = app.task(burn, name="burn", shared=False)

    def _cook(self, name: str) -> None:
        self.notes.append(("began", name))
        try:
            wait_for(_told(self.go))
        except SoftTimeLimitExceeded:
            self.notes.append(("soft limit", name))
        except asyncio.CancelledError:
            self.notes.append(("cancelled", name))
            raise
        else:
            self.notes.append(("ended", name))

    def order(self, name: str, **options: Any) -> str:
        """Send a task; return its id."""
        task_id = str(uuid.uuid4())
        self.cooking.apply_async((name,), task_id=task_id, queue=Queue.CHAT.value, **options)
        return task_id

    def noted(self, what: str) -> Callable[[], Awaitable[object]]:
        """Return a predicate: something of this sort was noted."""

        async def predicate() -> bool:
            return any(note[0] == what for note in self.notes)

        return predicate

    def names(self, what: str) -> list[str]:
        """Return whose notes say so."""
        return [name for note, name in self.notes if note == what]


@contextmanager
def hearing(kitchen: Kitchen, *, slots: int) -> Generator[tuple[TaskPool, Any]]:
    """Run a worker beside the test."""
    with LoopThread() as loops:
        pool = TaskPool.bound_to(loops.loop, slots=slots)
        ready = threading.Event()
        ear = new_ear(kitchen.app, pool, name="kitchen", queues=[Queue.CHAT], on_ready=ready.set)
        thread = threading.Thread(target=ear.start)
        thread.start()
        try:
            assert ready.wait(10)
            yield pool.instance, ear
        finally:
            kitchen.go.set()
            stop_hearing(ear)
            thread.join(10)
            assert not thread.is_alive()
            worker_state.reset_state()


@pytest.fixture
def kitchen(stack: TestStack, redis_prefix: str) -> Kitchen:
    return Kitchen(stack.redis_url, redis_prefix)


@pytest.fixture
async def broker(stack: TestStack) -> AsyncIterator[Redis]:
    client = connect(RedisSettings(url=SecretStr(stack.redis_url)))
    yield client
    await client.aclose()


async def waiting(broker: Redis, prefix: str) -> int:
    return int(await broker.llen(f"{prefix}chat"))


async def test_tasks_up_to_the_slots_run_together_and_further_ones_stay_in_the_broker(
    kitchen: Kitchen, broker: Redis, redis_prefix: str
) -> None:
    with hearing(kitchen, slots=3) as (pool, _):
        for number in range(5):
            kitchen.order(str(number))
        await eventually(lambda: _async(len(kitchen.names("began")) == 3))
        # A BRPOP takes at most a second; another worker must find the rest there meanwhile.
        assert await waiting(broker, redis_prefix) == 2
        assert pool.free_slots == 0
        kitchen.go.set()
        await eventually(lambda: _async(len(kitchen.names("ended")) == 5))
        await eventually(lambda: _async(pool.free_slots == 3))
        assert await waiting(broker, redis_prefix) == 0


async def test_a_task_that_comes_while_full_is_not_accepted_until_a_slot_is_free() -> None:
    hub = Hub()
    accepted: list[str] = []
    go = threading.Event()

    def work() -> tuple[int, str, float]:
        wait_for(_told(go))
        return 0, "done", 0.0

    with LoopThread() as loops:
        pool = TaskPool.bound_to(loops.loop, slots=1)(limit=1)
        pool.register_with_event_loop(hub)
        results: list[tuple[str, object]] = []

        def accept(name: str, *_number_and_instant: object) -> None:
            accepted.append(name)

        def end(name: str, outcome: object) -> None:
            results.append((name, outcome))

        for name in ("first", "second"):
            pool.on_apply(work, accept_callback=partial(accept, name), callback=partial(end, name))
        assert accepted == ["first"]
        go.set()
        while len(results) < 2:
            hub.run_once()
        assert accepted == ["first", "second"]
        assert results == [("first", (0, "done", 0.0)), ("second", (0, "done", 0.0))]
        assert pool.free_slots == 1
    hub.close()


async def test_a_paused_pool_takes_nothing_and_resumes(kitchen: Kitchen, broker: Redis, redis_prefix: str) -> None:
    with hearing(kitchen, slots=2) as (pool, _):
        pool.pause()
        kitchen.order("late")
        kitchen.order("later")
        # One may have been asked for before the pause: it is held. Nothing runs.
        await eventually(lambda: _is(waiting(broker, redis_prefix), 1, 2))
        assert kitchen.names("began") == []
        pool.resume()
        kitchen.go.set()
        await eventually(lambda: _async(sorted(kitchen.names("ended")) == ["late", "later"]))


async def test_what_was_heard_and_not_accepted_returns_to_the_broker_when_the_worker_stops(
    kitchen: Kitchen, broker: Redis, redis_prefix: str
) -> None:
    with hearing(kitchen, slots=2) as (pool, _):
        kitchen.burning.apply_async(("first",), queue=Queue.CHAT.value)
        await eventually(kitchen.noted("began"))
        await eventually(lambda: _is_listening(broker))  # it has asked for the next one this very moment
        pool.pause()
        kitchen.order("untouched")
        await eventually(lambda: _is(waiting(broker, redis_prefix), 0))  # taken, and held
    await eventually(lambda: _is(waiting(broker, redis_prefix), 1))
    assert kitchen.notes == [("began", "first")]


async def test_an_exception_in_a_task_ends_that_task_only(kitchen: Kitchen) -> None:
    with hearing(kitchen, slots=1) as (pool, _):
        kitchen.burning.apply_async(("toast",), queue=Queue.CHAT.value)
        kitchen.go.set()
        kitchen.order("soup")
        await eventually(kitchen.noted("ended"))
        assert kitchen.notes == [("began", "toast"), ("began", "soup"), ("ended", "soup")]
        await eventually(lambda: _async(pool.free_slots == 1))


async def test_a_soft_limit_is_raised_inside_the_task(kitchen: Kitchen) -> None:
    with hearing(kitchen, slots=1) as (pool, _):
        kitchen.order("stew", soft_time_limit=0.2)
        await eventually(kitchen.noted("soft limit"))
        await eventually(lambda: _async(pool.free_slots == 1))
        assert kitchen.notes == [("began", "stew"), ("soft limit", "stew")]


async def test_a_hard_limit_cancels_the_task(kitchen: Kitchen) -> None:
    with hearing(kitchen, slots=1) as (pool, _):
        kitchen.order("roast", time_limit=0.2)
        await eventually(kitchen.noted("cancelled"))
        await eventually(lambda: _async(pool.free_slots == 1))
        assert kitchen.notes == [("began", "roast"), ("cancelled", "roast")]


async def test_revoking_a_running_task_cancels_it_where_it_awaits(kitchen: Kitchen) -> None:
    with hearing(kitchen, slots=1) as (pool, _):
        task_id = kitchen.order("pie")
        await eventually(kitchen.noted("began"))
        kitchen.app.control.revoke(task_id, terminate=True)
        await eventually(kitchen.noted("cancelled"))
        await eventually(lambda: _async(pool.free_slots == 1))


async def test_a_broken_connection_to_the_broker_is_replaced_and_hearing_goes_on(kitchen: Kitchen) -> None:
    with hearing(kitchen, slots=4) as (pool, ear):
        kitchen.order("before")
        await eventually(kitchen.noted("began"))
        break_connection(ear)
        kitchen.order("after")
        await eventually(lambda: _async("after" in kitchen.names("began")), within=10)
        kitchen.go.set()
        # What the old connection heard as it closed may be given back although it runs: heard twice, which a claim
        # makes harmless. Nothing is lost.
        await eventually(lambda: _async(set(kitchen.names("ended")) == {"after", "before"}))
        await eventually(lambda: _async(pool.free_slots == 4))


async def test_awaiting_outside_the_pool_is_refused() -> None:
    coroutine = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="only inside a function that run_bridged runs"):
        wait_for(coroutine)
    await coroutine


async def _told(go: threading.Event) -> None:
    while not go.is_set():  # noqa: ASYNC110 - the event is set in another thread
        await asyncio.sleep(0.01)


async def _is_listening(broker: Redis) -> bool:
    clients: list[dict[str, str]] = await broker.client_list()  # pyright: ignore[reportUnknownMemberType]
    return any(client["cmd"] == "brpop" and "b" in client["flags"] for client in clients)


async def _async(value: object) -> object:
    return value


async def _is(count: Awaitable[int], *allowed: int) -> bool:
    return await count in allowed
