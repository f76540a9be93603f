import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeAlias

import msgspec
import pytest
from pydantic import SecretStr

from shared.database.claims import Claim, Claims
from shared.database.reads import JobReads
from shared.database.submissions import Submissions
from shared.database.workers import WorkerLeases
from shared.domain.errors import ErrorInfo, ProviderOverloaded
from shared.domain.ids import JobId, WorkerId
from shared.domain.jobs import Kind, Queue, State
from shared.settings import Database as DatabaseSettings
from shared.settings import Settings
from tests.integration.jobs.factory import Database, a_job, end_of
from tests.stack import TestStack, eventually, migrated_database

QUEUED, RUNNING, WAITING, SUCCEEDED, FAILED, CANCELLED = range(6)
Accept: TypeAlias = Callable[[], Awaitable[JobId]]


@pytest.fixture
def accept(submissions: Submissions) -> Accept:
    async def accept() -> JobId:
        return (await submissions.insert(a_job())).id

    return accept


async def claimed(claims: Claims, job_id: JobId, worker: WorkerId) -> Claim:
    claim = await claims.claim(job_id, worker)
    assert claim is not None
    return claim


async def test_a_claim_is_the_whole_job(submissions: Submissions, claims: Claims, worker: WorkerId) -> None:
    new = a_job(queue=Queue.DEVICE)
    await submissions.insert(new)
    claim = await claimed(claims, new.id, worker)
    assert claim == Claim(
        id=new.id,
        owner_id=new.owner_id,
        queue=Queue.DEVICE,
        kind=Kind.CHAT,
        fence=1,
        attempts=0,
        losses=0,
        last_setback=None,
        payload=new.payload,
        deadline=new.deadline,
        created_at=claim.created_at,
        started_at=claim.started_at,
    )
    assert claim.created_at < claim.started_at < new.deadline


async def test_one_of_two_workers_wins(
    settings: Settings, claims: Claims, accept: Accept, worker: WorkerId, other_worker: WorkerId
) -> None:
    others = Claims(settings.database)
    await others.open()
    ids = [await accept() for _ in range(100)]
    mine, theirs = await asyncio.gather(
        asyncio.gather(*(claims.claim(job_id, worker) for job_id in ids)),
        asyncio.gather(*(others.claim(job_id, other_worker) for job_id in reversed(ids))),
    )
    winners = [(one is None, two is None) for one, two in zip(mine, reversed(theirs), strict=True)]
    assert set(winners) <= {(True, False), (False, True)}
    await others.close()


async def test_two_bells_for_one_job_in_one_batch_start_it_once(
    claims: Claims, accept: Accept, worker: WorkerId
) -> None:
    job_id = await accept()
    results = await asyncio.gather(*(claims.claim(job_id, worker) for _ in range(5)))
    assert sum(result is not None for result in results) == 1


@pytest.mark.parametrize(
    "change",
    [
        "update job set run_after = now() + interval '1 h' where id = %s",
        "update job set cancel_requested_at = now() where id = %s",
        "update job set deadline = now() - interval '1 ms' where id = %s",
        "update job set state = 3 where id = %s",
        "delete from job where id = %s",
    ],
)
async def test_what_must_not_run_is_not_claimed(
    change: Any, claims: Claims, accept: Accept, worker: WorkerId, database: Database
) -> None:
    job_id = await accept()
    await database.rows(change, job_id)
    assert await claims.claim(job_id, worker) is None


async def test_a_worker_whose_lease_lapsed_claims_nothing(
    claims: Claims, accept: Accept, worker: WorkerId, database: Database
) -> None:
    await database.lapse(worker)
    assert await claims.claim(await accept(), worker) is None
    assert await claims.claim(await accept(), WorkerId(999_999)) is None


async def test_a_job_under_which_processes_died_runs_alone(
    claims: Claims, accept: Accept, worker: WorkerId, database: Database
) -> None:
    job_id = await accept()
    await database.rows("update job set losses = 2 where id = %s", job_id)
    assert await claims.claim(job_id, worker) is None
    assert await claims.claim(job_id, worker, solo=True) is not None


async def test_an_end_is_stored_and_told_whole(
    claims: Claims, accept: Accept, worker: WorkerId, reads: JobReads
) -> None:
    claim = await claimed(claims, await accept(), worker)
    ended = end_of(claim, worker)
    assert await claims.finish(ended)
    ending = await reads.ending(claim.id)
    assert ending is not None
    assert (ending.state, ending.fence, ending.reply.text) == (State.SUCCEEDED, 1, "Hello")
    assert [entry.cursor for entry in ending.entries] == [(1, 1), (1, 2), (1, 3)]
    view = await reads.get(claim.id, None)
    assert view is not None
    assert (view.state, view.fence, view.worker_id) == (State.SUCCEEDED, 1, worker)


