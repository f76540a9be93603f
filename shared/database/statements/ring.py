"""Which doorbells to ring: about 1.2 per live slot, round-robin by fair key; the rest wait as rows.

A *line* is what one fair key of one owner has waiting in a queue. The lines are found by a loose index scan (one probe
per line); of each only the front is read, so that a line of 100,000 costs no more than one of ten. Jobs that were rung
are the front of their line: the first that was not tells how many were.
"""

from typing import Final

from sqlalchemy import text

TOP_UP: Final = text("""
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
), front as materialized (
    select line.owner_id, line.fair_key, unrung.id as first_id, rung.bells
    from line
    left join lateral (
        select job.id from job
        where job.queue = :queue and job.owner_id = line.owner_id and job.fair_key = line.fair_key
          and job.state = 0 and job.run_after is null
          and (job.rung_at is null or job.rung_at < now() - make_interval(secs => :ring_again_s))
        order by job.id limit 1
    ) as unrung on true
    cross join lateral (
        select count(*) as bells from job
        where job.queue = :queue and job.owner_id = line.owner_id and job.fair_key = line.fair_key
          and job.state = 0 and job.run_after is null
          and (unrung.id is null or job.id < unrung.id)
    ) as rung
), load as materialized (
    select
        (select coalesce(sum(slots), 0) from worker
         where :queue = any(queues) and is_draining = 0 and lease_until > clock_timestamp()) as slots,
        (select count(*) from job where state = 1 and queue = :queue) as running,
        (select coalesce(sum(bells), 0) from front) as bells,
        (select count(*) from front where first_id is not null) as lines
), room as materialized (
    select cast(greatest(0, ceil(:share * slots) - running - bells) as bigint) as places, lines from load
), picked as materialized (
    select pick.id from room cross join front cross join lateral (
        select ahead.id, front.bells + row_number() over (order by ahead.id) as turn
        from (
            select job.id from job
            where job.queue = :queue and job.owner_id = front.owner_id and job.fair_key = front.fair_key
              and job.state = 0 and job.run_after is null and job.id >= front.first_id
              and (job.rung_at is null or job.rung_at < now() - make_interval(secs => :ring_again_s))
            order by job.id
            limit least(room.places, greatest(8, 4 * room.places / greatest(1, room.lines)))
        ) as ahead
    ) as pick
    where front.first_id is not null and room.places > 0
    order by pick.turn, pick.id
    limit (select places from room)
), locked as materialized (
    select job.id from job join picked using (id)
    where job.state = 0 and job.run_after is null
      and (job.rung_at is null or job.rung_at < now() - make_interval(secs => :ring_again_s))
    for update of job skip locked
), rung as (
    update job set rung_at = now() from locked where job.id = locked.id returning job.id, job.losses
)
select room.places, (select count(*) from picked) as picked, rung.id, rung.losses from room left join rung on true
""")
"""Marks jobs as rung and returns them, at least one row, each with the room there was before.

Rows that another process is ringing at this moment are left to it: then fewer are returned than were `picked`. While
two ring at once, each may see gaps in the fronts that the other is filling, and ring somewhat more than there is room
for: that costs some fairness and nothing else.
"""

UNRING: Final = text("""
with locked as materialized (
    select id from job where id = any(:ids) and state = 0 order by id for update skip locked
)
update job set rung_at = null from locked where job.id = locked.id returning job.id
""")
"""Takes back the mark of doorbells that could not be sent."""
