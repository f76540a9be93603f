"""Accepting jobs: one statement per batch, so that all that belongs to an accepted job is one transaction.

That is its row and body, the idempotency key, what is said in its chat and what is reserved of quotas for it.
Rows are looked up one by one, whatever the planner believes about the tables (it may have counted them when they were
empty): `offset 0` keeps it from joining them instead, `owner_id + 0` from reading all jobs of an owner for one key.
Arrays are always `%b`: psycopg's text form of them takes its type from the first values that it sees.
"""

from typing import Final

LOCK_CHATS: Final = "select from chat where id = any(%b::uuid[]) order by id for no key update"
"""Run before `INSERT_JOBS`, in its transaction: a chat's turns are accepted one after the other, and see each other."""

OPEN_QUOTAS: Final = """
insert into quota (owner_id, subject, limit_tokens)
select * from unnest(%b::bigint[], %b::text[], %b::bigint[]) as opened(owner_id, subject, limit_tokens)
order by owner_id, subject
on conflict do nothing
"""
LOCK_QUOTAS: Final = """
select from quota join unnest(%b::bigint[], %b::text[]) as drawn(owner_id, subject) using (owner_id, subject)
order by quota.owner_id, quota.subject for update of quota
"""
"""Run before `INSERT_JOBS`, in its transaction: two jobs cannot both be given the rest of a quota."""

INSERT_JOBS: Final = """
with asked as materialized (
    select * from unnest(
        %b::uuid[], %b::bigint[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::timestamptz[],
        %b::bytea[], %b::bytea[], %b::text[], %b::text[], %b::text[], %b::bool[], %b::bigint[], %b::uuid[],
        %b::text[], %b::uuid[], %b::uuid[], %b::bigint[], %b::bool[], %b::text[], %b::text[], %b::bigint[], %b::bigint[]
    ) with ordinality as asked(
        id, owner_id, fair_key, queue, kind, on_disconnect, deadline,
        payload, request_hash, model, labels, idempotency_key, is_rung, waiting_cap, image_id,
        client, key_id, chat_id, old_turn, only_if_idle, messages, subjects, input_tokens, output_tokens, place
    )
), fresh as materialized (
    select asked.*, row_number() over (partition by owner_id, queue order by place) as rank
    from asked
    where not exists (select from job where job.id = asked.id offset 0)
      and not exists (
          select from job
          where job.idempotency_key = asked.idempotency_key and job.owner_id + 0 = asked.owner_id offset 0
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
), drawn as materialized (
    select fresh.id, quota.owner_id, quota.subject, fresh.input_tokens + fresh.output_tokens as tokens,
        quota.used_tokens + quota.reserved_tokens + sum(fresh.input_tokens + fresh.output_tokens)
            over (
                partition by quota.owner_id, quota.subject
                order by fresh.input_tokens + fresh.output_tokens, fresh.place  -- a large one, refused, hides none
            ) > quota.limit_tokens as is_over
    from fresh cross join lateral jsonb_array_elements_text(fresh.subjects::jsonb) as named(subject)
    join quota on quota.owner_id = fresh.owner_id and quota.subject = named.subject
    where fresh.subjects is not null
), passed as materialized (
    select fresh.*, case
        when fresh.chat_id is not null and not exists (
            select from chat where chat.id = fresh.chat_id and chat.owner_id = fresh.owner_id
        ) then 'gone'
        when exists (select from drawn where drawn.id = fresh.id and drawn.is_over) then 'spent'
        when crowd.waiting + fresh.rank > fresh.waiting_cap then 'crowded' end as refusal
    from fresh join crowd using (owner_id, queue)
), lined as materialized (
    select passed.*, case when chat_id is not null and refusal is null then
            (select count(*) from job where job.chat_id = passed.chat_id and job.state in (0, 1, 2))
            + row_number() over (partition by chat_id, refusal order by place) - 1
        else 0 end as ahead
    from passed
), judged as materialized (
    select lined.*, case
        when refusal is not null then refusal
        when (only_if_idle or old_turn is not null) and ahead > 0 then 'busy'
        when ahead >= 100 then 'crowded'
        else 'accepted' end as verdict
    from lined
), admitted as materialized (
    select judged.*, case when chat_id is not null then coalesce(old_turn, nextval('turn_number')) end as turn
    from judged where verdict = 'accepted' order by place
), accepted as (
    insert into job (
        id, owner_id, fair_key, queue, kind, on_disconnect, deadline, idempotency_key, chat_id, turn, rung_at, run_after
    )
    select id, owner_id, fair_key, queue, kind, on_disconnect, deadline, idempotency_key, chat_id, turn,
           case when is_rung and ahead = 0 then now() end, case when ahead > 0 then timestamptz 'infinity' end
    from admitted order by place
    on conflict do nothing
    returning id, run_after
), bodies as (
    insert into job_body (id, payload, request_hash, model, labels, image_id, client, key_id)
    select id, payload, request_hash, model, labels::jsonb, image_id, client, key_id
    from admitted join accepted using (id)
), said as (
    insert into message (job_id, chat_id, owner_id, turn, role, content, media, provider, model)
    select admitted.id, admitted.chat_id, admitted.owner_id, admitted.turn, spoken.*
    from admitted join accepted using (id)
    cross join lateral jsonb_to_recordset(admitted.messages::jsonb) as spoken(
        role text, content text, media jsonb, provider text, model text
    )
    where admitted.messages is not null
), used as (
    update chat set updated_at = clock_timestamp()
    where id = any(array(select chat_id from admitted join accepted using (id) where chat_id is not null))
), reserved as (
    insert into reservation (job_id, owner_id, subjects, input_tokens, output_tokens)
    select admitted.id, admitted.owner_id, array_agg(drawn.subject), admitted.input_tokens, admitted.output_tokens
    from admitted join accepted using (id) join drawn using (id)
    group by admitted.id, admitted.owner_id, admitted.input_tokens, admitted.output_tokens
), kept as (
    update quota set reserved_tokens = quota.reserved_tokens + part.tokens, updated_at = now()
    from (
        select drawn.owner_id, drawn.subject, sum(drawn.tokens) as tokens
        from drawn join accepted using (id) group by drawn.owner_id, drawn.subject
    ) as part
    where quota.owner_id = part.owner_id and quota.subject = part.subject
)
select id, case when run_after is null then 'accepted' else 'behind' end as verdict from accepted
union all
select id, verdict from judged where verdict <> 'accepted'
"""
"""Returns what became of each job: `accepted`; `behind` (accepted, but an earlier turn of its chat is not over);
`crowded` (too much waits); `busy` (only if idle, or for an old turn, and the chat is not idle: turns that wait are
always later ones); `gone` (no such chat); `spent` (no quota left).
Those not returned exist already, by their id or their idempotency key: see `FIND_JOBS`.

What waits is counted in the statement's own snapshot: exact for one process, whose statements follow each other;
another process may add what it has in flight at the same moment. Jobs that wait out a pause are not counted; of turns
that wait for earlier ones, a chat may have 100.
"""

FIND_JOBS: Final = """
select asked.id, existing.id, (select request_hash from job_body where job_body.id = existing.id)
from unnest(%b::uuid[], %b::bigint[], %b::text[]) as asked(id, owner_id, idempotency_key)
cross join lateral (
    select job.id from job where job.id = asked.id
    union all
    select job.id from job
    where job.idempotency_key = asked.idempotency_key and job.owner_id + 0 = asked.owner_id
) as existing
"""
"""Returns (asked id, existing id, the existing job's request hash), twice where both id and key are the job's."""
