"""Whether an owner may add a job to a queue, asked before an image is stored for it."""

from sqlalchemy import func, select

from api.front import Front
from shared.database.submissions import RETRY_AFTER_S
from shared.database.tables import STATE_CODES, job
from shared.domain.errors import QuotaExceeded
from shared.domain.ids import OwnerId
from shared.domain.jobs import Queue, State


async def check_room(front: Front, owner_id: OwnerId, queue: Queue) -> None:
    """Refuse early what the insert would refuse; the insert, which counts exactly, has the last word.

    Raises:
        QuotaExceeded: if too many of the owner's jobs are waiting.
    """
    cap = front.settings.limits.waiting_per_owner
    waiting = (
        select(job.c.id)
        .where(
            job.c.queue == queue.value,
            job.c.owner_id == owner_id,
            job.c.state == STATE_CODES[State.QUEUED],
            job.c.run_after.is_(None),
        )
        .limit(cap)
        .subquery()
    )
    rows = await front.queries.rows(select(func.count()).select_from(waiting))
    if rows[0][0] >= cap:
        raise QuotaExceeded(f"{cap} jobs are waiting in queue {queue} already", retry_after_s=RETRY_AFTER_S)
