"""What follows when a turn of a chat, or a job with a reservation, is over."""

from typing import Final

from sqlalchemy import text

_FREE: Final = """
with next as materialized (
    select pick.id from {blocked} as blocked cross join lateral (
        select job.id from job where job.chat_id = blocked.chat_id and job.state in (0, 1, 2)
        order by job.turn, job.id limit 1
    ) as pick
), front as materialized (  -- by their ids only, or the planner would look through everything that is blocked
    select id, state, run_after from job where id = any(array(select id from next)) for update skip locked
), due as materialized (
    select id from front where state = 0 and run_after = 'infinity' limit {limit}
)
update job set run_after = null from due where job.id = due.id returning job.id
"""
FREE_NEXT: Final = text(_FREE.format(blocked="(select cast(:chat_id as uuid) as chat_id)", limit="1"))
"""Lets the next turn of a chat be rung if none before it is left; nothing happens if there is none, or it may already.

A turn that is accepted while this runs may be overlooked: it sees an earlier turn that has just ended. The sweep finds
it with `FREE_BLOCKED`.
"""
FREE_BLOCKED: Final = _FREE.format(
    blocked="(select distinct chat_id from job where state = 0 and run_after = 'infinity')", limit="%(limit)s"
)

_SETTLE: Final = """
with over as materialized (
    select reservation.job_id from reservation left join job on job.id = reservation.job_id
    where (job.id is null or job.state not in (0, 1, 2)) {which}
    order by reservation.job_id for update of reservation skip locked
), settled as (
    delete from reservation using over where reservation.job_id = over.job_id
    returning reservation.*
), cost as materialized (
    select settled.owner_id, named.subject, sum(settled.input_tokens + settled.output_tokens) as reserved,
        sum(coalesce(
            charge.input_tokens + charge.output_tokens + charge.lost_tokens,
            settled.input_tokens * coalesce(job.losses, 0)
        )) as used
    from settled left join job on job.id = settled.job_id left join charge on charge.job_id = settled.job_id
    cross join lateral unnest(settled.subjects) as named(subject)
    group by settled.owner_id, named.subject
), locked as materialized (
    select quota.owner_id, quota.subject from quota join cost using (owner_id, subject)
    order by quota.owner_id, quota.subject for update of quota
)
update quota set
    reserved_tokens = quota.reserved_tokens - cost.reserved, used_tokens = quota.used_tokens + cost.used,
    updated_at = now()
from cost join locked using (owner_id, subject)
where quota.owner_id = cost.owner_id and quota.subject = cost.subject
returning 1
"""
SETTLE_ONE: Final = text(_SETTLE.format(which="and reservation.job_id = :job_id"))
"""Replaces what a job that is over had reserved by what it used. A job that ended without a runner used what the
attempts that were lost under it were sent, as far as is known."""
SETTLE_ALL: Final = _SETTLE.format(which="")
"""The same for every job that is over: those that ended without a runner, and those whose runner died right after."""