async def test_repeating_an_end_is_recognised(claims: Claims, accept: Accept, worker: WorkerId) -> None:
    """So looks an end whose first try was committed on a connection that broke before the answer."""
    ended = end_of(await claimed(claims, await accept(), worker), worker)
    assert [await claims.finish(ended), await claims.finish(ended)] == [True, True]
    assert not await claims.finish(msgspec.structs.replace(ended, state=State.FAILED))


async def test_nobody_writes_with_a_stale_fence_or_as_another_worker(
    claims: Claims, accept: Accept, worker: WorkerId, other_worker: WorkerId, database: Database
) -> None:
    claim = await claimed(claims, await accept(), worker)
    before = await database.state_of(claim.id)
    for fence, who in [(0, worker), (2, worker), (1, other_worker)]:
        refused = [
            await claims.finish(msgspec.structs.replace(end_of(claim, who), fence=fence)),
            await claims.release(claim.id, fence, who, what="failed"),
            await claims.release(claim.id, fence, who, what="released"),
            await claims.park(claim.id, fence, who, run_after_s=0),
        ]
        assert refused == [False] * 4
    assert await database.state_of(claim.id) == before
    assert await database.rows("select 1 from job_setback union all select 1 from job_done") == []


async def test_a_zombie_cannot_end_what_was_taken_back(
    claims: Claims, accept: Accept, worker: WorkerId, other_worker: WorkerId
) -> None:
    job_id = await accept()
    zombie = await claimed(claims, job_id, worker)
    assert await claims.release(job_id, zombie.fence, worker, what="released")
    second = await claimed(claims, job_id, other_worker)
    assert second.fence == 2
    assert not await claims.finish(end_of(zombie, worker))
    assert await claims.finish(end_of(second, other_worker))


async def test_ends_and_claims_survive_the_death_of_their_connections(
    settings: Settings, claims: Claims, accept: Accept, worker: WorkerId, database: Database
) -> None:
    ids = [await accept() for _ in range(200)]

    async def run(job_id: JobId) -> bool:
        claim = await claims.claim(job_id, worker)
        return claim is not None and await claims.finish(end_of(claim, worker))

    runs = [asyncio.create_task(run(job_id)) for job_id in ids]
    killed = 0
    while not all(task.done() for task in runs):
        if killed < 4:
            killed += await database.kill_connections("smartsip-claims")
            killed += await database.kill_connections("smartsip-finishes")
        await asyncio.wait(runs, timeout=0.01)
    assert [task.result() for task in runs] == [True] * 200
    assert killed >= 2
    assert await database.rows("select state, fence, count(*) from job group by 1, 2") == [(SUCCEEDED, 1, 200)]


async def test_a_claim_whose_answer_was_lost_is_found_again(
    claims: Claims, accept: Accept, worker: WorkerId, database: Database
) -> None:
    """The claim is committed, then the connection breaks: what the retry finds running here must be its own."""
    job_id, known = await accept(), await accept()
    await claimed(claims, known, worker)
    async with database.connection() as held:
        # The claim waits for this lock. It is released and the claim committed while its answer cannot come.
        await held.execute("begin")
        await held.execute("select from job where id = %s for update", (job_id,))
        pending = asyncio.create_task(claims.claim(job_id, worker))
        await eventually(lambda: database.is_waiting("smartsip-claims"))
        # As the claim's own transaction would have done:
        await held.execute(
            "update job set state = 1, fence = 1, worker_id = %s, started_at = now() where id = %s", (worker, job_id)
        )
        await database.kill_connections("smartsip-claims")
        await held.execute("commit")
    found = await pending
    assert found is not None
    assert (found.id, found.fence) == (job_id, 1)
    assert await claims.claim(job_id, worker) is None
    assert await claims.claim(known, worker) is None


async def test_a_caller_who_goes_away_leaves_no_job_running(
    claims: Claims, accept: Accept, worker: WorkerId, database: Database
) -> None:
    job_id = await accept()
    async with database.connection() as held:
        await held.execute("begin")
        await held.execute("select from job where id = %s for update", (job_id,))
        pending = asyncio.create_task(claims.claim(job_id, worker))
        await eventually(lambda: database.is_waiting("smartsip-claims"))
        pending.cancel()
        await asyncio.wait({pending})
        assert pending.cancelled()
        await held.execute("commit")

    async def is_given_back() -> bool:
        return await database.state_of(job_id) == (QUEUED, 1, 0, 0)

    await eventually(is_given_back)


