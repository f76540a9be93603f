"""Deleting a video or audio file. As with photos, jobs are stopped first, and the object goes before the row."""

from uuid import UUID

import structlog

from api.front import Front
from api.services.image_deletion import job_goes_on, stop_jobs_about
from api.services.media import media_of, no_such_media
from shared.database.statements import image_jobs
from shared.database.statements import media as statements
from shared.domain.errors import Unavailable
from shared.domain.ids import OwnerId

_log = structlog.get_logger(__name__)


async def delete_media(front: Front, owner_id: OwnerId, media_id: UUID) -> None:
    """Delete an owner's file, and the jobs that checked it. Messages that refer to it stay as they are.

    Raises:
        NotFound: if there is no such file of this owner (any more).
        Conflict: if a job about it has not stopped in time; asking again is safe.
        Unavailable: if a part of the system is away; asking again is safe.
    """
    media = await media_of(front, owner_id, media_id)
    await stop_jobs_about(front, owner_id, media_id)
    await front.objects.delete(media.object_key)
    attempts = await _remove_rows(front, owner_id, media_id)
    try:
        await front.events.forget(attempts)
    except Unavailable as error:  # they vanish by themselves within minutes
        _log.warning("logs_not_forgotten", media_id=str(media_id), error=str(error))


async def _remove_rows(front: Front, owner_id: OwnerId, media_id: UUID) -> dict[UUID, int]:
    """Return the jobs that were removed, each with the number of its last attempt."""
    async with front.queries.transaction() as connection:
        if (await connection.execute(statements.lock_media(owner_id, media_id))).first() is None:
            raise no_such_media()
        about = (await connection.execute(image_jobs.lock_jobs_about(owner_id, media_id))).all()
        if any(row.state in image_jobs.ACTIVE_CODES for row in about):
            raise job_goes_on()
        attempts = {row.id: row.fence for row in about}
        for statement in image_jobs.removal_of_jobs(list(attempts)):
            await connection.execute(statement)
        await connection.execute(statements.remove_media(owner_id, media_id))
    return attempts
