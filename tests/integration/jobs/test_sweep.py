import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta

import pytest
from pydantic import SecretStr

from shared.adapters.redis_connection import connect
from shared.adapters.redis_epoch import RedisEpoch
from shared.database.claims import Claims
from shared.database.control import JobControl
from shared.database.engine import create_engine
from shared.database.reads import JobReads
from shared.database.ringer import Ringer
from shared.database.submissions import NewJob, Submissions
from shared.database.sweep import Sweep, Swept
from shared.database.workers import WorkerLeases
from shared.domain.errors import DeadLetter, Unavailable
from shared.domain.events import Cancelled, Expired, Failed
from shared.domain.ids import WorkerId
from shared.domain.jobs import Queue, State
from shared.ports.job_queue import Bell
from shared.settings import Database as DatabaseSettings
from shared.settings import Redis, Settings
from tests.integration.jobs.conftest import LONG_LEASE
from tests.integration.jobs.factory import Bells, Clock, Database, Epoch, a_job, end_of
from tests.quick_settings import quick_clocks
from tests.stack import TestStack, eventually, migrated_database

QUEUED, RUNNING, WAITING, SUCCEEDED, FAILED, CANCELLED, EXPIRED = range(7)


async def running(submissions: Submissions, claims: Claims, worker: WorkerId) -> NewJob:
    new = a_job(rung=True)
    await submissions.insert(new)
    assert await claims.claim(new.id, worker) is not None
    return new


async def test_a_sweep_with_nothing_to_do_does_nothing(sweep: Sweep) -> None:
    assert await sweep.once() == Swept()


async def test_pauses_end_and_the_jobs_are_rung(
    submissions: Submissions, claims: Claims, worker: WorkerId, database: Database, sweep: Sweep, bells: Bells
) -> None:
    paused, parked, later = [await running(submissions, claims, worker) for _ in range(3)]
    await claims.release(paused.id, 1, worker, what="failed", run_after_s=0)
    await claims.park(parked.id, 1, worker, run_after_s=0)
    await claims.park(later.id, 1, worker, run_after_s=60)
    assert await sweep.once() == Swept(woken=2, rung=2)
    assert await database.state_of(parked.id) == (QUEUED, 1, 0, 0)
    assert {bell.job_id for bell in bells.heard} == {paused.id, parked.id}
    assert await database.state_of(later.id) == (WAITING, 1, 0, 0)


async def test_jobs_of_a_dead_worker_are_taken_back_and_its_writes_refused(
    submissions: Submissions,
    claims: Claims,
    worker: WorkerId,
    other_worker: WorkerId,
    database: Database,
    sweep: Sweep,
    reads: JobReads,
) -> None:
    lost, kept = await running(submissions, claims, worker), await running(submissions, claims, other_worker)
    await database.lapse(worker)
    assert await sweep.once() == Swept(taken_back=1, rung=1)
    assert await database.state_of(lost.id) == (QUEUED, 1, 0, 1)
    assert await database.state_of(kept.id) == (RUNNING, 1, 0, 0)
    assert [(row.what, row.fence, row.worker_id) for row in await reads.setbacks(lost.id)] == [
        ("worker_lost", 1, worker)
    ]
    again = await claims.claim(lost.id, other_worker)
    assert again is not None
    assert (again.fence, again.losses, again.attempts, again.last_setback) == (2, 1, 0, "worker_lost")
    assert not await claims.release(lost.id, 1, worker, what="released")
    assert await claims.finish(end_of(again, other_worker))


async def test_jobs_of_a_worker_that_left_without_them_are_taken_back(
    submissions: Submissions, claims: Claims, worker: WorkerId, leases: WorkerLeases, sweep: Sweep
) -> None:
    await running(submissions, claims, worker)
    await leases.deregister(worker)
    swept = await sweep.once()
    assert swept is not None
    assert swept.taken_back == 1


