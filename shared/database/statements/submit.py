"""Accepting jobs: one statement per batch, so that job, body and idempotency key are one transaction.

Arrays are always `%b`: psycopg's text form of them takes its type from the first values that it sees.
"""

from typing import Final

INSERT_JOBS: Final = """
with asked as materialized (
    select * from unnest(
        %b::uuid[], %b::bigint[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::timestamptz[],
        %b::bytea[], %b::bytea[], %b::text[], %b::text[], %b::text[], %b::bool[], %b::bigint[], %b::uuid[]
    ) with ordinality as asked(
        id, owner_id, fair_key, queue, kind, on_disconnect, deadline,
        payload, request_hash, model, labels, idempotency_key, is_rung, waiting_cap, image_id, place
    )
), fresh as materialized (
    select asked.*, row_number() over (partition by owner_id, queue order by place) as rank
    from asked
    where not exists (select from job where job.id = asked.id)
      and not exists (
          select from job
          where job.owner_id = asked.owner_id and job.idempotency_key = asked.idempotency_key
      )
), crowd as materialized (
    select line.owner_id, line.queue, counted.waiting
    from (select owner_id, queue, max(waiting_cap) as waiting_cap from fresh group by owner_id, queue) as line
    cross join lateral (
        select count(*) as waiting from (
            select from job
            where job.queue = line.queue and job.owner_id = line.owner_id and job.state = 0 and job.run_after is null
            limit line.waiting_cap
        ) as ahead
    ) as counted
), admitted as materialized (
    select fresh.* from fresh join crowd using (owner_id, queue)
    where crowd.waiting + fresh.rank <= fresh.waiting_cap
), accepted as (
    insert into job (id, owner_id, fair_key, queue, kind, on_disconnect, deadline, idempotency_key, rung_at)
    select id, owner_id, fair_key, queue, kind, on_disconnect, deadline, idempotency_key,
           case when is_rung then now() end
    from admitted order by place
    on conflict do nothing
    returning id
), bodies as (
    insert into job_body (id, payload, request_hash, model, labels, image_id)
    select id, payload, request_hash, model, labels::jsonb, image_id from admitted join accepted using (id)
)
select id, true as is_accepted from accepted
union all
select fresh.id, false from fresh join crowd using (owner_id, queue)
where crowd.waiting + fresh.rank > fresh.waiting_cap
"""
"""Returns the ids that were accepted, and those refused because too much waits. The others exist already, by their id
or their idempotency key: see `FIND_JOBS`.

What waits is counted in the statement's own snapshot: exact for one process, whose statements follow each other;
another process may add what it has in flight at the same moment. Jobs that wait out a pause are not counted.
"""

FIND_JOBS: Final = """
select asked.id, existing.id, job_body.request_hash
from unnest(%b::uuid[], %b::bigint[], %b::text[]) as asked(id, owner_id, idempotency_key)
cross join lateral (
    select job.id from job where job.id = asked.id
    union
    select job.id from job
    where job.owner_id = asked.owner_id and job.idempotency_key = asked.idempotency_key
) as existing
join job_body on job_body.id = existing.id
"""
"""Returns (asked id, existing id, the existing job's request hash)."""
