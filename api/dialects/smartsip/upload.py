"""From a photo's name to its command: one job, and a wait for its end."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import structlog

from api.auth import Caller
from api.dialects.smartsip.parse import UploadQuery
from api.front import Front
from api.services.images import NamedImage, named_image
from api.services.submit import submit
from shared.domain.commands import StoredImage, SubmitVision, VisionInput
from shared.domain.dispense import Dispense
from shared.domain.errors import DeadlineExceeded, ErrorInfo, Internal
from shared.domain.jobs import State

SAME_TOUCH: Final = timedelta(seconds=60)
"""A request repeated within this is the same touch of the screen, and is answered by the same job."""

_log = structlog.get_logger(__name__)


async def command_for(front: Front, caller: Caller, query: UploadQuery, *, until: float) -> Dispense | ErrorInfo:
    """Return the command for a stored photo, or why there is none, at the latest at `until` (the loop's clock).

    Where the provider the device names is not configured, the server's default model answers: what is compiled into a
    device cannot be changed.

    Raises:
        NotFound: if the caller has no photo of this name; nobody was asked.
    """
    photo = await named_image(front, caller.owner_id, front.settings.firmware_bucket, query.image_name)
    is_configured = query.llm_type in front.settings.configured_providers
    command = SubmitVision(
        kind="vision",
        model=query.model if is_configured else None,
        input=VisionInput(image=StoredImage(id=photo.image.id)),
        timeout_s=front.settings.clocks.firmware_give_up.total_seconds(),
    )
    accepted = await submit(front, caller, command, idempotency_key=touch_key(photo, query, now=datetime.now(UTC)))
    remaining_s = max(until - asyncio.get_running_loop().time(), 0)
    ending = await front.hub.wait_for_end(accepted.id, within_s=remaining_s)
    if ending is None or ending.state is State.EXPIRED:
        return DeadlineExceeded().info()
    if ending.state is State.SUCCEEDED and ending.reply.result is not None:
        return msgspec.convert(ending.reply.result, Dispense)
    _log.warning("photo_without_command", job_id=str(accepted.id), state=str(ending.state))
    return ending.reply.error or Internal("The job ended without a command.").info()


def touch_key(photo: NamedImage, query: UploadQuery, *, now: datetime) -> str:
    """Return the idempotency key of one touch: same photo, same name, same model, within the same minute.

    Minutes count from when the photo was stored, which the firmware does right before it asks: a repetition falls into
    the same minute, while a new photo is a new key at once, also under a name that was used before.
    """
    minute = max((now - photo.named_at) // SAME_TOUCH, 0)
    touch = f"{photo.image.id}\n{query.image_name}\n{photo.named_at.isoformat()}\n{minute}\n{query.model}"
    return f"smartsip:{hashlib.sha256(touch.encode()).hexdigest()}"
