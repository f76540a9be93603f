"""Quotas: reserved when a job is accepted, settled when it has ended, never overdrawn by many at once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from api.services.quotas import QuotaStore
from shared.database.claims import Claims
from shared.database.control import JobControl
from shared.database.queries import Queries
from shared.database.statements.chats import removal_of_jobs
from shared.database.statements.turns import FREE_NEXT, SETTLE_ONE
from shared.database.submissions import Inserted, NewJob, Submissions
from shared.database.sweep import Sweep, Swept
from shared.database.workers import WorkerLeases
from shared.domain.errors import ChatBusy, DeadLetter, TokensSpent
from shared.domain.events import Reply, encode_reply
from shared.domain.ids import LOCAL_OWNER, JobId, WorkerId
from shared.domain.jobs import Queue, State
from shared.settings import Settings
from tests.integration.jobs.conftest import LONG_LEASE
from tests.integration.jobs.factory import Database, a_job, end_of
from tests.integration.jobs.ledger import (
    BLOCKED,
    Quota,
    a_charge,
    a_draft,
    a_turn,
    answered,
    charge,
    metered,
    new_chat,
    new_owner,
    new_quota,
    quota,
)
from tests.integration.jobs.world import OPERATIONS, Life, World
from tests.stack import eventually

HELD = "select job_id from reservation"


@pytest.fixture
def queries(engine: AsyncEngine) -> Queries:
    return Queries(engine)


@pytest.fixture
def world(
    submissions: Submissions,
    claims: Claims,
    leases: WorkerLeases,
    control: JobControl,
    sweep: Sweep,
    database: Database,
) -> World:
    return World(submissions, claims, leases, control, sweep, database)


@pytest.fixture
async def fronts(settings: Settings) -> AsyncIterator[list[Submissions]]:
    """What accepts jobs, in four processes."""
    fronts = [Submissions(settings.database) for _ in range(4)]
    await asyncio.gather(*(front.open() for front in fronts))
    yield fronts
    await asyncio.gather(*(front.close() for front in fronts))


async def outcomes(front: Submissions, jobs: Sequence[NewJob]) -> list[Inserted | type[BaseException]]:
    results = await asyncio.gather(*map(front.insert, jobs), return_exceptions=True)
    return [type(result) if isinstance(result, BaseException) else result for result in results]


async def claim_and_end(claims: Claims, worker: WorkerId, job_id: JobId, **used: Any) -> None:
    claim = await claims.claim(job_id, worker)
    assert claim is not None
    assert await claims.finish(msgspec.structs.replace(end_of(claim, worker), charge=a_charge(**used)))


async def settle(queries: Queries, job_id: JobId) -> int:
    return len(await queries.rows(SETTLE_ONE, {"job_id": job_id}))


async def test_what_a_job_may_use_is_reserved_and_what_it_used_is_settled_once(
    submissions: Submissions, claims: Claims, worker: WorkerId, database: Database, queries: Queries
) -> None:
    await new_quota(database, 1_000)
    await new_quota(database, 200, subject="client:tea", used=50)
    job = metered(a_draft(100, "owner", "client:tea", "key:none"))
    await submissions.insert(job)
    assert await settle(queries, job.id) == 0
    assert (await quota(database), await quota(database, "client:tea")) == (Quota(1_000, 0, 100), Quota(200, 50, 100))
    await claim_and_end(claims, worker, job.id, lost_tokens=3)
    assert [await settle(queries, job.id) for _ in range(2)] == [2, 0]
    assert (await quota(database), await quota(database, "client:tea")) == (Quota(1_000, 15, 0), Quota(200, 65, 0))
    assert await database.rows(HELD) == []


async def test_one_quota_that_does_not_suffice_refuses_and_nothing_is_held_of_the_others(
    submissions: Submissions, database: Database
) -> None:
    await new_quota(database, 1_000)
    await new_quota(database, 99, subject="client:tea")
    with pytest.raises(TokensSpent):
        await submissions.insert(metered(a_draft(100, "owner", "client:tea")))
    await submissions.insert(metered(a_draft(99, "owner", "client:tea")))
    assert (await quota(database), await quota(database, "client:tea")) == (Quota(1_000, 0, 99), Quota(99, 0, 99))
    assert await database.rows("select count(*) from job") == [(1,)]


async def test_quotas_are_their_owners(submissions: Submissions, database: Database) -> None:
    stranger = await new_owner(database)
    await new_quota(database, 0, owner_id=stranger)
    await submissions.insert(metered(a_draft(100)))
    with pytest.raises(TokensSpent):
        await submissions.insert(metered(a_draft(100), owner_id=stranger))
    assert await quota(database, owner_id=stranger) == Quota(0, 0, 0)


async def test_a_clients_quota_begins_with_its_limit_and_is_kept_as_it_was_set(
    submissions: Submissions, database: Database
) -> None:
    first = [metered(a_draft(10, "client:tea", opens={"client:tea": 100})) for _ in range(3)]
    assert await outcomes(submissions, first) == [Inserted(job.id, False) for job in first]
    assert await quota(database, "client:tea") == Quota(100, 0, 30)
    await database.rows("update quota set limit_tokens = 35")
    later = metered(a_draft(10, "client:tea", opens={"client:tea": 100}))
    assert await outcomes(submissions, [later]) == [TokensSpent]


async def test_a_hundred_at_once_get_no_more_than_there_is(fronts: list[Submissions], database: Database) -> None:
    await new_quota(database, 1_000)
    await new_quota(database, 500, subject="client:tea")
    jobs = [metered(a_draft(30, *(["client:tea"] if number % 2 else []), "owner")) for number in range(100)]
    results = await asyncio.gather(*(outcomes(front, jobs[number::4]) for number, front in enumerate(fronts)))
    accepted = sum(isinstance(result, Inserted) for some in results for result in some)
    assert accepted == 33
    assert await quota(database) == Quota(1_000, 0, 990)
    assert (await quota(database, "client:tea")).reserved <= 500
    assert await database.rows("select count(*) from reservation") == [(33,)]


async def test_a_large_job_that_is_refused_takes_no_room_from_small_ones(
    submissions: Submissions, database: Database
) -> None:
    await new_quota(database, 100)
    jobs = [metered(a_draft(tokens)) for tokens in (101, 60, 101, 39, 1)]
    first, *results = await outcomes(submissions, [a_job(), *jobs])  # while the first is inserted, the others meet
    assert isinstance(first, Inserted)
    assert [isinstance(result, Inserted) for result in results] == [False, True, False, True, True]
    assert await quota(database) == Quota(100, 0, 100)


@pytest.mark.parametrize("losses", [0, 2])
async def test_what_ended_without_a_runner_used_what_lost_attempts_were_sent(
    world: World, database: Database, losses: int
) -> None:
    await new_quota(database, 1_000)
    life = Life(world, (await world.submissions.insert(metered(a_draft(100)))).id)
    for _ in range(losses):
        await life.claim_it()
        await life.kill_worker()
    await life.cancel()
    assert await world.sweep.once() == Swept(settled=1)
    assert await quota(database) == Quota(1_000, 50 * losses, 0)


async def test_a_job_that_was_deleted_holds_nothing(
    submissions: Submissions,
    claims: Claims,
    worker: WorkerId,
    control: JobControl,
    sweep: Sweep,
    database: Database,
    queries: Queries,
) -> None:
    await new_quota(database, 1_000)
    charged, cancelled = metered(a_draft(100)), metered(a_draft(200))
    await asyncio.gather(submissions.insert(charged), submissions.insert(cancelled))
    await claim_and_end(claims, worker, charged.id)
    await control.request_cancel(cancelled.id, None)
    async with queries.transaction() as connection:
        for statement in removal_of_jobs([charged.id, cancelled.id]):
            await connection.execute(statement)
    assert await sweep.once() == Swept(settled=1)
    assert await quota(database) == Quota(1_000, 12, 0)


async def test_a_quota_that_is_lifted_and_set_again_owes_nothing(
    submissions: Submissions, claims: Claims, worker: WorkerId, database: Database, queries: Queries
) -> None:
    store = QuotaStore(queries, believed_for_s=60)
    await new_quota(database, 1_000)
    await new_quota(database, 1_000, subject="client:tea")
    job = metered(a_draft(100, "owner", "client:tea"))
    await submissions.insert(job)
    await store.remove(LOCAL_OWNER, "owner")
    await store.put(LOCAL_OWNER, "owner", 500)
    await claim_and_end(claims, worker, job.id)
    assert await settle(queries, job.id) == 1
    assert (await quota(database), await quota(database, "client:tea")) == (Quota(500, 0, 0), Quota(1_000, 12, 0))


async def test_a_quota_that_is_lifted_while_a_job_is_settled_is_gone_without_waiting_for_each_other(
    submissions: Submissions, claims: Claims, worker: WorkerId, database: Database, queries: Queries
) -> None:
    store = QuotaStore(queries, believed_for_s=60)
    for _ in range(10):
        await store.put(LOCAL_OWNER, "owner", 1_000)
        jobs = [metered(a_draft(10)) for _ in range(10)]
        await outcomes(submissions, jobs)
        await asyncio.gather(*(claim_and_end(claims, worker, job.id) for job in jobs))
        await asyncio.gather(*(settle(queries, job.id) for job in jobs), store.remove(LOCAL_OWNER, "owner"))
    await store.put(LOCAL_OWNER, "owner", 1_000)
    for (job_id,) in await database.rows(HELD):
        await settle(queries, job_id)
    assert await quota(database) == Quota(1_000, 0, 0)


async def test_a_dead_letter_that_is_replayed_costs_twice_in_the_ledger(
    submissions: Submissions, claims: Claims, worker: WorkerId, control: JobControl, database: Database
) -> None:
    await submissions.insert(job := metered(a_draft(100)))
    claim = await claims.claim(job.id, worker)
    assert claim is not None
    dead = encode_reply(Reply(error=DeadLetter("failed").info()))
    end = msgspec.structs.replace(end_of(claim, worker, state=State.FAILED), reply=dead)
    await claims.finish(msgspec.structs.replace(end, charge=a_charge(lost_tokens=2, cost=Decimal("0.25"))))
    assert await control.replay(job.id)
    await claim_and_end(claims, worker, job.id, reasoning_tokens=1, is_estimated=True, cost=Decimal("0.000000001"))
    assert await charge(database, job.id) == {
        "job_id": str(job.id),
        "owner_id": LOCAL_OWNER,
        "client": None,
        "key_id": None,
        "kind": "chat",
        "model": "demo/demo",
        "input_tokens": 14,
        "output_tokens": 10,
        "reasoning_tokens": 1,
        "cached_tokens": 0,
        "lost_tokens": 2,
        "is_estimated": True,
        "cost": 0.250000001,
    }


async def test_a_charge_names_who_asked(
    submissions: Submissions, claims: Claims, worker: WorkerId, database: Database, queries: Queries
) -> None:
    key_id = UUID(int=7)
    job = msgspec.structs.replace(metered(a_draft(100)), client="tea", key_id=key_id)
    await submissions.insert(job)
    await claim_and_end(claims, worker, job.id)
    assert await database.rows("select client, key_id, cost from charge") == [("tea", key_id, None)]


@hypothesis_settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(names=st.lists(st.sampled_from([*OPERATIONS, "claim", "claim", "end the pause"]), max_size=15))
async def test_any_life_gives_back_what_it_had_reserved_and_lets_the_next_turn_begin(
    world: World, database: Database, names: list[str]
) -> None:
    chat = await new_chat(database)
    await database.rows("delete from quota")
    await new_quota(database, 1_000)
    life = Life(world, (await world.submissions.insert(a_turn(chat, draft=a_draft(100)))).id)
    following = await world.submissions.insert(a_turn(chat, draft=a_draft(10)))
    for name in names:
        with suppress(ChatBusy):  # a replay, while the next turn waits
            await OPERATIONS[name](life)
    await life.pass_deadline_long_ago()
    await life.kill_worker()
    await world.sweep.once()
    assert (await quota(database)).reserved == 10
    assert await database.rows(BLOCKED) == []
    await world.control.request_cancel(following.id, None)
    await world.sweep.once()
    assert (await quota(database)).reserved == 0


DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"
CONNECTED = """
select 1 from pg_stat_activity where datname = current_database() and application_name like 'smartsip%%'
    and application_name not in (select unnest(%s::text[]))
