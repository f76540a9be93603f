"""Workers as processes: what signals, deaths and outages of the servers do to them and to their jobs."""

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta

import pytest

from shared.adapters.redis_epoch import RedisEpoch
from shared.database.ringer import Ringer
from shared.database.sweep import Sweep
from shared.domain.events import Completed, Restarted, Text, Usage
from shared.domain.ids import JobId
from shared.domain.jobs import Queue, State
from shared.settings import ProviderEndpoint
from tests.integration.workers.bench import Bench, WorkerProcess, children_of, events_of, is_alive, open_bench
from tests.quick_settings import settings_for
from tests.scripted_provider import ScriptedProvider, openai_stream
from tests.stack import TestStack, eventually, make_bucket, migrated_database

Workers = Callable[..., WorkerProcess]
SLOW = openai_stream(["word "] * 1000)


@pytest.fixture
async def sweep(bench: Bench) -> AsyncGenerator[Sweep]:
    """The sweep of an api process, running."""
    async with sweeping(bench) as sweep:
        yield sweep


class sweeping:  # noqa: N801 - used as a context manager
    """Sweeps beside the test."""

    def __init__(self, bench: Bench) -> None:
        clocks = bench.settings.clocks
        self._ringer = Ringer(bench.engine, bench.jobs, clocks)
        epoch = RedisEpoch(bench.redis, bench.settings.redis.prefix)
        self._sweep = Sweep(bench.settings.database, self._ringer, epoch, clocks)

    async def __aenter__(self) -> Sweep:
        self._running = asyncio.create_task(self._sweep.run())
        return self._sweep

    async def __aexit__(self, *exc: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self._sweep.close()
        await self._ringer.close()


async def registered(workers: Workers, *, queues: tuple[Queue, ...] = (Queue.CHAT,), slots: int = 10) -> WorkerProcess:
    """Start a worker and wait until it is counted on."""
    worker = workers(queues=queues, slots=slots)
    await worker.logged("worker_registered")
    return worker


async def all_ended(bench: Bench, job_ids: list[JobId], *, within: float = 20.0) -> None:
    """Wait until every job has ended well."""
    for job_id in job_ids:
        assert (await bench.ended(job_id, within=within)).state is State.SUCCEEDED


async def test_a_rung_job_runs_and_sigterm_leaves_nothing_behind(
    bench: Bench, workers: Workers, provider: ScriptedProvider
) -> None:
    worker = await registered(workers)
    job_id = await bench.chat()
    await bench.ring(job_id)
    ending = await bench.ended(job_id)
    assert ending.reply.text == "Hello from the script."
    children = children_of(worker.pid)
    assert children  # the image decoders
    worker.signal(signal.SIGTERM)
    assert await worker.exited() == 0
    assert await bench.rows("select * from worker") == []
    assert not [child for child in children if is_alive(child)]


async def test_sigterm_lets_a_short_job_finish(bench: Bench, workers: Workers, provider: ScriptedProvider) -> None:
    provider.play(openai_stream(["word "] * 20).paced(20))
    worker = await registered(workers)
    job_id = await bench.chat()
    await bench.ring(job_id)
    await bench.said(job_id, Text)
    worker.signal(signal.SIGTERM)
    assert await worker.exited() == 0
    assert (await bench.ended(job_id)).state is State.SUCCEEDED


async def test_sigterm_gives_a_long_job_back_and_another_worker_runs_it(
    bench: Bench, workers: Workers, provider: ScriptedProvider
) -> None:
    provider.play(SLOW.paced(20), openai_stream(["whole"]))
    leaving = await registered(workers, slots=1)
    job_id = await bench.chat()
    await bench.ring(job_id)
    await bench.said(job_id, Text)
    leaving.signal(signal.SIGTERM)
    await registered(workers)
    assert await leaving.exited() == 0
    ending = await bench.ended(job_id)
    assert events_of(ending.entries) == [
        Restarted("openai", "scripted", "released"),
        Text("whole"),
        Usage(7, 5),
        Completed("stop"),
    ]
    view = await bench.view(job_id)
    assert (view.attempts, view.losses) == (0, 0)


async def test_a_second_signal_gives_back_at_once(bench: Bench, workers: Workers, provider: ScriptedProvider) -> None:
    provider.play(SLOW.paced(20))
    patient = bench.settings.clocks.model_copy(update={"drain": timedelta(minutes=1)})
    worker = workers(clocks=patient)
    await worker.logged("worker_registered")
    job_id = await bench.chat(deadline_in=timedelta(minutes=5))
    await bench.ring(job_id)
    await bench.said(job_id, Text)
    worker.signal(signal.SIGTERM)
    await worker.logged("worker_drains")
    worker.signal(signal.SIGTERM)
    assert await worker.exited(within=10) == 0
    assert (await bench.view(job_id)).state is State.QUEUED


async def test_a_signal_while_starting_is_heeded(workers: Workers) -> None:
    worker = workers()
    await eventually(lambda: _true(children_of(worker.pid)), within=30, expecting="the decoders")
    worker.signal(signal.SIGTERM)
    assert await worker.exited() == 0


async def test_a_killed_workers_job_is_running_again_within_its_lease_and_a_moment(
    bench: Bench, workers: Workers, provider: ScriptedProvider, sweep: Sweep
) -> None:
    provider.play(SLOW.paced(20), openai_stream(["whole"]))
    doomed = await registered(workers)
    job_id = await bench.chat()
    await bench.ring(job_id)
    await bench.said(job_id, Text)
    await registered(workers)
    decoders = children_of(doomed.pid)
    doomed.signal(signal.SIGKILL)
    killed_at = time.monotonic()
    ending = await bench.ended(job_id)
    assert time.monotonic() - killed_at < bench.settings.clocks.lease.total_seconds() + 5
    assert events_of(ending.entries) == [
        Restarted("openai", "scripted", "worker_lost"),
        Text("whole"),
        Usage(7, 5),
        Completed("stop"),
    ]
    view = await bench.view(job_id)
    assert (view.attempts, view.losses) == (0, 1)
    await eventually(lambda: _true(not any(map(is_alive, decoders))), expecting="no decoder without its worker")


async def test_a_worker_that_wakes_up_after_its_lease_is_refused_and_starts_anew(
    bench: Bench, workers: Workers, provider: ScriptedProvider, sweep: Sweep
) -> None:
    provider.play(SLOW.paced(50), openai_stream(["whole"]))
    zombie = await registered(workers)
    job_id = await bench.chat()
    await bench.ring(job_id)
    await bench.said(job_id, Text)
    zombie.signal(signal.SIGSTOP)
    await registered(workers)
    ending = await bench.ended(job_id)
    assert (ending.fence, ending.reply.text) == (2, "whole")
    zombie.signal(signal.SIGCONT)
    await zombie.logged("lease_lost")
    await zombie.logged("worker_registered", count=2)
    assert await bench.ended(job_id) == ending
    assert not any(entry.is_terminal for entry in await bench.log(job_id, 1))
    # It is of use again.
    zombie.signal(signal.SIGTERM)
    assert await zombie.exited() == 0


async def test_no_worker_takes_more_bells_than_it_has_slots(
    bench: Bench, workers: Workers, provider: ScriptedProvider
) -> None:
    provider.play(SLOW.paced(10), SLOW.paced(10), openai_stream(["ok"]))
    full = await registered(workers, slots=2)
    long = [await bench.chat() for _ in range(2)]
    await bench.ring(*long)
    await provider.wait_requests(2)
    short = [await bench.chat() for _ in range(4)]
    await bench.ring(*short)
    other = await registered(workers, slots=4)
    await all_ended(bench, short)
    for job_ids, worker in ((long, full), (short, other)):
        assert {(await bench.view(job_id)).worker_id for job_id in job_ids} == {worker.lines[0]["worker_id"]}
    await asyncio.gather(*(bench.cancel(job_id) for job_id in long))
    assert {(await bench.ended(job_id)).state for job_id in long} == {State.CANCELLED}


async def test_a_suspect_job_runs_in_a_process_of_its_own(
    bench: Bench, workers: Workers, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(["alone"]).delayed(0.3))
    worker = await registered(workers)
    job_id = await bench.chat()
    await bench.rows("update job set losses = 2 where id = %s", job_id)
    await bench.ring(job_id)  # not as a suspect: nobody may take it
    await bench.ring(job_id, solo=True)
    ending = await bench.ended(job_id)
    assert (ending.reply.text, ending.fence) == ("alone", 1)
    assert (await bench.view(job_id)).worker_id != worker.lines[0]["worker_id"]
    ended = await worker.logged("solo_worker_ended")
    assert ended["exit_code"] == 0
    await eventually(lambda: _workers_are(bench, 1), expecting="the child's lease given back")


async def test_a_suspect_job_is_given_back_when_its_worker_stops(
    bench: Bench, workers: Workers, provider: ScriptedProvider
) -> None:
    provider.play(SLOW.paced(10))
    worker = await registered(workers)
    job_id = await bench.chat()
    await bench.rows("update job set losses = 2 where id = %s", job_id)
    await bench.ring(job_id, solo=True)
    await bench.said(job_id, Text)
    worker.signal(signal.SIGTERM)
    assert await worker.exited() == 0
    assert (await bench.view(job_id)).state is State.QUEUED
    assert await bench.rows("select * from worker") == []


async def test_a_worker_without_postgresql_says_so_and_fails(bench: Bench, workers: Workers) -> None:
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    worker = workers(
        database=bench.settings.database.model_copy(update={"url": type(bench.settings.database.url)(url)})
    )
    assert await worker.exited(within=30) == 1
    assert [line["level"] for line in worker.lines if line["event"] == "worker_cannot_start"] == ["critical"]


@pytest.fixture
def own_stack(private_stack: Callable[[], TestStack]) -> TestStack:
    """Servers of the test's own."""
    return private_stack()


@pytest.fixture
async def alone(own_stack: TestStack, provider: ScriptedProvider) -> AsyncGenerator[tuple[TestStack, Bench]]:
    """The same, with a bench over them."""
    stack = own_stack
    settings = settings_for(
        stack,
        database_url=migrated_database(stack),
        redis_prefix="t:",
        bucket=make_bucket(stack),
        providers={"openai": ProviderEndpoint(base_url=provider.openai_url)},
    )
    async with open_bench(settings) as bench:
        yield stack, bench


@pytest.fixture
async def own_worker(alone: tuple[TestStack, Bench]) -> AsyncGenerator[WorkerProcess]:
    worker = WorkerProcess(alone[1].settings)
    await worker.logged("worker_registered")
    yield worker
    await worker.end()


async def test_a_worker_goes_on_hearing_when_valkey_was_killed_and_restarted_in_mid_stream(
    alone: tuple[TestStack, Bench], own_worker: WorkerProcess, provider: ScriptedProvider
) -> None:
    stack, bench = alone
    provider.play(openai_stream(["word "] * 60).paced(20))
    first = await bench.chat()
    await bench.ring(first)
    await bench.said(first, Text)
    await stack.restart_valkey()
    ending = await bench.ended(first)
    assert ending.reply.text == "word " * 60
    provider.play(openai_stream(["again"]))
    for _ in range(3):  # more than once: reported workers went deaf at the second loss
        job_id = await bench.chat()
        async with sweeping(bench):
            assert (await bench.ended(job_id, within=15)).reply.text == "again"
        await stack.restart_valkey()
    own_worker.signal(signal.SIGTERM)
    assert await own_worker.exited() == 0


async def test_a_worker_that_may_not_hear_any_more_gives_its_jobs_back_and_fails(
    alone: tuple[TestStack, Bench], own_worker: WorkerProcess, provider: ScriptedProvider
) -> None:
    _, bench = alone
    provider.play(SLOW.paced(20))
    running, waiting = await bench.chat(), await bench.chat()
    await bench.ring(running)
    await bench.said(running, Text)
    no_more = ("ACL", "SETUSER", "default", "-brpop")
    await bench.redis.execute_command(*no_more)  # pyright: ignore[reportUnknownMemberType]
    await bench.ring(waiting)
    assert await own_worker.exited(within=20) == 1
    assert {(await bench.view(job_id)).state for job_id in (running, waiting)} == {State.QUEUED}


async def test_a_short_outage_of_postgresql_costs_no_stream(
    alone: tuple[TestStack, Bench], own_worker: WorkerProcess, provider: ScriptedProvider
) -> None:
    stack, bench = alone
    provider.play(openai_stream(["word "] * 60).paced(20))
    job_id = await bench.chat()
    await bench.ring(job_id)
    await bench.said(job_id, Text)
    await stack.restart_postgres()
    ending = await bench.ended(job_id, within=20)
    assert ending.state is State.SUCCEEDED
    # Where the outage outlasted the lease, the job was interrupted and ran again from the start.
    assert ending.reply.text == "word " * 60


async def test_sigterm_works_while_valkey_is_away(
    alone: tuple[TestStack, Bench], own_worker: WorkerProcess, provider: ScriptedProvider
) -> None:
    stack, bench = alone
    provider.play(SLOW.paced(20))
    job_id = await bench.chat()
    await bench.ring(job_id)
    await bench.said(job_id, Text)
    await stack.kill_valkey()
    own_worker.signal(signal.SIGTERM)
    assert await own_worker.exited(within=20) == 0
    assert (await bench.view(job_id)).state is State.QUEUED


async def _true(value: object) -> object:
    return value


async def _workers_are(bench: Bench, count: int) -> bool:
    return len(await bench.rows("select * from worker")) == count
