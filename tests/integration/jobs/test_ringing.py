import asyncio
from collections import Counter
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.claims import Claims
from shared.database.ringer import Ringer
from shared.database.submissions import NewJob, Submissions
from shared.database.workers import WorkerLeases
from shared.domain.ids import JobId, OwnerId, WorkerId
from shared.domain.jobs import Queue
from shared.ports.job_queue import Bell
from shared.settings import Settings
from tests.integration.jobs.conftest import LONG_LEASE
from tests.integration.jobs.factory import Bells, Database, a_job, end_of
from tests.stack import eventually


async def accept(submissions: Submissions, jobs: Sequence[NewJob]) -> Sequence[NewJob]:
    await asyncio.gather(*map(submissions.insert, jobs))
    return jobs


async def hundred_slots(leases: WorkerLeases) -> WorkerId:
    return await leases.register("hundred", [Queue.CHAT], 100, LONG_LEASE)


async def test_nothing_is_rung_without_slots(
    submissions: Submissions, leases: WorkerLeases, database: Database, ringer: Ringer, bells: Bells
) -> None:
    await accept(submissions, [a_job()])
    await leases.register("device", [Queue.DEVICE], 100, LONG_LEASE)
    await leases.set_draining(await leases.register("draining", [Queue.CHAT], 100, LONG_LEASE))
    await database.lapse(await leases.register("dead", [Queue.CHAT], 100, LONG_LEASE))
    assert await ringer.top_up(Queue.CHAT) == 0
    assert bells.heard == []
    assert not ringer.has_room(Queue.CHAT)


async def test_the_first_ring_reaches_every_owner(
    submissions: Submissions, leases: WorkerLeases, ringer: Ringer, bells: Bells
) -> None:
    await hundred_slots(leases)
    heavy = await accept(submissions, [a_job(owner_id=OwnerId(7)) for _ in range(1_000)])
    others = await accept(submissions, [a_job(owner_id=OwnerId(owner)) for owner in range(100, 105)])
    assert await ringer.top_up(Queue.CHAT) == 120
    rung = {bell.job_id for bell in bells.heard}
    assert {job.id for job in others} <= rung
    assert len(rung & {job.id for job in heavy}) == 115


async def test_owners_take_turns(submissions: Submissions, leases: WorkerLeases, ringer: Ringer, bells: Bells) -> None:
    await hundred_slots(leases)
    owner_of = {
        job.id: job.owner_id
        for owner in range(1, 5)
        for job in await accept(submissions, [a_job(owner_id=OwnerId(owner)) for _ in range(owner * 100)])
    }
    assert await ringer.top_up(Queue.CHAT) == 120
    assert Counter(owner_of[JobId(bell.job_id)] for bell in bells.heard) == {1: 30, 2: 30, 3: 30, 4: 30}


async def test_devices_of_one_owner_take_turns(
    submissions: Submissions, leases: WorkerLeases, ringer: Ringer, bells: Bells
) -> None:
    await leases.register("device", [Queue.DEVICE], 10, LONG_LEASE)
    busy = await accept(submissions, [a_job(queue=Queue.DEVICE, fair_key=1) for _ in range(50)])
    single = await accept(submissions, [a_job(queue=Queue.DEVICE, fair_key=key) for key in (2, 3)])
    assert await ringer.top_up(Queue.DEVICE) == 12
    rung = {bell.job_id for bell in bells.heard}
    assert {job.id for job in single} <= rung
    assert rung & {job.id for job in busy} == set(sorted(job.id for job in busy)[:10])


async def test_who_was_rung_much_stands_behind_who_was_not(
    submissions: Submissions, leases: WorkerLeases, ringer: Ringer, bells: Bells, claims: Claims
) -> None:
    worker = await hundred_slots(leases)
    heavy = await accept(submissions, [a_job(owner_id=OwnerId(7)) for _ in range(300)])
    assert await ringer.top_up(Queue.CHAT) == 120
    running = [claim for bell in bells.heard[:100] if (claim := await claims.claim(JobId(bell.job_id), worker))]
    assert len(running) == 100
    late = await accept(submissions, [a_job(owner_id=OwnerId(8)) for _ in range(5)])
    assert await ringer.top_up(Queue.CHAT) == 0  # 100 running, 20 rung
    for claim in running[:8]:
        assert await claims.finish(end_of(claim, worker))
    bells.heard.clear()
    assert await ringer.top_up(Queue.CHAT) == 8
    rung = {bell.job_id for bell in bells.heard}
    assert {job.id for job in late} <= rung
    assert len({job.id for job in heavy} & rung) == 3


async def test_the_limit_follows_the_slots(
    submissions: Submissions, leases: WorkerLeases, ringer: Ringer, bells: Bells
) -> None:
    await accept(submissions, [a_job() for _ in range(100)])
    one = await leases.register("one", [Queue.CHAT], 10, LONG_LEASE)
    assert await ringer.top_up(Queue.CHAT) == 12
    assert await ringer.top_up(Queue.CHAT) == 0
    await leases.register("two", [Queue.CHAT, Queue.BATCH], 20, LONG_LEASE)
    assert await ringer.top_up(Queue.CHAT) == 24
    await leases.deregister(one)
    assert await ringer.top_up(Queue.CHAT) == 0
    assert len({bell.job_id for bell in bells.heard}) == 36


