import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from shared.database.claims import Claims
from shared.database.control import CancelOutcome, JobControl
from shared.database.endings import told_from_the_row
from shared.database.reads import JobReads
from shared.database.submissions import Submissions
from shared.domain.errors import DeadLetter, Internal, SmartSipError
from shared.domain.events import Cancelled, Reply, encode_reply
from shared.domain.ids import LOCAL_OWNER, JobId, OwnerId, WorkerId, new_job_id
from shared.domain.jobs import State
from tests.integration.jobs.factory import Database, a_job, end_of

QUEUED, FAILED, CANCELLED = 0, 4, 5


async def test_a_queued_job_is_cancelled_at_once(
    submissions: Submissions, control: JobControl, reads: JobReads, claims: Claims, worker: WorkerId
) -> None:
    job_id = (await submissions.insert(a_job())).id
    outcome = await control.request_cancel(job_id, LOCAL_OWNER)
    assert outcome == CancelOutcome(state=State.CANCELLED, fence=1, worker_id=None, was_terminal=False)
    ending = await reads.ending(job_id)
    assert ending is not None
    assert (ending.state, ending.fence) == (State.CANCELLED, 1)
    assert ending.reply == Reply(cancelled=Cancelled(phase="queued"))
    assert [(entry.cursor, entry.event) for entry in ending.entries] == [((1, 1), Cancelled(phase="queued"))]
    assert await claims.claim(job_id, worker) is None


async def test_a_running_job_is_flagged_and_its_worker_named(
    submissions: Submissions, control: JobControl, claims: Claims, worker: WorkerId
) -> None:
    job_id = (await submissions.insert(a_job())).id
    claim = await claims.claim(job_id, worker)
    assert claim is not None
    expected = CancelOutcome(state=State.RUNNING, fence=1, worker_id=worker, was_terminal=False)
    assert [await control.request_cancel(job_id, LOCAL_OWNER) for _ in range(2)] == [expected, expected]
    assert await claims.finish(end_of(claim, worker, state=State.CANCELLED))
    assert await control.request_cancel(job_id, LOCAL_OWNER) == CancelOutcome(
        state=State.CANCELLED, fence=1, worker_id=worker, was_terminal=True
    )


async def test_a_waiting_job_is_cancelled_at_once(
    submissions: Submissions, control: JobControl, claims: Claims, worker: WorkerId, database: Database
) -> None:
    job_id = (await submissions.insert(a_job())).id
    await claims.claim(job_id, worker)
    assert await claims.park(job_id, 1, worker, run_after_s=60)
    outcome = await control.request_cancel(job_id, None)
    assert outcome == CancelOutcome(state=State.CANCELLED, fence=2, worker_id=worker, was_terminal=False)
    assert await database.rows("select run_after from job where id = %s", job_id) == [(None,)]


async def test_cancelling_is_idempotent(submissions: Submissions, control: JobControl, database: Database) -> None:
    job_id = (await submissions.insert(a_job())).id
    outcomes = await asyncio.gather(*(control.request_cancel(job_id, LOCAL_OWNER) for _ in range(8)))
    assert {outcome.state for outcome in outcomes if outcome} == {State.CANCELLED}
    assert [outcome.was_terminal for outcome in outcomes if outcome].count(False) == 1
    assert await database.rows("select count(*) from job_done") == [(1,)]


async def test_foreign_and_unknown_jobs_are_not_there(submissions: Submissions, control: JobControl) -> None:
    job_id = (await submissions.insert(a_job())).id
    assert await control.request_cancel(job_id, OwnerId(2)) is None
    assert await control.request_cancel(new_job_id(), LOCAL_OWNER) is None
    assert await control.request_cancel(job_id, None) is not None


async def test_cancel_and_claim_at_once_never_leave_a_job_that_nobody_ends(
    submissions: Submissions, control: JobControl, claims: Claims, worker: WorkerId, database: Database
) -> None:
    for _ in range(30):
        job_id = (await submissions.insert(a_job())).id
        claim, outcome = await asyncio.gather(claims.claim(job_id, worker), control.request_cancel(job_id, LOCAL_OWNER))
        assert outcome is not None
        assert outcome.state is (State.CANCELLED if claim is None else State.RUNNING)
    running = "select count(*) from job where state = 1 and cancel_requested_at is null"
    assert await database.rows(running) == [(0,)]


async def failed(claims: Claims, worker: WorkerId, job_id: JobId, error: SmartSipError) -> None:
    claim = await claims.claim(job_id, worker)
    assert claim is not None
    reply = encode_reply(Reply(error=error.info()))
    ended = msgspec.structs.replace(end_of(claim, worker, state=State.FAILED), reply=reply)
    assert await claims.finish(ended)


async def test_a_dead_letter_is_replayed_as_if_it_were_new(
    submissions: Submissions,
    control: JobControl,
    claims: Claims,
    worker: WorkerId,
    reads: JobReads,
    database: Database,
) -> None:
    job_id = (await submissions.insert(a_job())).id
    await database.rows("update job set attempts = 2, losses = 1")
    await failed(claims, worker, job_id, DeadLetter("the job failed 3 times"))
    await database.rows("update job set created_at = now() - interval '2 h', deadline = now() - interval '1 h'")
    assert await control.replay(job_id)
    assert await database.state_of(job_id) == (QUEUED, 1, 0, 0)
    assert await reads.ending(job_id) is None
    view = await reads.get(job_id, None)
    assert view is not None
    assert 3500 < (view.deadline - datetime.now(UTC)).total_seconds() <= 3600  # an hour, as at first
    assert [(row.what, row.fence) for row in await reads.setbacks(job_id)] == [("replayed", 1)]
    again = await claims.claim(job_id, worker)
    assert again is not None
    assert (again.fence, again.last_setback) == (2, "failed")
    assert await claims.finish(end_of(again, worker))


async def test_only_dead_letters_are_replayed(
    submissions: Submissions,
    control: JobControl,
    claims: Claims,
    worker: WorkerId,
    database: Database,
) -> None:
    queued = (await submissions.insert(a_job())).id
    ended = (await submissions.insert(a_job())).id
    await failed(claims, worker, ended, Internal("ours"))
    before = await database.state_of(ended)
    assert [await control.replay(job_id) for job_id in (queued, ended, new_job_id())] == [False] * 3
    assert await database.state_of(ended) == before


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.WAITING])
def test_a_job_that_has_not_ended_has_no_last_event(state: State) -> None:
    with pytest.raises(ValueError, match="has not ended"):
        told_from_the_row(state, 1, datetime.now(UTC), Reply())
