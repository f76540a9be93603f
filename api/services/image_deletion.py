"""Deleting photos with everything that came of them.

Jobs are stopped first, because one that runs could write again what is removed. Objects go before rows: what fails
half-way is found again under its id, and asking again finishes it. What batches found in a photo goes with it; its
items count as deleted.
"""

import asyncio
from typing import Final
from uuid import UUID

import structlog

from api.front import Front
from api.services.cancel import cancel
from api.services.images import ImageView, image_of, no_such_image
from shared.database.statements import image_jobs as statements
from shared.database.statements.batches import ERASE_PHOTO, LOCK_BATCHES_OF_PHOTO
from shared.domain.errors import Conflict, NotFound, Unavailable
from shared.domain.ids import JobId, OwnerId
from shared.domain.image_keys import every_key

ASK_AGAIN_S: Final = 2.0

_log = structlog.get_logger(__name__)


async def delete_image(front: Front, owner_id: OwnerId, image_id: UUID) -> None:
    """Delete an owner's photo: its objects, its names, the jobs about it, what they found and their logs.

    Raises:
        NotFound: if there is no such image of this owner (any more).
        Conflict: if a job about it has not stopped in time; asking again is safe.
        Unavailable: if a part of the system is away; asking again is safe.
    """
    await image_of(front, owner_id, image_id)
    await stop_jobs_about(front, owner_id, image_id)
    image = await image_of(front, owner_id, image_id)  # as the jobs left it
    await asyncio.gather(*(front.objects.delete(key) for key in _keys(image)))
    attempts = await _remove_rows(front, owner_id, image_id)
    try:
        await front.events.forget(attempts)
    except Unavailable as error:  # they vanish by themselves within minutes
        _log.warning("logs_not_forgotten", image_id=str(image_id), error=str(error))


async def stop_jobs_about(front: Front, owner_id: OwnerId, upload_id: UUID) -> None:
    """Cancel the jobs about an upload.

    Raises:
        Conflict: if one has not stopped in time; asking again is safe.
    """
    active = await front.queries.rows(statements.active_jobs_about(owner_id, upload_id))
    have_ended = await asyncio.gather(*(_stopped(front, owner_id, JobId(row.id)) for row in active))
    if not all(have_ended):
        raise job_goes_on()


async def _stopped(front: Front, owner_id: OwnerId, job_id: JobId) -> bool:
    try:
        return await cancel(front, job_id, owner_id)
    except NotFound:  # removed in this moment, by the same wish
        return True


async def _remove_rows(front: Front, owner_id: OwnerId, image_id: UUID) -> dict[UUID, int]:
    """Return the jobs that were removed, each with the number of its last attempt."""
    async with front.queries.transaction() as connection:
        if (await connection.execute(statements.lock_image(owner_id, image_id))).first() is None:
            raise no_such_image()
        about = (await connection.execute(statements.lock_jobs_about(owner_id, image_id))).all()
        if any(row.state in statements.ACTIVE_CODES for row in about):
            raise job_goes_on()
        attempts = {row.id: row.fence for row in about}
        of_photo = {"owner_id": owner_id, "image_id": image_id}
        await connection.execute(LOCK_BATCHES_OF_PHOTO, of_photo)
        await connection.execute(ERASE_PHOTO, of_photo)
        for statement in statements.removal(owner_id, image_id, list(attempts)):
            await connection.execute(statement)
    return attempts


def _keys(image: ImageView) -> set[str]:
    keys = {*every_key(image.owner_id, bytes.fromhex(image.sha256)), image.object_key}
    return keys if image.thumbnail_key is None else {*keys, image.thumbnail_key}


def job_goes_on() -> Conflict:
    """Return the error for an upload that cannot be deleted yet."""
    return Conflict("A job about this upload has not stopped yet; ask again.", retry_after_s=ASK_AGAIN_S)
