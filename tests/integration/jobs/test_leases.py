from datetime import timedelta

from shared.database.claims import Claims
from shared.database.control import JobControl
from shared.database.submissions import Submissions
from shared.database.workers import LiveWorker, WorkerLeases
from shared.domain.ids import WorkerId
from shared.domain.jobs import Queue
from tests.integration.jobs.factory import Database, a_job

LEASE = timedelta(minutes=1)


async def test_a_registered_worker_is_alive_until_its_lease_ends(leases: WorkerLeases, database: Database) -> None:
    one = await leases.register("one", [Queue.DEVICE], 5, LEASE)
    two = await leases.register("two", [Queue.CHAT, Queue.BATCH], 7, LEASE)
    live = await leases.live()
    assert live == [
        LiveWorker(
            id=one,
            name="one",
            queues=(Queue.DEVICE,),
            slots=5,
            is_draining=False,
            started_at=live[0].started_at,
            lease_until=live[0].lease_until,
        ),
        LiveWorker(
            id=two,
            name="two",
            queues=(Queue.CHAT, Queue.BATCH),
            slots=7,
            is_draining=False,
            started_at=live[1].started_at,
            lease_until=live[1].lease_until,
        ),
    ]
    assert abs(live[0].lease_until - live[0].started_at - LEASE) < timedelta(seconds=1)
    await database.lapse(one)
    assert [worker.id for worker in await leases.live()] == [two]


async def test_a_renewal_moves_the_end_of_the_lease(leases: WorkerLeases) -> None:
    worker = await leases.register("one", [Queue.CHAT], 1, timedelta(seconds=30))
    before = (await leases.live())[0].lease_until
    assert await leases.renew(worker, LEASE) == []
    assert (await leases.live())[0].lease_until > before


async def test_a_lapsed_lease_is_never_renewed(leases: WorkerLeases, database: Database) -> None:
    worker = await leases.register("one", [Queue.CHAT], 1, LEASE)
    await database.lapse(worker)
    assert await leases.renew(worker, LEASE) is None
    assert await leases.live() == []
    assert await leases.renew(WorkerId(999_999), LEASE) is None


async def test_a_renewal_names_the_jobs_to_be_cancelled(
    leases: WorkerLeases, submissions: Submissions, claims: Claims, control: JobControl
) -> None:
    mine = await leases.register("mine", [Queue.CHAT], 5, LEASE)
    other = await leases.register("other", [Queue.CHAT], 5, LEASE)
    jobs = [(await submissions.insert(a_job())).id for _ in range(3)]
    for job_id, worker in zip(jobs, (mine, mine, other), strict=True):
        await claims.claim(job_id, worker)
    await control.request_cancel(jobs[0], None)
    await control.request_cancel(jobs[2], None)
    assert await leases.renew(mine, LEASE) == [jobs[0]]
    assert await leases.renew(other, LEASE) == [jobs[2]]


async def test_a_worker_says_that_it_drains_and_leaves(leases: WorkerLeases) -> None:
    worker = await leases.register("one", [Queue.CHAT], 1, LEASE)
    await leases.set_draining(worker)
    assert [live.is_draining for live in await leases.live()] == [True]
    await leases.deregister(worker)
    assert await leases.live() == []
    assert await leases.renew(worker, LEASE) is None


async def test_leases_survive_the_death_of_the_connection(leases: WorkerLeases, database: Database) -> None:
    worker = await leases.register("one", [Queue.CHAT], 1, LEASE)
    assert await database.kill_connections("smartsip-leases") == 1
    assert await leases.renew(worker, LEASE) == []
