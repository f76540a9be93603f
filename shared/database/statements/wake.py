"""Letting one waiting job go on before its time, because what it waits for is there."""

from typing import Final

from sqlalchemy import text

WAKE_ONE: Final = text("""
with found as materialized (
    select id, state from job where id = :id
), woken as (
    update job set state = 0, run_after = null, rung_at = clock_timestamp(), worker_id = null
    from found where job.id = found.id and job.state = 2
    returning job.id, job.queue, job.losses
)
select found.state, woken.queue, woken.losses from found left join woken on true
""")
"""Returns the state that the job was in, and its queue if it is to be rung; no row if there is no such job."""
