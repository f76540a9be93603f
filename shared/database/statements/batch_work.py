"""What moves a batch on: take in what has ended, hand out what comes next. For `shared.database.batch_work`.

All of it is done under the batch's row lock, so that several processes may try at once. Items are told to PostgreSQL
as JSON: rows of several types, some of them null.
"""

from typing import Final

UNDER_WAY: Final = """
select id from batch
where ended_at is null
  and (state <> 1 or exists (select from batch_item where batch_id = batch.id and batch_item.state = 1))
order by id
"""
"""Batches that something can happen to: one that is paused rests once nothing of it runs."""

LOCK: Final = """
select id, number, owner_id, state, photos, budget_cost, budget_tokens, rate, key_id,
    extract(epoch from clock_timestamp() - rated_at)::float8 as rated_s_ago
from batch where id = %(id)s and ended_at is null for update skip locked
"""

VARIANTS: Final = """
select number, spec, next_position, input_tokens, output_tokens, cost, dearest_cost, dearest_tokens
from batch_variant where batch_id = %(id)s order by number
"""

ENDED: Final = """
select item.variant, item.position, item.job_id, job.state, done.reply,
    job.started_at, job.ended_at, charge.input_tokens, charge.output_tokens, charge.cost,
    case when job.state = 4 then (
        select error from job_setback where job_id = item.job_id and what = 'failed' order by id desc limit 1
    ) end as last_error,
    exists (
        select from batch_photo as photo join image on image.id = photo.image_id
        where photo.batch_id = item.batch_id and photo.position = item.position
    ) as has_photo
from batch_item as item
join job on job.id = item.job_id
left join job_done as done on done.id = item.job_id
left join charge on charge.job_id = item.job_id
where item.batch_id = %(id)s and item.state = 1 and job.state in (3, 4, 5, 6)
limit %(limit)s
"""
"""Items whose job is over."""

LOST: Final = """
select item.variant, item.position, item.job_id, photo.image_id, image.id is not null as has_photo
from batch_item as item
join batch_photo as photo on photo.batch_id = item.batch_id and photo.position = item.position
left join image on image.id = photo.image_id
where item.batch_id = %(id)s and item.state = 1
  and item.dispatched_at < clock_timestamp() - make_interval(secs => %(after_s)s)
  and not exists (select from job where job.id = item.job_id offset 0)
limit %(limit)s
"""
"""Items whose job was never accepted: whoever was about to submit it died, or was refused."""

SETTLE: Final = """
with told as materialized (
    select * from jsonb_to_recordset(%(rows)s::jsonb) as told(
        variant smallint, position int, state smallint, job_id uuid, error_code text, error_detail text,
        receivable boolean, child_present boolean, container text, contents text, volume int, degree int,
        asked_volume float8, asked_degree float8, interventions text[], is_unusable boolean, latency_ms int,
        input_tokens bigint, output_tokens bigint, cost numeric, ended_at timestamptz, is_priced boolean
    )
), settled as (
    update batch_item as item set
        state = told.state, job_id = told.job_id, error_code = told.error_code, error_detail = told.error_detail,
        receivable = told.receivable, child_present = told.child_present, container = told.container,
        contents = told.contents, volume = told.volume, degree = told.degree, asked_volume = told.asked_volume,
        asked_degree = told.asked_degree, interventions = told.interventions, is_unusable = told.is_unusable,
        latency_ms = told.latency_ms, input_tokens = told.input_tokens, output_tokens = told.output_tokens,
        cost = told.cost, ended_at = told.ended_at
    from told
    where item.batch_id = %(id)s and item.variant = told.variant and item.position = told.position and item.state = 1
    returning item.variant, item.state, item.input_tokens, item.output_tokens, item.cost, told.is_priced
), summed as (
    select variant,
        count(*) filter (where state = 2) as succeeded, count(*) filter (where state = 3) as failed,
        count(*) filter (where state = 4) as cancelled, count(*) filter (where state = 5) as deleted,
        count(*) filter (where state = 2 and not is_priced) as unpriced,
        coalesce(sum(input_tokens), 0) as input_tokens, coalesce(sum(output_tokens), 0) as output_tokens,
        sum(cost) as cost, max(cost) as dearest_cost, max(input_tokens + output_tokens) as dearest_tokens
    from settled group by variant
)
update batch_variant as variant set
    succeeded = variant.succeeded + summed.succeeded, failed = variant.failed + summed.failed,
    cancelled = variant.cancelled + summed.cancelled, deleted = variant.deleted + summed.deleted,
    unpriced = variant.unpriced + summed.unpriced,
    input_tokens = variant.input_tokens + summed.input_tokens,
    output_tokens = variant.output_tokens + summed.output_tokens,
    cost = case when summed.cost is null then variant.cost else coalesce(variant.cost, 0) + summed.cost end,
    dearest_cost = greatest(variant.dearest_cost, summed.dearest_cost),
    dearest_tokens = greatest(variant.dearest_tokens, summed.dearest_tokens)
from summed where variant.batch_id = %(id)s and variant.number = summed.variant
"""
"""Writes what became of items that had a job, once each, and counts it."""

