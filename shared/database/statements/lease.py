"""Workers' leases: one row per process."""

from typing import Final

REGISTER: Final = """
insert into worker (name, queues, slots, lease_until)
values (%(name)s, %(queues)s::text[], %(slots)s, clock_timestamp() + %(lease)s::interval)
returning id
"""

RENEW: Final = """
with alive as (
    update worker set lease_until = clock_timestamp() + %(lease)s::interval
    where id = %(id)s and lease_until > clock_timestamp()
    returning id
)
select exists (select from alive), array(
    select id from job where worker_id = %(id)s and state = 1 and cancel_requested_at is not null order by id
)
"""
"""A lease that has lapsed is never renewed: its jobs may be another's already."""

DRAIN: Final = "update worker set is_draining = 1 where id = %(id)s"
DEREGISTER: Final = "delete from worker where id = %(id)s"

LIVE: Final = """
select id, name, queues, slots, is_draining <> 0, started_at, lease_until
from worker where lease_until > clock_timestamp() order by id
"""
