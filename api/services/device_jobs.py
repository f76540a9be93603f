"""A device's own jobs: made from one photo, and looked at by no other device; its owner sees them under `/v2/jobs`."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from api.auth import Caller
from api.front import Front
from api.services.devices import CallingDevice
from api.services.images import store_image
from api.services.room import check_room
from api.services.submit import prepare, resolve_photo
from api.services.touches import touch_key
from api.services.watch import no_such_job, placed
from shared.database.statements.device_jobs import job_with_key
from shared.database.statements.images import image_with_content
from shared.database.submissions import NewJob
from shared.database.views import JobView
from shared.domain.commands import StoredImage, SubmitVision, VisionInput
from shared.domain.errors import IdempotencyKeyReused
from shared.domain.events import Reply
from shared.domain.ids import JobId
from shared.domain.jobs import QUEUE_OF, Kind

_NO_IMAGE: Final = VisionInput(image=StoredImage(id=UUID(int=0)))


async def prepare_photo(
    front: Front,
    caller: Caller,
    device: CallingDevice,
    content: bytes,
    *,
    idempotency_key: str | None,
    timeout_s: float | None,
) -> NewJob:
    """Store a device's photo and return the job about it, ready to be accepted.

    Without an `idempotency_key`, asking again about the same photo within a minute is the same job. `timeout_s` is the
    job's deadline from now, by default as long as the fielded firmware waits; it is not part of what is asked, so that
    a device may repeat a request with the patience it has left.

    Raises:
        InvalidRequest: if the content is not an image, or the device's model is not configured.
        Conflict: if there is no profile, prompt or model (any more) as the device or its profile names.
        IdempotencyKeyReused: if the key was used for another photo.
        QuotaExceeded: if too many of the owner's jobs are waiting.
        Unavailable: if the object store or the database is away.
    """
    key = idempotency_key and f"device:{device.id}:{idempotency_key}"
    image_id = await _store(front, caller, device, content, key)
    command = SubmitVision(
        kind="vision",
        input=VisionInput(image=StoredImage(id=image_id)),
        timeout_s=front.settings.clocks.firmware_give_up.total_seconds(),
    )
    key = key or await touch_key(front, caller, image_id)
    new = await prepare(front, caller, command, idempotency_key=key, known_images=frozenset({image_id}))
    if timeout_s is None:
        return new
    return msgspec.structs.replace(new, deadline=datetime.now(UTC) + timedelta(seconds=timeout_s))


async def job_of_device(front: Front, device: CallingDevice, job_id: JobId) -> tuple[JobView, Reply | None]:
    """Return a device's job, and its reply if it has ended.

    Raises:
        NotFound: if there is no such job of this very device.
    """
    look = await front.looks.look(job_id)
    if look is None or (look.job.owner_id, look.fair_key, look.job.kind) != (
        device.owner_id,
        device.number,
        Kind.VISION,
    ):
        raise no_such_job()
    return await placed(front, look), look.reply


async def _store(front: Front, caller: Caller, device: CallingDevice, content: bytes, key: str | None) -> UUID:
    """Return the photo's id; a new photo is stored only once nothing is left to refuse.

    One that is known needs no such check: nothing is added, and a repeated request must find its job even while there
    is no room for another.
    """
    known = await front.queries.rows(image_with_content(device.owner_id, hashlib.sha256(content).digest()))
    if known:
        return known[0].id
    await resolve_photo(front, caller, _NO_IMAGE, model=None)
    await check_room(front, device.owner_id, QUEUE_OF[Kind.VISION])
    if key is not None and await front.queries.rows(job_with_key(device.owner_id, key)):
        raise IdempotencyKeyReused("the key was used for another photo", field="Idempotency-Key")
    image = await store_image(front, device.owner_id, content, field="body", device_id=device.id)
    return image.id
