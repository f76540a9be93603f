"""The Celery task that matters: a doorbell was heard."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from celery import Celery

from shared.domain.ids import JobId
from shared.domain.jobs import RUN_JOB
from workers.await_bridge import wait_for


def register(app: Celery, run: Callable[[JobId, bool], Awaitable[None]]) -> None:
    """Let the app answer doorbells by awaiting `run(job id, whether it must run alone)`."""

    def run_job(job_id: str, solo: bool = False) -> None:
        wait_for(run(JobId(UUID(job_id)), solo))

    # What Celery would keep is kept in PostgreSQL: the message is acknowledged when it is heard, the result ignored.
    app.task(run_job, name=RUN_JOB, ignore_result=True, acks_late=False, shared=False)  # pyright: ignore[reportCallIssue, reportUnknownMemberType]
