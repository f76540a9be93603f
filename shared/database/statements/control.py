"""What callers and administrators change about a job that is not theirs to run."""

from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import Select, Update, delete, func, select, text, update
from sqlalchemy.sql import Delete

from shared.database.tables import STATE_CODES, chat, job, job_done
from shared.domain.ids import JobId
from shared.domain.jobs import ACTIVE, State

AnySelect: TypeAlias = Select[*tuple[Any, ...]]  # rows are read by name
_ACTIVE: Final = [STATE_CODES[state] for state in ACTIVE]

REQUEST_CANCEL: Final = text("""
with wanted as materialized (
    select id, state, fence, worker_id from job
    where id = :id and (cast(:owner_id as bigint) is null or owner_id = :owner_id)
    for update
), marked as (
    update job set
        cancel_requested_at = coalesce(job.cancel_requested_at, now()),
        state = case when wanted.state = 1 then 1 else 5 end,
        fence = wanted.fence + case when wanted.state = 1 then 0 else 1 end,
        ended_at = case when wanted.state = 1 then null else clock_timestamp() end,
        run_after = null, rung_at = null
    from wanted where job.id = wanted.id and wanted.state in (0, 1, 2)
    returning job.id, job.state, job.fence
), ended as (
    insert into job_done (id, fence, reply)
    select id, fence, case
        when exists (select from provider_order where provider_order.job_id = marked.id)
            then cast(:ordered_reply as bytea)
        else cast(:reply as bytea) end
    from marked where state = 5
)
select coalesce(marked.state, wanted.state) as state, coalesce(marked.fence, wanted.fence) as fence,
    wanted.worker_id, wanted.state not in (0, 1, 2) as was_terminal
from wanted left join marked using (id)
""")
"""Queued or waiting -> cancelled, running -> flagged, ended -> as it was; one row, or none if there is no such job.

A job that bought something is told `ordered_reply`: workers will try to cancel the order."""


def lock_chat_of(job_id: JobId) -> AnySelect:
    """The chat whose turn a job answers, if any, locked until the transaction ends: no turn is accepted meanwhile."""
    return (
        select(chat.c.id)
        .join_from(chat, job, chat.c.id == job.c.chat_id)
        .where(job.c.id == job_id)
        .with_for_update(of=chat, key_share=True)
    )


def other_turns_under_way(job_id: JobId, chat_id: UUID) -> AnySelect:
    """The turns of a chat that are not over, without this one."""
    return select(job.c.id).where(job.c.chat_id == chat_id, job.c.id != job_id, job.c.state.in_(_ACTIVE)).limit(1)


def failed_job(job_id: JobId) -> AnySelect:
    """A failed job and how it ended, locked until the transaction ends."""
    return (
        select(job.c.fence, job.c.worker_id, job_done.c.reply)
        .join_from(job, job_done, job.c.id == job_done.c.id)
        .where(job.c.id == job_id, job.c.state == STATE_CODES[State.FAILED])
        .with_for_update(of=job)
    )


def queue_again(job_id: JobId) -> Update:
    """Make a job as new, with as much time as it had at first; its fence goes on."""
    return (
        update(job)
        .where(job.c.id == job_id)
        .values(
            state=STATE_CODES[State.QUEUED],
            attempts=0,
            losses=0,
            deadline=func.now() + (job.c.deadline - job.c.created_at),
            worker_id=None,
            run_after=None,
            rung_at=None,
            started_at=None,
            ended_at=None,
            cancel_requested_at=None,
        )
    )


def forget_ending(job_id: JobId) -> Delete:
    """Remove a job's reply and archive."""
    return delete(job_done).where(job_done.c.id == job_id)