async def test_a_job_that_kills_its_workers_runs_alone_and_is_buried_in_the_end(
    submissions: Submissions,
    claims: Claims,
    leases: WorkerLeases,
    database: Database,
    sweep: Sweep,
    bells: Bells,
    reads: JobReads,
) -> None:
    new = a_job()
    await submissions.insert(new)
    for losses in range(10):
        worker = await leases.register("victim", [Queue.CHAT], 1, LONG_LEASE)
        await database.rows("update job set rung_at = null")
        await sweep.once()
        assert bells.heard[-1] == Bell(new.id, Queue.CHAT, solo=losses >= 2)
        assert await claims.claim(new.id, worker, solo=losses >= 2) is not None
        await database.lapse(worker)
        await sweep.once()
    assert await database.state_of(new.id) == (FAILED, 11, 0, 10)
    ending = await reads.ending(new.id)
    assert ending is not None
    dead = DeadLetter("the process that ran the job died 10 times").info()
    assert [(entry.cursor, entry.event) for entry in ending.entries] == [((11, 1), Failed(dead))]


async def test_a_lost_job_whose_cancel_was_asked_for_is_cancelled(
    submissions: Submissions,
    claims: Claims,
    worker: WorkerId,
    control: JobControl,
    database: Database,
    sweep: Sweep,
    reads: JobReads,
) -> None:
    new = await running(submissions, claims, worker)
    await control.request_cancel(new.id, None)
    await database.lapse(worker)
    assert await sweep.once() == Swept(taken_back=1, cancelled=1)
    ending = await reads.ending(new.id)
    assert ending is not None
    assert (ending.state, ending.fence) == (State.CANCELLED, 2)
    assert ending.reply.cancelled == Cancelled(phase="streaming", provider_stops_billing="unknown")


async def test_deadlines_pass_in_the_queue(
    submissions: Submissions, claims: Claims, worker: WorkerId, database: Database, sweep: Sweep, reads: JobReads
) -> None:
    queued, parked, paused = a_job(), *[await running(submissions, claims, worker) for _ in range(2)]
    await submissions.insert(queued)
    await claims.park(parked.id, 1, worker, run_after_s=60)
    await claims.release(paused.id, 1, worker, what="failed", run_after_s=60)
    alive = await running(submissions, claims, worker)
    await database.rows("update job set deadline = now() - interval '1 ms'")
    assert await sweep.once() == Swept(expired=3)
    states = [await database.state_of(job.id) for job in (queued, parked, paused, alive)]
    assert states == [(EXPIRED, 1, 0, 0), (EXPIRED, 2, 0, 0), (EXPIRED, 2, 1, 0), (RUNNING, 1, 0, 0)]
    ending = await reads.ending(queued.id)
    assert ending is not None
    assert [(entry.cursor, entry.event) for entry in ending.entries] == [((1, 1), Expired())]


async def test_a_runner_that_ignores_the_deadline_loses_the_job(
    submissions: Submissions, claims: Claims, worker: WorkerId, database: Database, sweep: Sweep, reads: JobReads
) -> None:
    new = a_job()
    await submissions.insert(new)
    claim = await claims.claim(new.id, worker)
    assert claim is not None
    lease = quick_clocks().lease
    await database.rows("update job set deadline = now() - %s::interval", 2 * lease - timedelta(seconds=1))
    assert await sweep.once() == Swept()
    await database.rows("update job set deadline = now() - %s::interval", 2 * lease)
    assert await sweep.once() == Swept(overdue=1)
    assert await database.state_of(new.id) == (FAILED, 2, 0, 0)
    ending = await reads.ending(new.id)
    assert ending is not None
    assert ending.reply.error is not None
    assert ending.reply.error.code == "deadline_exceeded"
    assert not await claims.finish(end_of(claim, worker))


