"""The front's hot question says what the thorough ones say."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from shared.database.claims import Claims
from shared.database.looks import JobLooks, Look
from shared.database.reads import JobReads
from shared.database.submissions import Submissions
from shared.domain.ids import LOCAL_OWNER, JobId, WorkerId, new_job_id
from shared.settings import Settings
from tests.integration.jobs.factory import a_job, end_of
from tests.stack import TestStack, administer


@pytest.fixture
async def looks(settings: Settings) -> AsyncIterator[JobLooks]:
    looks = JobLooks(settings.database)
    await looks.open()
    yield looks
    await looks.close()


async def thorough(reads: JobReads, job_id: JobId, fair_key: int) -> Look:
    view, ending = await reads.get(job_id, LOCAL_OWNER), await reads.ending(job_id)
    assert view is not None
    return Look(msgspec.structs.replace(view, position=None), fair_key, ending and ending.reply)


async def test_many_looks_at_once_see_what_was_written(
    submissions: Submissions, claims: Claims, reads: JobReads, looks: JobLooks, worker: WorkerId
) -> None:
    queued, running, ended = a_job(labels={"lab": "7"}), a_job(fair_key=9), a_job()
    for job in (queued, running, ended):
        await submissions.insert(job)
    await claims.claim(running.id, worker)
    claim = await claims.claim(ended.id, worker)
    assert claim is not None
    await claims.finish(end_of(claim, worker, text="Done"))
    ids = [queued.id, running.id, ended.id, ended.id, new_job_id()]
    seen = await asyncio.gather(*(looks.look(job_id) for job_id in ids))
    expected = [await thorough(reads, job.id, job.fair_key) for job in (queued, running, ended, ended)]
    assert seen == [*expected, None]
    assert seen[2] is not None
    assert seen[2].reply is not None
    assert seen[2].reply.text == "Done"


async def test_a_look_survives_a_broken_connection(stack: TestStack, submissions: Submissions, looks: JobLooks) -> None:
    job = a_job()
    await submissions.insert(job)
    administer(
        stack.database_url,
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'smartsip-looks'",
    )
    seen = await looks.look(job.id)
    assert seen is not None
    assert seen.job.id == job.id
