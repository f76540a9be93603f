"""Looking at jobs: every function returns a `select`, scoped to an owner where one is given."""

from collections.abc import Collection
from typing import Any, Final, TypeAlias

from sqlalchemy import Select, and_, any_, bindparam, case, cast, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import Uuid

from shared.database.tables import STATE_CODES, job, job_body, job_done, job_setback
from shared.domain.ids import JobId, OwnerId
from shared.domain.jobs import Kind, Queue, State

AnySelect: TypeAlias = Select[*tuple[Any, ...]]  # rows are read by name

_PAUSES_UNTIL: Final = case((job.c.run_after == text("'infinity'"), job.c.deadline), else_=job.c.run_after)
"""A turn that waits for an earlier one has no time of its own: it waits until its deadline at the latest."""
VIEW: Final = (
    *(job.c.id, job.c.owner_id, job.c.queue, job.c.kind, job.c.state, job.c.fence, job.c.attempts, job.c.losses),
    *(job.c.on_disconnect, job.c.created_at, job.c.deadline, _PAUSES_UNTIL, job.c.started_at, job.c.ended_at),
    *(job.c.cancel_requested_at, job.c.worker_id, job_body.c.labels, job_body.c.model, job.c.fair_key),
)


def job_view(job_id: JobId, owner_id: OwnerId | None) -> AnySelect:
    """One job, as it is shown."""
    return _of_owner(_views().where(job.c.id == job_id), owner_id)


def job_views(
    owner_id: OwnerId | None,
    *,
    state: State | None,
    kind: Kind | None,
    queue: Queue | None,
    label: tuple[str, str] | None,
    after: JobId | None,
    limit: int,
) -> AnySelect:
    """Jobs, newest first, from the one after `after`."""
    statement = _of_owner(_views(), owner_id).order_by(job.c.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(job.c.state == STATE_CODES[state])
    if kind is not None:
        statement = statement.where(job.c.kind == kind.value)
    if queue is not None:
        statement = statement.where(job.c.queue == queue.value)
    if label is not None:
        name, value = label
        statement = statement.where(job_body.c.labels.contains(cast(literal({name: value}, JSONB), JSONB)))
    if after is not None:
        statement = statement.where(job.c.id < after)
    return statement


def snapshots(ids: Collection[JobId]) -> AnySelect:
    """What a reader must know of many jobs at once."""
    wanted = bindparam("ids", list(ids), type_=ARRAY(Uuid))
    return select(job.c.id, job.c.state, job.c.fence, job.c.ended_at).where(job.c.id == any_(wanted))


def ending(job_id: JobId) -> AnySelect:
    """How a job ended; no row while it has not."""
    return (
        select(job.c.state, job_done.c.fence, job.c.ended_at, job_done.c.reply, job_done.c.archive)
        .join_from(job, job_done, job.c.id == job_done.c.id)
        .where(and_(job.c.id == job_id, job.c.ended_at.is_not(None)))
    )


def setbacks(job_id: JobId) -> AnySelect:
    """Attempts that did not end the job, oldest first."""
    columns = (job_setback.c.fence, job_setback.c.worker_id, job_setback.c.what, job_setback.c.error, job_setback.c.at)
    return select(*columns).where(job_setback.c.job_id == job_id).order_by(job_setback.c.id)


def _views() -> AnySelect:
    return select(*VIEW).join_from(job, job_body, job.c.id == job_body.c.id)


def _of_owner(statement: AnySelect, owner_id: OwnerId | None) -> AnySelect:
    return statement if owner_id is None else statement.where(job.c.owner_id == owner_id)


POSITION: Final = text("""
with recursive line as (
    (select owner_id, fair_key from job
     where queue = :queue and state = 0 and run_after is null order by owner_id, fair_key limit 1)
    union all
    select next.owner_id, next.fair_key from line cross join lateral (
        select job.owner_id, job.fair_key from job
        where job.queue = :queue and job.state = 0 and job.run_after is null
          and (job.owner_id, job.fair_key) > (line.owner_id, line.fair_key)
        order by job.owner_id, job.fair_key limit 1
    ) as next
), own as materialized (
    select count(*) as ahead from (
        select from job
        where queue = :queue and owner_id = :owner_id and fair_key = :fair_key
          and state = 0 and run_after is null and id < :id
        limit :most
    ) as mine
)
select count(*) from (
    select from line cross join own cross join lateral (
        select from job
        where job.queue = :queue and job.owner_id = line.owner_id and job.fair_key = line.fair_key
          and job.state = 0 and job.run_after is null
          and ((line.owner_id, line.fair_key) <> (:owner_id, :fair_key) or job.id < :id)
        limit own.ahead + case when (line.owner_id, line.fair_key) < (:owner_id, :fair_key) then 1 else 0 end
    ) as ahead
    limit :most
) as counted
""")
"""Round-robin: ahead of the n-th job of a key stand n - 1 of its own, and up to as many of every other key's (one more
of the keys that come before). Counts up to `most`."""

QUEUE_DEPTHS: Final = text("""
select queue, count(*) as queued, 0 as running, 0 as waiting,
    extract(epoch from clock_timestamp() - min(created_at)) as oldest_age_s
from job where state = 0 and run_after is null group by queue
union all
select queue, count(*) filter (where state = 0), 0, count(*) filter (where state = 2), null
from job where state in (0, 2) and run_after is not null group by queue
union all
select queue, 0, count(*), 0, null from job where state = 1 group by queue
""")
"""One part per partial index, so that finished jobs are not read."""

QUEUE_SLOTS: Final = text("""
select queue, sum(slots) from worker cross join unnest(queues) as queue
where lease_until > clock_timestamp() and is_draining = 0 group by queue
""")