"""


async def test_accepting_ending_freeing_and_settling_at_once_never_deadlock(
    settings: Settings,
    fronts: list[Submissions],
    leases: WorkerLeases,
    sweep: Sweep,
    database: Database,
    queries: Queries,
) -> None:
    """Two chats, three quotas, four fronts, three workers: everybody touches the same rows."""
    ((before,),) = await database.rows(DEADLOCKS)
    chats = [await new_chat(database) for _ in range(2)]
    for subject in ("owner", "client:a", "client:b"):
        await new_quota(database, 100_000, subject=subject)
    workers = [Claims(settings.database) for _ in range(3)]
    ids = [await leases.register(f"w{number}", list(Queue), 10, LONG_LEASE) for number in range(3)]
    accepted: list[JobId] = []
    running = True

    async def accept(front: Submissions, number: int) -> None:
        for turn in range(40):
            client = f"client:{'ab'[(number + turn) % 2]}"
            draft = a_draft(20, "owner", client, f"client:{turn}", opens={client: 1, f"client:{turn}": 1_000})
            jobs = [
                a_turn(chats[(number + turn) % 2], draft=draft, key=f"{turn}"),
                metered(draft, key=f"other-{turn}"),
                a_turn(chats[turn % 2]),
            ]
            results = await asyncio.gather(*map(front.insert, jobs), return_exceptions=True)
            accepted.extend(result.id for result in results if isinstance(result, Inserted))

    async def work(claims: Claims, worker: WorkerId) -> None:
        while running or accepted:
            some, accepted[:] = accepted[:20], accepted[20:]
            claims_ = [claim for claim in await asyncio.gather(*(claims.claim(one, worker) for one in some)) if claim]
            await asyncio.gather(*(claims.finish(answered(claim, worker)) for claim in claims_))
            for claim in claims_:
                if claim.chat_id is not None:
                    freed = await queries.rows(FREE_NEXT, {"chat_id": claim.chat_id})
                    accepted.extend(row.id for row in freed)
                await settle(queries, claim.id)
            await sweep.once()

    working = [asyncio.create_task(work(claims, worker)) for claims, worker in zip(workers, ids, strict=True)]
    async with asyncio.timeout(30):
        await asyncio.gather(*(accept(front, number) for number, front in enumerate(fronts)))
        running = False
        await asyncio.gather(*working)
    await asyncio.gather(*(each.close() for each in (*fronts, *workers)))

    async def have_reported() -> bool:  # a connection tells its statistics when it ends
        return not await database.rows(CONNECTED, ["smartsip", "smartsip-sweep", "smartsip-leases"])

    await eventually(have_reported)
    assert await database.rows(DEADLOCKS) == [(before,)]
    overdrawn = "select 1 from quota where used_tokens + reserved_tokens > limit_tokens and limit_tokens > 1"
    assert await database.rows(overdrawn) == []