async def test_long_dead_workers_are_forgotten(leases: WorkerLeases, database: Database, sweep: Sweep) -> None:
    lease = quick_clocks().lease
    old = await leases.register("old", [Queue.CHAT], 1, LONG_LEASE)
    young = await leases.register("young", [Queue.CHAT], 1, LONG_LEASE)
    await database.rows("update worker set lease_until = now() - %s::interval where id = %s", 21 * lease, old)
    await database.lapse(young)
    assert await sweep.once() == Swept(forgotten_workers=1)
    assert await database.rows("select id from worker") == [(young,)]


async def test_a_broker_that_forgot_is_rung_again(
    submissions: Submissions, worker: WorkerId, sweep: Sweep, bells: Bells, epoch: Epoch
) -> None:
    jobs = [a_job() for _ in range(4)]
    for job in jobs:
        await submissions.insert(job)
    assert await sweep.once() == Swept(rung=4)
    assert await sweep.once() == Swept()
    epoch.is_lost = True
    assert await sweep.once() == Swept(forgotten_bells=4, rung=4)
    assert not epoch.is_lost
    assert sorted(bell.job_id for bell in bells.heard) == sorted([job.id for job in jobs] * 2)


async def test_a_flushed_and_a_restarted_redis_have_forgotten(private_stack: Callable[[], TestStack]) -> None:
    stack = private_stack()
    settings = Redis(url=SecretStr(stack.redis_url), prefix="t:")
    client = connect(settings)
    epoch = RedisEpoch(client, settings.prefix)
    assert await epoch.has_forgotten()
    await epoch.begin()
    assert not await epoch.has_forgotten()
    await client.flushall()  # pyright: ignore[reportUnknownMemberType]
    assert await epoch.has_forgotten()
    await epoch.begin()
    await stack.kill_valkey()
    with pytest.raises(Unavailable):
        await epoch.has_forgotten()
    await stack.start_valkey()
    assert await epoch.has_forgotten()
    await epoch.begin()
    assert not await epoch.has_forgotten()
    await client.aclose()


async def test_a_broker_that_is_away_does_not_stop_the_sweep(
    submissions: Submissions,
    claims: Claims,
    worker: WorkerId,
    other_worker: WorkerId,
    database: Database,
    settings: Settings,
    ringer: Ringer,
    bells: Bells,
) -> None:
    bells.is_away = True
    nowhere = settings.redis.model_copy(update={"url": SecretStr("redis://127.0.0.1:1")})
    client = connect(nowhere)
    sweep = Sweep(settings.database, ringer, RedisEpoch(client, "x:"), settings.clocks)
    await eventually(lambda: database.has_been_up_for(settings.clocks.lease))
    lost = await running(submissions, claims, worker)
    await database.lapse(worker)
    assert await sweep.once() == Swept(taken_back=1)
    assert await database.rows("select rung_at from job where id = %s", lost.id) == [(None,)]
    bells.is_away = False
    assert await sweep.once() == Swept(rung=1)
    await sweep.close()
    await client.aclose()


async def test_one_process_sweeps_and_another_follows_when_it_stops(
    settings: Settings, ringer: Ringer, sweep: Sweep
) -> None:
    second = Sweep(settings.database, ringer, Epoch(), settings.clocks)
    assert await sweep.once() == Swept()
    assert await second.once() is None
    assert await sweep.once() == Swept()
    await sweep.close()

    async def follows() -> bool:
        return await second.once() is not None

    await eventually(follows)  # the server ends the session of the first in its own time
    await second.close()


async def test_a_leader_that_is_frozen_loses_the_lead(settings: Settings, ringer: Ringer) -> None:
    leader = Sweep(settings.database, ringer, Epoch(), settings.clocks, frozen_after=timedelta(milliseconds=300))
    second = Sweep(settings.database, ringer, Epoch(), settings.clocks)
    assert await leader.once() == Swept()
    assert await second.once() is None

    async def takes_over() -> bool:
        return await second.once() is not None

    await eventually(takes_over)
    assert await leader.once() is None
    assert await leader.once() is None
    await asyncio.gather(leader.close(), second.close())


