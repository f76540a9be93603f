import os
from datetime import UTC, datetime

import pytest

from shared.database.claims import Claims
from shared.database.endings import pack_archive, unpack_archive
from shared.database.engine import create_engine
from shared.database.reads import JobReads
from shared.database.submissions import Submissions
from shared.database.views import JobView, QueueDepth, Snapshot
from shared.database.workers import WorkerLeases
from shared.domain.errors import DeadLetter, Unavailable
from shared.domain.events import Completed, Entry, Expired, Failed, Reply, Text
from shared.domain.ids import LOCAL_OWNER, JobId, OwnerId, WorkerId, new_job_id
from shared.domain.jobs import Kind, OnDisconnect, Queue, State
from shared.settings import Database as DatabaseSettings
from tests.integration.jobs.conftest import LONG_LEASE
from tests.integration.jobs.factory import Database, a_job, end_of


async def test_a_view_is_the_job_as_it_stands(submissions: Submissions, reads: JobReads) -> None:
    new = a_job(labels={"lab": "7"})
    await submissions.insert(new)
    view = await reads.get(new.id, LOCAL_OWNER)
    assert view is not None
    assert view == JobView(
        id=new.id,
        owner_id=LOCAL_OWNER,
        queue=Queue.CHAT,
        kind=Kind.CHAT,
        model="demo/demo",
        state=State.QUEUED,
        fence=0,
        attempts=0,
        losses=0,
        on_disconnect=OnDisconnect.CONTINUE,
        created_at=view.created_at,
        deadline=new.deadline,
        run_after=None,
        started_at=None,
        ended_at=None,
        cancel_requested_at=None,
        worker_id=None,
        labels={"lab": "7"},
        position=0,
    )
    assert abs((datetime.now(UTC) - view.created_at).total_seconds()) < 60


async def test_foreign_and_unknown_jobs_are_not_there(submissions: Submissions, reads: JobReads) -> None:
    new = a_job()
    await submissions.insert(new)
    assert await reads.get(new.id, OwnerId(2)) is None
    assert await reads.get(new_job_id(), None) is None
    assert await reads.ending(new_job_id()) is None


async def test_lists_are_newest_first_and_go_on_after_a_job(submissions: Submissions, reads: JobReads) -> None:
    jobs = [a_job() for _ in range(7)]
    for job in jobs:
        await submissions.insert(job)
    await submissions.insert(a_job(owner_id=OwnerId(2)))
    newest_first = sorted((job.id for job in jobs), reverse=True)
    pages: list[JobId] = []
    after: JobId | None = None
    while page := await reads.list(LOCAL_OWNER, after=after, limit=3):
        pages += [view.id for view in page]
        after = page[-1].id
    assert pages == newest_first
    assert len(await reads.list(None, limit=100)) == 8


async def test_lists_are_filtered(submissions: Submissions, claims: Claims, reads: JobReads, worker: WorkerId) -> None:
    plain, labelled, device = a_job(), a_job(labels={"lab": "7", "run": "a"}), a_job(queue=Queue.DEVICE)
    for job in (plain, labelled, device):
        await submissions.insert(job)
    await claims.claim(device.id, worker)

    async def ids(**filters: object) -> set[JobId]:
        return {view.id for view in await reads.list(LOCAL_OWNER, limit=10, **filters)}  # pyright: ignore[reportArgumentType]

    assert await ids(label=("lab", "7")) == {labelled.id}
    assert await ids(label=("lab", "8")) == set()
    assert await ids(queue=Queue.DEVICE) == await ids(state=State.RUNNING) == {device.id}
    assert await ids(kind=Kind.VISION) == set()
    assert await ids(kind=Kind.CHAT, state=State.QUEUED) == {plain.id, labelled.id}


async def test_snapshots_tell_of_many_jobs_at_once(
    submissions: Submissions, claims: Claims, reads: JobReads, worker: WorkerId
) -> None:
    queued, running, ended = a_job(), a_job(), a_job()
    for job in (queued, running, ended):
        await submissions.insert(job)
    await claims.claim(running.id, worker)
    claim = await claims.claim(ended.id, worker)
    assert claim is not None
    await claims.finish(end_of(claim, worker))
    snapshots = await reads.snapshots([queued.id, running.id, ended.id, new_job_id()])
    assert snapshots == {
        queued.id: Snapshot(State.QUEUED, 0, None),
        running.id: Snapshot(State.RUNNING, 1, None),
        ended.id: Snapshot(State.SUCCEEDED, 1, snapshots[ended.id].ended_at),
    }
    assert snapshots[ended.id].ended_at is not None
    assert await reads.snapshots([]) == {}


