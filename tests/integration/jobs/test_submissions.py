import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta

import pytest
from pydantic import SecretStr

from shared.database.submissions import Inserted, NewJob, Submissions
from shared.domain.errors import IdempotencyKeyReused, QuotaExceeded, SmartSipError, Unavailable
from shared.domain.ids import OwnerId, new_job_id
from shared.domain.jobs import Queue
from shared.settings import Database as DatabaseSettings
from shared.settings import Settings
from tests.integration.jobs.factory import Database, a_job
from tests.stack import TestStack, migrated_database


async def outcomes(submissions: Submissions, jobs: Sequence[NewJob]) -> list[Inserted | type[BaseException]]:
    """Submit jobs at once, so that all but the first share a batch."""
    results = await asyncio.gather(*map(submissions.insert, jobs), return_exceptions=True)
    return [type(result) if isinstance(result, BaseException) else result for result in results]


async def test_an_accepted_job_is_committed_whole(submissions: Submissions, database: Database) -> None:
    new = a_job(key="k1", labels={"lab": "7"}, rung=True)
    assert await submissions.insert(new) == Inserted(new.id, is_replay=False)
    columns = "j.owner_id, j.fair_key, j.queue, j.kind, j.state, j.fence, j.on_disconnect, j.deadline"
    rows = await database.rows(
        f"select {columns}, j.rung_at is not null, j.idempotency_key, b.payload, b.request_hash, b.model, b.labels"
        " from job j join job_body b using (id) where id = %s",
        new.id,
    )
    job = (1, -1, "chat", "chat", 0, 0, "continue", new.deadline, True, "k1")
    assert rows == [(*job, new.payload, b"hash", "demo/demo", {"lab": "7"})]


async def test_a_key_used_again_with_the_same_request_returns_the_first_job(submissions: Submissions) -> None:
    first, again = a_job(key="k"), a_job(key="k")
    await submissions.insert(first)
    assert await submissions.insert(again) == Inserted(first.id, is_replay=True)


async def test_a_key_used_again_with_another_request_is_refused(submissions: Submissions) -> None:
    await submissions.insert(a_job(key="k"))
    with pytest.raises(IdempotencyKeyReused):
        await submissions.insert(a_job(key="k", request_hash=b"another"))


async def test_keys_belong_to_owners(submissions: Submissions) -> None:
    mine, theirs = a_job(key="k"), a_job(key="k", owner_id=OwnerId(2))
    assert await outcomes(submissions, [mine, theirs]) == [Inserted(mine.id, False), Inserted(theirs.id, False)]


async def test_one_key_several_times_in_one_batch_is_one_job(submissions: Submissions, database: Database) -> None:
    jobs = [a_job(key="x"), a_job(key="x"), a_job(key="y"), a_job(key="x", request_hash=b"another"), a_job()]
    results = await outcomes(submissions, [a_job(), *jobs])
    assert results[1:] == [
        Inserted(jobs[0].id, False),
        Inserted(jobs[0].id, True),
        Inserted(jobs[2].id, False),
        IdempotencyKeyReused,
        Inserted(jobs[4].id, False),
    ]
    assert await database.rows("select count(*) from job") == [(4,)]


async def test_asking_again_with_the_same_id_accepts_once(submissions: Submissions, database: Database) -> None:
    for new in (a_job(), a_job(key="k")):
        results = [await submissions.insert(new), await submissions.insert(new)]
        assert results == [Inserted(new.id, False)] * 2
    assert await database.rows("select count(*) from job") == [(2,)]


async def test_a_poisoned_row_fails_alone(submissions: Submissions, database: Database) -> None:
    good = [a_job(key="a"), a_job(key="b"), a_job(key="c")]
    too_large, not_text = a_job(fair_key=2**70), a_job(key="nul\0")
    jobs = [a_job(), good[0], too_large, good[1], not_text, good[2]]
    results = await asyncio.gather(*map(submissions.insert, jobs), return_exceptions=True)
    assert [isinstance(result, Inserted) for result in results] == [True, True, False, True, False, True]
    assert not any(isinstance(result, SmartSipError) for result in results)
    assert await database.rows("select count(*) from job") == [(4,)]


async def test_jobs_survive_the_death_of_the_connection(submissions: Submissions, database: Database) -> None:
    jobs = [a_job() for _ in range(300)]
    pending = [asyncio.create_task(submissions.insert(job)) for job in jobs]
    killed = 0
    while not all(task.done() for task in pending):
        killed += await database.kill_connections("smartsip-submissions") if killed < 3 else 0
        await asyncio.wait(pending, timeout=0.01)
    assert killed >= 1
    assert [task.result() for task in pending] == [Inserted(job.id, False) for job in jobs]
    assert await database.rows("select count(*) from job") == [(300,)]


