"""Cancelling: the flag in PostgreSQL first, a hint to the worker second, then a short wait for its receipt."""

import structlog
from redis.exceptions import RedisError

from api.front import Front
from api.relay import Outcome
from shared.adapters.redis_event_log import cancel_channel
from shared.database.control import CancelOutcome
from shared.domain.errors import NotFound
from shared.domain.ids import JobId, OwnerId
from shared.domain.jobs import TERMINAL, OnDisconnect

_log = structlog.get_logger(__name__)


async def cancel(front: Front, job_id: JobId, owner_id: OwnerId | None) -> bool:
    """Cancel a job; return whether it has ended, by this or before. If not, its worker has not confirmed in time.

    Doing it again is harmless. An `owner_id` of None is an administrator's.

    Raises:
        NotFound: if there is no such job.
    """
    reader = front.hub.reader(job_id)  # subscribed before the flag is set, so that the receipt is heard
    try:
        await front.hub.subscribed(job_id)
        outcome = await request_cancel(front, job_id, owner_id)
        if outcome.state in TERMINAL:
            return True
        within_s = front.settings.clocks.cancel_confirm.total_seconds()
        return await front.hub.wait_for_end(job_id, within_s) is not None
    finally:
        reader.close(Outcome.LEFT)


async def request_cancel(front: Front, job_id: JobId, owner_id: OwnerId | None) -> CancelOutcome:
    """Set the flag and hint the worker, without waiting for anything.

    Raises:
        NotFound: if there is no such job.
    """
    outcome = await front.control.request_cancel(job_id, owner_id)
    if outcome is None:
        raise NotFound("There is no job with this id.")
    if outcome.state in TERMINAL:
        front.hub.look_soon(job_id)
    elif outcome.worker_id is not None:
        channel = cancel_channel(front.settings.redis.prefix, outcome.worker_id)
        try:
            await front.redis.publish(channel, str(job_id))  # pyright: ignore[reportUnknownMemberType]
        except (RedisError, OSError) as error:  # the worker sees the flag when it renews its lease
            _log.warning("cancel_hint_lost", job_id=str(job_id), error=str(error))
    return outcome


def cancel_if_abandoned(front: Front, job_id: JobId, policy: OnDisconnect) -> None:
    """Cancel a job in the background if its policy asks for that and no reader is left here.

    For when a client went away; never for a stream that ended, or that the server ended. The client was allowed to
    read the job, so nobody is asked again.
    """
    if policy is OnDisconnect.CANCEL and not front.hub.is_followed(job_id) and not front.hub.is_draining:
        _log.info("job_abandoned", job_id=str(job_id))
        front.background.start(request_cancel(front, job_id, None), name=f"cancel {job_id}")
