"""What a runner's process writes: after the claim always with fence and worker, refused if they are the job's no more.

Claims are committed synchronously like the rest: a crash of the server that forgot one would give its fence to the
next runner as well, and readers would see two runners' events under one attempt.

Rows of `job` and `job_body` are looked up one by one, whatever the planner believes about these tables (it may have
counted them when they were empty): by `any`, or by subqueries that it cannot turn into joins, hence `offset 0`.
`worker_id is not distinct from` and `state + 0` say what the plain column would, and cannot be looked up in
`job_running` or `job_ready`: jobs are found by their ids, not by reading everything that a worker runs, or that waits.
"""

from typing import Final

_CLAIMED: Final = """
    job.id, job.owner_id, job.queue, job.kind, job.fence, job.attempts, job.losses, job.deadline, job.created_at,
    job.started_at, (select payload from job_body where job_body.id = job.id), job.chat_id, job.turn,
    case when job.fence > 1 then (
        select case when setback.fence = job.fence - 1 then setback.what else 'released' end
        from job_setback as setback where setback.job_id = job.id order by setback.fence desc, setback.id desc limit 1
    ) end as last_setback
"""

CLAIM: Final = f"""
with bell as materialized (
    select * from unnest(%b::uuid[], %b::bigint[], %b::bool[]) as bell(id, worker_id, is_solo)
)
update job
set state = 1, fence = job.fence + 1, worker_id = bell.worker_id, started_at = clock_timestamp(), rung_at = null
from bell, worker
where job.id = any(array(select id from bell)) and job.id = bell.id and worker.id = bell.worker_id
  and job.state + 0 = 0 and job.run_after is null and job.cancel_requested_at is null
  and job.deadline > clock_timestamp() and worker.lease_until > clock_timestamp()
  and (job.losses < %b or bell.is_solo)
returning {_CLAIMED}
"""  # noqa: S608 - made of this module's constants only
"""Takes queued jobs, by worker; jobs that others took, or that must not run now, are not returned."""

FIND_CLAIMS: Final = f"""
select {_CLAIMED}
from unnest(%b::uuid[], %b::bigint[]) as bell(id, worker_id)
cross join lateral (select * from job where job.id = bell.id offset 0) as job
where job.worker_id = bell.worker_id and job.state = 1
"""  # noqa: S608 - made of this module's constants only
"""Returns what the worker holds of these jobs: how a claim whose answer was lost is found again."""

FINISH: Final = """
with ending as materialized (
    select * from unnest(
        %b::uuid[], %b::int[], %b::bigint[], %b::smallint[], %b::bytea[], %b::bytea[],
        %b::text[], %b::text[], %b::text[]
    ) as ending(id, fence, worker_id, state, reply, archive, finding, answer, charge)
), ended as (  -- where the planner knows nothing, it reads what runs, and no more: that is as much as there are slots
    update job set state = ending.state, ended_at = clock_timestamp()
    from ending
    where job.id = ending.id and job.fence = ending.fence and job.state = 1
      and job.worker_id is not distinct from ending.worker_id
    returning job.id, job.owner_id, job.kind, job.chat_id, job.turn
), found as (
    insert into finding (
        job_id, owner_id, image_id, model, prompt, profile, volume, degree, container, contents,
        receivable, child_present, is_safe_default, is_changed
    )
    select ended.id, ended.owner_id, seen.*
    from ended join ending using (id) cross join lateral jsonb_to_record(ending.finding::jsonb) as seen(
        image_id uuid, model text, prompt text, profile text, volume int, degree int, container text, contents text,
        receivable bool, child_present bool, is_safe_default bool, is_changed bool
    )
    where ending.finding is not null
    on conflict do nothing
), answered as (
    insert into message (
        job_id, chat_id, owner_id, turn, role, content, media, reasoning, search_results, signatures, tool_calls,
        provider, model, usage, finish_reason
    )
    select ended.id, ended.chat_id, ended.owner_id, ended.turn, 'assistant', said.*
    from ended join ending using (id) cross join lateral jsonb_to_record(ending.answer::jsonb) as said(
        content text, media jsonb, reasoning text, search_results jsonb, signatures jsonb, tool_calls jsonb,
        provider text, model text, usage jsonb, finish_reason text
    )
    where ending.answer is not null and ended.chat_id is not null
), charged as (
    insert into charge (
        job_id, owner_id, kind, client, key_id, model, input_tokens, output_tokens, reasoning_tokens, cached_tokens,
        lost_tokens, is_estimated, cost
    )
    select ended.id, ended.owner_id, ended.kind, job_body.client, job_body.key_id, used.*
    from ended join ending using (id)
    cross join lateral (select client, key_id from job_body where job_body.id = ended.id offset 0) as job_body
    cross join lateral jsonb_to_record(ending.charge::jsonb) as used(
        model text, input_tokens bigint, output_tokens bigint, reasoning_tokens bigint, cached_tokens bigint,
        lost_tokens bigint, is_estimated bool, cost numeric
    )
    where ending.charge is not null
    on conflict (job_id) do update set  -- a dead letter that was replayed ends twice, and costs twice
        input_tokens = charge.input_tokens + excluded.input_tokens,
        output_tokens = charge.output_tokens + excluded.output_tokens,
        reasoning_tokens = charge.reasoning_tokens + excluded.reasoning_tokens,
        cached_tokens = charge.cached_tokens + excluded.cached_tokens,
        lost_tokens = charge.lost_tokens + excluded.lost_tokens,
        is_estimated = charge.is_estimated or excluded.is_estimated,
        cost = charge.cost + excluded.cost,
        charged_at = excluded.charged_at
)
insert into job_done (id, fence, reply, archive)
select ending.id, ending.fence, ending.reply, ending.archive from ending join ended using (id)
returning id
"""
"""Ends jobs, and writes in the same moment what they found, what they said in a chat, and what they used."""

