"""Jobs that open what was uploaded: the front only sniffs, so a worker must look at it before it is shown."""

import hashlib
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from api.front import Front
from api.services.submit import accept
from shared.database.statements import image_jobs as statements
from shared.database.submissions import NewJob
from shared.database.views import Ending
from shared.domain.commands import JobSpec, MediaTask, UploadTask
from shared.domain.errors import (
    ImageRefused,
    InvalidRequest,
    MediaRefused,
    NotFound,
    PayloadTooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from shared.domain.ids import JobId, OwnerId, new_job_id
from shared.domain.jobs import DEFAULT_TIMEOUT, QUEUE_OF, Kind

DECODER: Final = "smartsip/decoder"
"""What stands in the place of a model in these jobs."""
ASK_AGAIN_S: Final = 2.0
_REFUSALS: Final[dict[str, type[InvalidRequest]]] = {
    refusal.code: refusal for refusal in (ImageRefused, MediaRefused, PayloadTooLarge, UnsupportedMediaType)
}


async def opening_job(front: Front, owner_id: OwnerId, subject_id: UUID, task: UploadTask | MediaTask) -> JobId:
    """Return the job that opens an upload: the one that is at it, or else a new one. Two at once are harmless.

    Raises:
        QuotaExceeded: if too many of the owner's jobs are waiting.
        Unavailable: if PostgreSQL is away.
    """
    at_it = await front.queries.rows(statements.opening_job(owner_id, subject_id))
    if at_it:
        return JobId(at_it[0].id)
    return (await accept(front, _new_job(front, owner_id, subject_id, task))).id


async def wait_until_opened(front: Front, job_id: JobId) -> None:
    """Wait for an upload to be opened, which may take until the clock `image_ready`. Raises what `check_opened` does.

    Raises:
        Unavailable: if it takes longer; asking again goes on with it.
    """
    ending = await front.hub.wait_for_end(job_id, front.settings.clocks.image_ready.total_seconds())
    if ending is None:
        raise Unavailable("The upload was not opened yet; ask again.", retry_after_s=ASK_AGAIN_S)
    check_opened(ending)


def check_opened(ending: Ending, *, field: str | None = None) -> None:
    """Refuse an upload as the worker did that tried to open it; `field` is where the caller put it.

    Other failures are no fault of the upload, and pass.

    Raises:
        InvalidRequest: if it is not what it must be; then nothing of it is stored any more.
        NotFound: if its content is gone.
    """
    error = ending.reply.error
    if error is None:
        return
    if refusal := _REFUSALS.get(error.code):
        raise refusal(error.detail, field=field)
    if error.code == NotFound.code:
        raise NotFound("The content of this upload is gone.")


def _new_job(front: Front, owner_id: OwnerId, subject_id: UUID, task: UploadTask | MediaTask) -> NewJob:
    spec = JobSpec(kind=Kind.UPLOAD, model=DECODER, input=task)
    payload = spec.model_dump_json(exclude_defaults=True).encode()
    return NewJob(
        id=new_job_id(),
        owner_id=owner_id,
        fair_key=-owner_id,
        queue=QUEUE_OF[Kind.UPLOAD],
        kind=Kind.UPLOAD,
        model=DECODER,
        deadline=datetime.now(UTC) + DEFAULT_TIMEOUT[Kind.UPLOAD],
        payload=payload,
        request_hash=hashlib.sha256(payload).digest(),
        waiting_cap=front.settings.limits.waiting_per_owner,
        rung=front.ringer.has_room(QUEUE_OF[Kind.UPLOAD]),
        image_id=subject_id,
    )
