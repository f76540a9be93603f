"""What the sweep does to jobs nobody runs. Each statement moves at most `LIMIT` rows and says how many it moved.

Rows that somebody else has locked are skipped: they are being moved already, and the next sweep looks again. An end
without a runner raises the fence: it is an attempt of its own, with one event.
"""

from typing import Final

LIMIT: Final = 500
"""Rows per statement: each takes a few milliseconds, and locks little for as long."""

LEAD: Final = "select pg_try_advisory_lock(%(key)s)"
SERVER_AGE: Final = "select extract(epoch from clock_timestamp() - pg_postmaster_start_time())::double precision"

WAKE: Final = """
with due as materialized (
    select id from job
    where state in (0, 2) and run_after is not null and run_after <= now()
    order by run_after limit %(limit)s for update skip locked
)
update job set state = 0, run_after = null, rung_at = null, worker_id = null from due where job.id = due.id
returning job.id
"""

TAKE_BACK: Final = """
with recursive holder as (
    (select worker_id from job where state = 1 order by worker_id limit 1)
    union all
    select next.worker_id from holder cross join lateral (
        select job.worker_id from job
        where job.state = 1 and job.worker_id > holder.worker_id order by job.worker_id limit 1
    ) as next
), lapsed as materialized (
    -- Locked: a renewal that is on its way is waited for or skipped, never overlooked.
    select id from worker where lease_until < clock_timestamp() order by id for update skip locked
), dead as materialized (
    select id from lapsed
    union all
    select worker_id from holder where not exists (select from worker where worker.id = holder.worker_id)
), orphan as materialized (
    select job.id, job.fence, job.worker_id, job.losses + 1 as losses,
        case when job.cancel_requested_at is not null then 5
             when job.losses + 1 >= %(max_losses)s then 4
             else 0 end as state
    from dead join job on job.worker_id = dead.id and job.state = 1
    order by job.id limit %(limit)s for update of job skip locked
), taken as (
    update job set
        state = orphan.state, losses = orphan.losses, worker_id = null, rung_at = null,
        fence = job.fence + case when orphan.state = 0 then 0 else 1 end,
        ended_at = case when orphan.state <> 0 then clock_timestamp() end
    from orphan where job.id = orphan.id
    returning job.id, job.fence, job.state
), setback as (
    insert into job_setback (job_id, fence, worker_id, what)
    select id, fence, worker_id, 'worker_lost' from orphan
), ended as (
    insert into job_done (id, fence, reply)
    select id, fence, case state when 5 then %(cancelled)s::bytea else %(dead)s::bytea end from taken where state <> 0
)
select taken.id, taken.state, orphan.worker_id, orphan.losses from taken join orphan using (id)
"""
"""Jobs of workers whose lease has lapsed, or that left: back to the queue, or ended."""

EXPIRE: Final = """
with late as materialized (
    select id from job where state in (0, 2) and deadline <= now()
    order by deadline limit %(limit)s for update skip locked
), expired as (
    update job set state = 6, fence = job.fence + 1, run_after = null, rung_at = null, ended_at = clock_timestamp()
    from late where job.id = late.id
    returning job.id, job.fence
)
insert into job_done (id, fence, reply) select id, fence, %(reply)s::bytea from expired returning id
"""

FAIL_OVERDUE: Final = """
with late as materialized (
    select id from job where state = 1 and deadline < now() - 2 * %(lease)s::interval
    order by worker_id  -- as `job_running` is: ordered by id, the planner would walk through all that has ended
    limit %(limit)s for update skip locked
), failed as (
    update job set state = 4, fence = job.fence + 1, ended_at = clock_timestamp()
    from late where job.id = late.id
    returning job.id, job.fence
)
insert into job_done (id, fence, reply) select id, fence, %(reply)s::bytea from failed returning id
"""
"""Jobs whose runner lives but has not ended them in time: it is stuck, and its later writes are refused."""

FORGET_WORKERS: Final = """
delete from worker
where lease_until < now() - 20 * %(lease)s::interval
  and not exists (select from job where job.state = 1 and job.worker_id = worker.id)
returning id
"""

FORGET_BELLS: Final = """
with rung as materialized (
    select id from job where state = 0 and run_after is null and rung_at is not null
    order by id limit %(limit)s for update skip locked
)
update job set rung_at = null from rung where job.id = rung.id returning job.id
"""