async def test_a_position_counts_who_is_rung_before(submissions: Submissions, reads: JobReads) -> None:
    """Round-robin: A1 B1 C1 A2 B2 A3, by fair keys 1, 2 and 3."""
    a, b, c = ([a_job(fair_key=key) for _ in range(count)] for key, count in ((1, 3), (2, 2), (3, 1)))
    for job in (*a, *b, *c):
        await submissions.insert(job)
    a, b, c = (sorted(jobs, key=lambda job: job.id) for jobs in (a, b, c))
    turns = [a[0], b[0], c[0], a[1], b[1], a[2]]
    positions: list[int | None] = []
    for job in turns:
        view = await reads.get(job.id, LOCAL_OWNER)
        assert view is not None
        positions.append(view.position)
    assert positions == [0, 1, 2, 3, 4, 5]


async def test_only_who_waits_to_be_taken_has_a_position(
    submissions: Submissions, claims: Claims, reads: JobReads, worker: WorkerId
) -> None:
    running, pausing = a_job(), a_job()
    for job in (running, pausing):
        await submissions.insert(job)
        await claims.claim(job.id, worker)
    await claims.release(pausing.id, 1, worker, what="failed", run_after_s=60)
    views = [await reads.get(job.id, None) for job in (running, pausing)]
    assert [view.position for view in views if view] == [None, None]


async def test_queue_depths_are_those_of_live_queues(
    submissions: Submissions,
    claims: Claims,
    reads: JobReads,
    leases: WorkerLeases,
    database: Database,
) -> None:
    worker = await leases.register("shared", [Queue.CHAT, Queue.BATCH], 7, LONG_LEASE)
    await leases.register("chat", [Queue.CHAT], 5, LONG_LEASE)
    await leases.set_draining(await leases.register("draining", [Queue.CHAT], 100, LONG_LEASE))
    await database.lapse(await leases.register("dead", [Queue.CHAT], 100, LONG_LEASE))
    jobs = [a_job() for _ in range(5)]
    for job in jobs:
        await submissions.insert(job)
    running, parked, paused = jobs[:3]
    for job in (running, parked, paused):
        await claims.claim(job.id, worker)
    await claims.park(parked.id, 1, worker, run_after_s=60)
    await claims.release(paused.id, 1, worker, what="failed", run_after_s=60)
    await database.rows("update job set created_at = now() - interval '90 s' where id = %s", jobs[3].id)
    depths = await reads.queue_depths()
    age_s = depths[Queue.CHAT].oldest_age_s
    assert 90 <= age_s < 120
    assert depths == {
        Queue.DEVICE: QueueDepth(),
        Queue.CHAT: QueueDepth(queued=2, running=1, waiting=1, pausing=1, slots=12, oldest_age_s=age_s),
        Queue.BATCH: QueueDepth(slots=7),
        Queue.MEDIA: QueueDepth(),
    }


async def test_an_end_without_a_runner_is_told_from_the_row(
    submissions: Submissions, reads: JobReads, database: Database
) -> None:
    dead = DeadLetter("the job failed 3 times").info()
    rows = [(6, Reply(), Expired()), (4, Reply(error=dead), Failed(dead)), (3, Reply(), Completed("stop"))]
    for state, reply, event in rows:
        new = a_job()
        await submissions.insert(new)
        await database.end_without_runner(new.id, state, reply)
        ending = await reads.ending(new.id)
        assert ending is not None
        assert (ending.reply, [entry.event for entry in ending.entries]) == (reply, [event])


@pytest.mark.parametrize("count", [1, 20_000])
def test_an_archive_unpacks_to_what_was_packed(count: int) -> None:
    entries = [Entry(3, seq, seq, Text(f"{seq} é\u2028\r\n")) for seq in range(1, count + 1)]
    assert unpack_archive(pack_archive(entries)) == entries


async def test_a_long_answer_is_told_whole(
    submissions: Submissions, claims: Claims, reads: JobReads, worker: WorkerId
) -> None:
    new = a_job()
    await submissions.insert(new)
    claim = await claims.claim(new.id, worker)
    assert claim is not None
    text = os.urandom(100_000).hex()
    assert await claims.finish(end_of(claim, worker, text=text))
    ending = await reads.ending(new.id)
    assert ending is not None
    assert ending.reply.text == text
    assert ending.entries[1].event == Text(text)


async def test_without_postgres_a_read_says_so() -> None:
    nowhere = DatabaseSettings.model_validate({"url": "postgresql://app@127.0.0.1:1/none"})
    engine = create_engine(nowhere)
    with pytest.raises(Unavailable):
        await JobReads(engine).get(new_job_id(), None)
    await engine.dispose()
