"""Having images opened: the front only sniffs, so nothing is shown before a worker's subprocess has decoded it."""

import hashlib
from datetime import UTC, datetime
from typing import Final

from api.front import Front
from api.services.images import ImageView, image_of
from api.services.submit import accept
from shared.database.statements import image_jobs as statements
from shared.database.submissions import NewJob
from shared.database.views import Ending
from shared.domain.commands import JobSpec, UploadTask
from shared.domain.errors import (
    ImageRefused,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from shared.domain.ids import JobId, new_job_id
from shared.domain.jobs import DEFAULT_TIMEOUT, QUEUE_OF, Kind

DECODER: Final = "smartsip/decoder"
"""What stands in the place of a model in these jobs."""
ASK_AGAIN_S: Final = 2.0
_REFUSALS: Final[dict[str, type[InvalidRequest]]] = {
    refusal.code: refusal for refusal in (ImageRefused, PayloadTooLarge, UnsupportedMediaType)
}


async def open_image(front: Front, image: ImageView) -> JobId:
    """Return the job that opens an image: the one that is at it, or else a new one. Two at once are harmless.

    Raises:
        QuotaExceeded: if too many of the owner's jobs are waiting.
        Unavailable: if PostgreSQL is away.
    """
    at_it = await front.queries.rows(statements.opening_job(image.owner_id, image.id))
    if at_it:
        return JobId(at_it[0].id)
    return (await accept(front, _job_for(front, image))).id


async def ensure_ready(front: Front, image: ImageView) -> ImageView:
    """Return the image once it may be shown, which may take until the clock `image_ready`.

    Raises:
        InvalidRequest: if it turned out to be no image; it is not stored any more.
        NotFound: if it was deleted meanwhile.
        Unavailable: if it takes longer; asking again goes on with it.
    """
    if image.is_ready:
        return image
    job_id = await open_image(front, image)
    ending = await front.hub.wait_for_end(job_id, front.settings.clocks.image_ready.total_seconds())
    if ending is None:
        raise Unavailable("The image was not opened yet; ask again.", retry_after_s=ASK_AGAIN_S)
    check_opened(ending)
    opened = await image_of(front, image.owner_id, image.id)
    if not opened.is_ready:
        raise Unavailable("The image could not be opened at the moment.", retry_after_s=ASK_AGAIN_S)
    return opened


def check_opened(ending: Ending, *, field: str | None = None) -> None:
    """Refuse an image as the worker did that tried to open it; `field` is where the caller put it.

    Other failures are no fault of the image, and pass.

    Raises:
        InvalidRequest: if it is none; then nothing of it is stored any more.
        NotFound: if its content is gone.
    """
    error = ending.reply.error
    if error is None:
        return
    if refusal := _REFUSALS.get(error.code):
        raise refusal(error.detail, field=field)
    if error.code == NotFound.code:
        raise NotFound("The content of this image is gone.")


def _job_for(front: Front, image: ImageView) -> NewJob:
    spec = JobSpec(kind=Kind.UPLOAD, model=DECODER, input=UploadTask(image_id=image.id))
    payload = spec.model_dump_json(exclude_defaults=True).encode()
    return NewJob(
        id=new_job_id(),
        owner_id=image.owner_id,
        fair_key=-image.owner_id,
        queue=QUEUE_OF[Kind.UPLOAD],
        kind=Kind.UPLOAD,
        model=DECODER,
        deadline=datetime.now(UTC) + DEFAULT_TIMEOUT[Kind.UPLOAD],
        payload=payload,
        request_hash=hashlib.sha256(payload).digest(),
        waiting_cap=front.settings.limits.waiting_per_owner,
        rung=front.ringer.has_room(QUEUE_OF[Kind.UPLOAD]),
        image_id=image.id,
    )