async def test_a_failed_attempt_is_counted_and_waits_out_its_pause(
    claims: Claims, accept: Accept, worker: WorkerId, database: Database, reads: JobReads
) -> None:
    claim = await claimed(claims, await accept(), worker)
    error = ProviderOverloaded("busy", retry_after_s=3).info()
    assert await claims.release(claim.id, 1, worker, what="failed", error=error, run_after_s=60)
    assert await database.state_of(claim.id) == (QUEUED, 1, 1, 0)
    assert await claims.claim(claim.id, worker) is None
    setbacks = [(row.fence, row.worker_id, row.what, row.error) for row in await reads.setbacks(claim.id)]
    assert setbacks == [(1, worker, "failed", error)]
    await database.rows("update job set run_after = null where id = %s", claim.id)
    again = await claimed(claims, claim.id, worker)
    assert (again.fence, again.attempts, again.last_setback) == (2, 1, "failed")


async def test_the_third_failure_makes_a_dead_letter(
    claims: Claims, accept: Accept, worker: WorkerId, database: Database, reads: JobReads
) -> None:
    job_id = await accept()
    for _ in range(3):
        claim = await claimed(claims, job_id, worker)
        assert await claims.release(job_id, claim.fence, worker, what="failed")
    assert await database.state_of(job_id) == (FAILED, 4, 3, 0)
    ending = await reads.ending(job_id)
    assert ending is not None
    assert ending.reply.error == ErrorInfo(
        code="dead_letter", title="The job used up its attempts", status=500, detail="the job failed 3 times"
    )
    assert [entry.cursor for entry in ending.entries] == [(4, 1)]


async def test_a_release_counts_no_attempt(claims: Claims, accept: Accept, worker: WorkerId) -> None:
    job_id = await accept()
    for fence in range(1, 6):
        claim = await claimed(claims, job_id, worker)
        assert (claim.fence, claim.attempts) == (fence, 0)
        assert claim.last_setback == (None if fence == 1 else "released")
        assert await claims.release(job_id, fence, worker, what="released")


async def test_a_parked_job_waits_and_goes_on_as_a_new_attempt(
    claims: Claims, accept: Accept, worker: WorkerId, database: Database
) -> None:
    job_id = await accept()
    await claimed(claims, job_id, worker)
    assert await claims.park(job_id, 1, worker, run_after_s=60)
    assert await claims.park(job_id, 1, worker, run_after_s=60)  # as after a lost answer
    assert await database.state_of(job_id) == (WAITING, 1, 0, 0)
    await database.rows("update job set state = 0, run_after = null where id = %s", job_id)
    again = await claimed(claims, job_id, worker)
    assert (again.fence, again.attempts, again.last_setback) == (2, 0, "released")


@pytest.mark.parametrize("how", ["failed", "released", "parked"])
async def test_a_job_whose_cancel_was_asked_for_is_not_queued_again(
    how: str, claims: Claims, accept: Accept, worker: WorkerId, database: Database, reads: JobReads
) -> None:
    job_id = await accept()
    await claimed(claims, job_id, worker)
    await database.rows("update job set cancel_requested_at = now() where id = %s", job_id)
    match how:
        case "failed":
            assert await claims.release(job_id, 1, worker, what="failed", run_after_s=1)
        case "released":
            assert await claims.release(job_id, 1, worker, what="released")
        case _:
            assert await claims.park(job_id, 1, worker, run_after_s=1)
    assert (await database.state_of(job_id))[:2] == (CANCELLED, 2)
    ending = await reads.ending(job_id)
    assert ending is not None
    assert ending.reply.cancelled is not None
    assert ending.reply.cancelled.provider_stops_billing == "unknown"


async def test_a_running_job_is_finished_over_a_restart_of_postgres(private_stack: Callable[[], TestStack]) -> None:
    stack = private_stack()
    settings = DatabaseSettings(url=SecretStr(migrated_database(stack)))
    submissions, claims, leases = Submissions(settings), Claims(settings), WorkerLeases(settings)
    worker = await leases.register("w", [Queue.CHAT], 1, timedelta(minutes=1))
    job_id = (await submissions.insert(a_job())).id
    claim = await claimed(claims, job_id, worker)
    await stack.stop_postgres()
    pending = asyncio.create_task(claims.finish(end_of(claim, worker)))
    await stack.start_postgres()
    assert await pending
    await asyncio.gather(submissions.close(), claims.close(), leases.close())