async def test_after_postgres_was_away_workers_have_one_lease(
    submissions: Submissions, claims: Claims, worker: WorkerId, database: Database, sweep: Sweep, clock: Clock
) -> None:
    await running(submissions, claims, worker)
    assert await sweep.once() == Swept()
    await database.lapse(worker)
    await database.kill_connections("smartsip-sweep")

    async def leads_again() -> bool:
        return await sweep.once() is not None

    await eventually(leads_again)
    clock.now_s += 1.4
    assert await sweep.once() == Swept()
    clock.now_s += 0.2
    assert await sweep.once() == Swept(taken_back=1)


async def test_a_restart_of_postgres_is_waited_out_too(
    private_stack: Callable[[], TestStack], settings: Settings, bells: Bells
) -> None:
    """A sweep that begins after the restart knows of it from the server's age."""
    stack = private_stack()
    here = DatabaseSettings(url=SecretStr(migrated_database(stack)))
    database = Database(here.url.get_secret_value())
    clocks = settings.clocks
    submissions, claims, leases = Submissions(here), Claims(here), WorkerLeases(here)
    worker = await leases.register("w", [Queue.CHAT], 5, LONG_LEASE)
    await running(submissions, claims, worker)
    await asyncio.gather(submissions.close(), claims.close(), leases.close())
    await stack.restart_postgres()
    await database.close()
    await database.lapse(worker)
    own_engine = create_engine(here)
    ringer = Ringer(own_engine, bells, clocks)
    sweep = Sweep(here, ringer, Epoch(), clocks)
    assert not await database.has_been_up_for(clocks.lease)
    assert await sweep.once() == Swept()
    await eventually(lambda: database.has_been_up_for(clocks.lease))
    assert await sweep.once() == Swept(taken_back=1)
    await sweep.close()
    await ringer.close()
    await own_engine.dispose()
    await database.close()


async def test_a_renewal_on_its_way_is_not_overlooked(
    submissions: Submissions, claims: Claims, worker: WorkerId, database: Database, sweep: Sweep
) -> None:
    """The lease looks lapsed, but its row is being renewed: the job stays where it is."""
    new = await running(submissions, claims, worker)
    await database.lapse(worker)
    async with database.connection() as renewing:
        await renewing.execute("begin")
        await renewing.execute("update worker set lease_until = now() + interval '1 min' where id = %s", (worker,))
        assert await sweep.once() == Swept()
        await renewing.execute("commit")
    assert await sweep.once() == Swept()
    assert await database.state_of(new.id) == (RUNNING, 1, 0, 0)


async def test_many_rows_are_moved_in_one_sweep(submissions: Submissions, database: Database, sweep: Sweep) -> None:
    await asyncio.gather(*(submissions.insert(a_job()) for _ in range(1_200)))
    await database.rows("update job set deadline = now() - interval '1 ms'")
    assert await sweep.once() == Swept(expired=1_200)
    assert await database.rows("select count(*) from job_done") == [(1_200,)]


async def test_the_loop_goes_on_after_an_error(
    submissions: Submissions, worker: WorkerId, database: Database, sweep: Sweep, bells: Bells
) -> None:
    loop = asyncio.create_task(sweep.run())
    first, second = a_job(), a_job()

    async def heard_first() -> bool:
        return first.id in {bell.job_id for bell in bells.heard}

    async def heard_second() -> bool:
        return second.id in {bell.job_id for bell in bells.heard}

    await submissions.insert(first)
    await eventually(heard_first)
    await database.rows("alter table worker rename to worker_away")
    await database.kill_connections("smartsip-sweep")
    await submissions.insert(second)
    await database.rows("alter table worker_away rename to worker")
    await eventually(heard_second)
    loop.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await loop