async def test_a_lost_answer_is_not_a_replay(submissions: Submissions, database: Database) -> None:
    """The first try was committed, but its answer never came: the caller asks again, with the same id and key."""
    new = a_job(key="k")
    await submissions.insert(new)
    await database.kill_connections("smartsip-submissions")
    assert await submissions.insert(new) == Inserted(new.id, is_replay=False)


@pytest.fixture
async def other_submissions(settings: Settings) -> AsyncIterator[Submissions]:
    others = Submissions(settings.database)
    yield others
    await others.close()


async def test_two_processes_with_the_same_keys_in_opposite_order_do_not_deadlock(
    submissions: Submissions, other_submissions: Submissions
) -> None:
    one, two = submissions, other_submissions
    for round_ in range(10):
        keys = [f"{round_}-{number}" for number in range(200)]
        mine = [a_job(key=key) for key in keys]
        theirs = [a_job(key=key) for key in reversed(keys)]
        results = await asyncio.gather(outcomes(one, mine), outcomes(two, theirs))
        winners = [result for result in (*results[0], *results[1]) if isinstance(result, Inserted)]
        assert len(winners) == 400
        assert len({winner.id for winner in winners}) == 200
        assert sum(not winner.is_replay for winner in winners) == 200


async def test_the_cap_holds_within_a_batch(submissions: Submissions) -> None:
    results = await outcomes(submissions, [a_job(waiting_cap=5) for _ in range(12)])
    assert sum(isinstance(result, Inserted) for result in results) == 5
    assert results.count(QuotaExceeded) == 7


async def test_the_cap_holds_across_batches_and_counts_one_queue_of_one_owner(submissions: Submissions) -> None:
    await outcomes(submissions, [a_job(waiting_cap=3) for _ in range(3)])
    others = [a_job(waiting_cap=3, owner_id=OwnerId(2)), a_job(waiting_cap=3, queue=Queue.DEVICE)]
    results = await outcomes(submissions, [a_job(waiting_cap=3), *others])
    assert results == [QuotaExceeded, *(Inserted(job.id, False) for job in others)]


async def test_a_refusal_says_when_to_ask_again(submissions: Submissions) -> None:
    with pytest.raises(QuotaExceeded) as refused:
        await submissions.insert(a_job(waiting_cap=0))
    assert refused.value.retry_after_s == 5.0


async def test_a_replay_is_answered_although_the_queue_is_full(submissions: Submissions) -> None:
    first = a_job(key="k", waiting_cap=1)
    await submissions.insert(first)
    results = await outcomes(
        submissions, [a_job(waiting_cap=1), a_job(key="k", waiting_cap=1), a_job(key="n", waiting_cap=1)]
    )
    assert results == [QuotaExceeded, Inserted(first.id, True), QuotaExceeded]


async def test_repetitions_of_a_refused_key_are_refused_alike(submissions: Submissions) -> None:
    jobs = [a_job(), a_job(key="k", waiting_cap=0), a_job(key="k", waiting_cap=0)]
    assert (await outcomes(submissions, jobs))[1:] == [QuotaExceeded, QuotaExceeded]


async def test_a_caller_who_goes_away_does_not_disturb_the_batch(submissions: Submissions) -> None:
    jobs = [a_job() for _ in range(20)]
    tasks = [asyncio.create_task(submissions.insert(job)) for job in jobs]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[1::2] == [Inserted(job.id, False) for job in jobs[1::2]]


async def test_without_postgres_a_submit_is_refused_in_time(settings: Settings) -> None:
    nowhere = DatabaseSettings.model_validate({"url": "postgresql://app@127.0.0.1:1/none"})
    submissions = Submissions(nowhere, patience=settings.clocks.sweep_every)
    with pytest.raises(Unavailable, match="PostgreSQL cannot be reached"):
        await asyncio.gather(*(submissions.insert(a_job(job_id=new_job_id())) for _ in range(50)))
    await submissions.close()


async def test_jobs_wait_for_a_postgres_that_restarts(private_stack: Callable[[], TestStack]) -> None:
    stack = private_stack()
    submissions = Submissions(DatabaseSettings(url=SecretStr(migrated_database(stack))), patience=timedelta(seconds=15))
    await submissions.open()
    await stack.stop_postgres()
    jobs = [a_job() for _ in range(50)]
    pending = asyncio.gather(*map(submissions.insert, jobs))
    await stack.start_postgres()
    assert await pending == [Inserted(job.id, False) for job in jobs]
    await submissions.close()