FIND_ENDS: Final = """
select job.id
from unnest(%b::uuid[], %b::int[], %b::bigint[], %b::smallint[]) as ending(id, fence, worker_id, state)
cross join lateral (select * from job where job.id = ending.id offset 0) as job
where job.fence = ending.fence and job.worker_id = ending.worker_id and job.state = ending.state
"""
"""Returns the jobs that this very runner has ended this very way: its answer was lost, not its claim."""

GIVE_BACK: Final = """
with mine as materialized (
    select id, fence, worker_id, attempts + %(failures)s as attempts,
        case when cancel_requested_at is not null then 5
             when attempts + %(failures)s >= %(max_attempts)s then 4
             else 0 end as state
    from job
    where id = %(id)s and fence = %(fence)s and state = 1 and worker_id is not distinct from %(worker_id)s
    for update
), given as (
    update job set
        state = mine.state, attempts = mine.attempts, worker_id = null, rung_at = null,
        fence = job.fence + case when mine.state = 0 then 0 else 1 end,
        ended_at = case when mine.state <> 0 then clock_timestamp() end,
        run_after = case when mine.state = 0 then
            clock_timestamp() + make_interval(secs => %(run_after_s)s::double precision)
        end
    from mine where job.id = mine.id
    returning job.id, job.fence, job.state
), setback as (
    insert into job_setback (job_id, fence, worker_id, what, error)
    select id, fence, worker_id, %(what)s::text, %(error)s::text::jsonb from mine
), ended as (
    insert into job_done (id, fence, reply)
    select id, fence, case state when 5 then %(cancelled)s::bytea else %(dead)s::bytea end from given where state <> 0
)
select 1 from given
"""
"""Running -> queued. A job whose cancel was asked for ends instead, and so does one that failed too often."""

FIND_SETBACK: Final = """
select 1 from job_setback
where job_id = %(id)s and fence = %(fence)s and worker_id = %(worker_id)s and what = %(what)s::text
"""

PARK: Final = """
with mine as materialized (
    select id, case when cancel_requested_at is not null then 5 else 2 end as state
    from job
    where id = %(id)s and fence = %(fence)s and state = 1 and worker_id is not distinct from %(worker_id)s
    for update
), parked as (
    update job set
        state = mine.state, rung_at = null,
        fence = job.fence + case when mine.state = 5 then 1 else 0 end,
        ended_at = case when mine.state = 5 then clock_timestamp() end,
        run_after = case when mine.state = 2 then
            clock_timestamp() + make_interval(secs => %(run_after_s)s::double precision)
        end
    from mine where job.id = mine.id
    returning job.id, job.fence, job.state
), ended as (
    insert into job_done (id, fence, reply) select id, fence, %(cancelled)s::bytea from parked where state = 5
)
select 1 from parked
"""
"""Running -> waiting. The worker stays named, so that a park whose answer was lost is recognised."""

FIND_PARKED: Final = """
select 1 from job
where id = %(id)s and worker_id = %(worker_id)s
  and (state = 2 and fence = %(fence)s or state = 5 and fence = %(fence)s + 1)
"""