async def test_unanswered_bells_are_rung_again_when_they_are_old(
    submissions: Submissions, leases: WorkerLeases, ringer: Ringer, bells: Bells, database: Database
) -> None:
    await leases.register("one", [Queue.CHAT], 10, LONG_LEASE)
    jobs = await accept(submissions, [a_job(rung=True) for _ in range(3)])
    assert await ringer.top_up(Queue.CHAT) == 0
    await database.rows("update job set rung_at = now() - interval '2900 ms'")
    assert await ringer.top_up(Queue.CHAT) == 0
    await database.rows("update job set rung_at = now() - interval '3001 ms'")
    assert await ringer.top_up(Queue.CHAT) == 3
    assert {bell.job_id for bell in bells.heard} == {job.id for job in jobs}


async def test_a_broker_that_is_away_costs_no_bell(
    submissions: Submissions, leases: WorkerLeases, ringer: Ringer, bells: Bells
) -> None:
    await leases.register("one", [Queue.CHAT], 10, LONG_LEASE)
    await accept(submissions, [a_job() for _ in range(3)])
    bells.is_away = True
    assert await ringer.top_up(Queue.CHAT) == 0
    bells.is_away = False
    assert await ringer.top_up(Queue.CHAT) == 3


async def test_a_bell_rung_at_submit_that_fails_is_left_to_the_sweep(
    submissions: Submissions, leases: WorkerLeases, ringer: Ringer, bells: Bells, database: Database
) -> None:
    await leases.register("one", [Queue.CHAT], 10, LONG_LEASE)
    job = (await accept(submissions, [a_job(rung=True)]))[0]
    bells.is_away = True
    ringer.ring_now(Bell(job.id, job.queue))

    async def is_unmarked() -> bool:
        return await database.rows("select rung_at from job") == [(None,)]

    await eventually(is_unmarked)
    bells.is_away = False
    assert await ringer.top_up(Queue.CHAT) == 1


async def test_room_is_what_was_found_less_what_was_taken(
    submissions: Submissions, leases: WorkerLeases, ringer: Ringer, claims: Claims
) -> None:
    worker = await leases.register("one", [Queue.CHAT], 10, LONG_LEASE)
    running = (await accept(submissions, [a_job()]))[0]
    await claims.claim(running.id, worker)
    await accept(submissions, [a_job(rung=True) for _ in range(4)])
    assert await ringer.top_up(Queue.CHAT) == 0
    assert [ringer.has_room(Queue.CHAT) for _ in range(9)] == [True] * 7 + [False] * 2
    assert not ringer.has_room(Queue.DEVICE)


async def test_a_refused_place_is_looked_for_soon(leases: WorkerLeases, ringer: Ringer) -> None:
    await leases.register("one", [Queue.CHAT], 10, LONG_LEASE)

    async def has_room() -> bool:
        return ringer.has_room(Queue.CHAT)

    assert not await has_room()
    await eventually(has_room)


async def test_a_nudge_rings_who_waits(
    submissions: Submissions, leases: WorkerLeases, ringer: Ringer, bells: Bells
) -> None:
    await leases.register("one", [Queue.CHAT], 10, LONG_LEASE)
    await accept(submissions, [a_job() for _ in range(5)])
    for _ in range(100):
        ringer.nudge(Queue.CHAT)

    async def all_rung() -> bool:
        return len(bells.heard) == 5

    await eventually(all_rung)


async def test_two_ringers_at_once_ring_no_job_twice_and_not_too_many(
    engine: AsyncEngine,
    settings: Settings,
    submissions: Submissions,
    leases: WorkerLeases,
    ringer: Ringer,
    bells: Bells,
) -> None:
    second = Ringer(engine, bells, settings.clocks)
    await hundred_slots(leases)
    await accept(submissions, [a_job(owner_id=OwnerId(1 + number % 7)) for number in range(1_000)])
    await asyncio.gather(*(one.top_up(Queue.CHAT) for one in (ringer, second, ringer, second)))
    rung = [bell.job_id for bell in bells.heard]
    assert len(rung) == len(set(rung))
    assert 120 <= len(rung) < 240
    await second.close()


async def test_everybody_is_served_whatever_the_lines_look_like(
    submissions: Submissions, leases: WorkerLeases, ringer: Ringer, bells: Bells, claims: Claims
) -> None:
    """Rung, claimed and ended until nothing waits: nobody is overlooked."""
    worker = await leases.register("one", [Queue.CHAT], 20, LONG_LEASE)
    lines = [(OwnerId(owner), -owner, size) for owner, size in ((1, 90), (2, 1), (3, 17), (4, 40), (5, 2))]
    jobs = [a_job(owner_id=owner, fair_key=key) for owner, key, size in lines for _ in range(size)]
    await accept(submissions, jobs)
    while await ringer.top_up(Queue.CHAT):
        for bell in bells.heard[-24:]:
            claim = await claims.claim(JobId(bell.job_id), worker)
            if claim is not None:
                assert await claims.finish(end_of(claim, worker))
    assert sorted(bell.job_id for bell in bells.heard) == sorted(job.id for job in jobs)


async def test_a_ringer_that_is_closed_has_stopped_looking(
    submissions: Submissions, leases: WorkerLeases, bells: Bells, engine: AsyncEngine, settings: Settings
) -> None:
    await hundred_slots(leases)
    await accept(submissions, [a_job() for _ in range(500)])
    for _ in range(20):  # some of them are closed in the midst of a look
        ringer = Ringer(engine, bells, settings.clocks)
        ringer.nudge(Queue.CHAT)
        await asyncio.wait([asyncio.create_task(in_a_statement(engine))], timeout=0.1)
        await ringer.close()
        looking = [task for task in asyncio.all_tasks() if "_top_up_soon" in repr(task.get_coro())]
        assert looking == []


async def in_a_statement(engine: AsyncEngine) -> None:
    """Wait until a connection of the engine is in use."""

    async def is_in_use() -> bool:
        return "checked out connections: 0" not in engine.pool.status().lower()

    await eventually(is_in_use)