WITHDRAW: Final = """
with waiting as materialized (
    select job.id, item.variant, item.position
    from batch_item as item join job on job.id = item.job_id
    where item.batch_id = %(id)s and item.state = 1 and job.state in (0, 2)
    order by job.id limit %(limit)s for update of job skip locked
), stopped as (
    update job set
        state = 5, fence = job.fence + 1, ended_at = clock_timestamp(), cancel_requested_at = now(),
        run_after = null, rung_at = null
    from waiting where job.id = waiting.id and job.state in (0, 2)
    returning job.id, job.fence
), told as (
    insert into job_done (id, fence, reply) select id, fence, %(reply)s::bytea from stopped
)
update batch_item as item set state = 0, job_id = null
from stopped join waiting using (id)
where item.batch_id = %(id)s and item.variant = waiting.variant and item.position = waiting.position
returning item.position
"""
"""Takes back items whose job nobody has begun: they are pending again."""

STILL_RUNNING: Final = """
select item.job_id from batch_item as item join job on job.id = item.job_id
where item.batch_id = %(id)s and item.state = 1 and job.state in (0, 1, 2) and job.cancel_requested_at is null
limit %(limit)s
"""

OPEN: Final = """
select
    (select count(*) from batch_item where batch_id = %(id)s and state = 1) as running,
    (select count(*) from (
        select from batch_item where batch_id = %(id)s and state = 0 limit 1
    ) as one) as pending,
    (select coalesce(sum(slots), 0) from worker
     where 'batch' = any(queues) and is_draining = 0 and lease_until > clock_timestamp()) as slots
"""

AGAIN: Final = """
with next as materialized (
    select item.variant, item.position, coalesce(item.job_id, told.job_id) as job_id, photo.image_id,
        image.id is not null as has_photo
    from (
        select variant, position, job_id, row_number() over () as place
        from (
            select variant, position, job_id from batch_item where batch_id = %(id)s and state = 0
            order by variant, position limit %(limit)s
        ) as first
    ) as item
    join (select job_id, place from unnest(%(job_ids)s::uuid[]) with ordinality as told(job_id, place)) as told
        using (place)
    join batch_photo as photo on photo.batch_id = %(id)s and photo.position = item.position
    left join image on image.id = photo.image_id
)
update batch_item as item set
    state = 1, job_id = next.job_id, tries = item.tries + 1, dispatched_at = clock_timestamp(), ended_at = null
from next
where item.batch_id = %(id)s and item.variant = next.variant and item.position = next.position and item.state = 0
returning item.variant, item.position, item.job_id, next.image_id, next.has_photo
"""
"""Hands out items that are pending once more, under the job they had where it was never accepted."""

ANEW: Final = """
with next as materialized (
    select told.variant, told.position, told.job_id, photo.image_id, image.id is not null as has_photo
    from jsonb_to_recordset(%(rows)s::jsonb) as told(variant smallint, position int, job_id uuid)
    join batch_photo as photo on photo.batch_id = %(id)s and photo.position = told.position
    left join image on image.id = photo.image_id
), begun as (
    insert into batch_item (batch_id, variant, position, state, job_id, tries, dispatched_at)
    select %(id)s, variant, position, 1, job_id, 1, clock_timestamp() from next
    returning variant, position
), moved as (
    update batch_variant as variant set next_position = greatest(variant.next_position, ahead.position + 1)
    from (select variant, max(position) as position from begun group by variant) as ahead
    where variant.batch_id = %(id)s and variant.number = ahead.variant
)
select variant, position, job_id, image_id, has_photo from next
"""
"""Hands out photos that a variant has not been asked about."""

MARK: Final = """
update batch set
    state = %(state)s, reason = %(reason)s, rate = %(rate)s,
    rated_at = case when %(is_rated)s then clock_timestamp() else rated_at end,
    ended_at = case when %(is_over)s then clock_timestamp() end
where id = %(id)s
"""

PUT_BACK: Final = """
update batch_item set state = 0
where batch_id = %(id)s and state = 1 and job_id = any(%(job_ids)s::uuid[])
  and not exists (select from job where job.id = batch_item.job_id offset 0)
"""
"""Items whose job was refused: pending, and to be submitted under the same id."""

PAUSE: Final = "update batch set state = 1, reason = %(reason)s, rate = null where id = %(id)s and state = 0"
