"""From a photo's name to its command: one job, and a wait for its end."""

import asyncio
import time
from datetime import timedelta

import msgspec
import structlog

from api.auth import Caller
from api.dialects.smartsip.parse import UploadQuery
from api.front import Front
from api.services.photo_names import photo_called
from api.services.submit import submit
from api.services.touches import touch_key
from shared.database.views import Ending
from shared.domain.commands import StoredImage, SubmitVision, VisionInput
from shared.domain.dispense import Dispense
from shared.domain.errors import Conflict, DeadlineExceeded, ErrorInfo, Internal
from shared.domain.jobs import State

_log = structlog.get_logger(__name__)


async def command_for(front: Front, caller: Caller, query: UploadQuery, *, until: float) -> Dispense | ErrorInfo:
    """Return the command for a stored photo, or why there is none, at the latest at `until` (the loop's clock).

    Asking again about the same photo within a minute gets the same command, but not once it has lapsed: the cup may be
    gone.

    Raises:
        NotFound: if the caller has no photo of this name; nobody was asked.
    """
    image_id = await photo_called(front, caller, query.image_name, bucket=front.settings.firmware_bucket)
    command = SubmitVision(
        kind="vision",
        model=await _model(front, caller, query),
        input=VisionInput(image=StoredImage(id=image_id)),
        timeout_s=front.settings.clocks.firmware_give_up.total_seconds(),
    )
    key = await touch_key(front, caller, image_id, asked=command.model or "")
    accepted = await submit(front, caller, command, idempotency_key=key, known_images=frozenset({image_id}))
    remaining_s = max(until - asyncio.get_running_loop().time(), 0)
    ending = await front.hub.wait_for_end(accepted.id, within_s=remaining_s)
    if ending is None or ending.state is State.EXPIRED:
        return DeadlineExceeded().info()
    if ending.state is not State.SUCCEEDED or ending.reply.result is None:
        _log.warning("photo_without_command", job_id=str(accepted.id), state=str(ending.state))
        return ending.reply.error or Internal("The job ended without a command.").info()
    if accepted.is_replay and _age(ending) > front.settings.clocks.command_valid:
        _log.info("command_lapsed", job_id=str(accepted.id))
        return Conflict("this command was made too long ago: touch the screen again").info()
    return msgspec.convert(ending.reply.result, Dispense)


async def _model(front: Front, caller: Caller, query: UploadQuery) -> str | None:
    """Return the model to ask for; None is the device's own, its profile's, or the server's default.

    What is compiled into a device cannot be changed: it counts only where nothing was said here, and where the provider
    it names is configured.
    """
    if query.llm_type not in front.settings.configured_providers:
        return None
    device = caller.device
    if device is None:
        return query.model
    if device.model is not None:
        return None
    profile = await front.profiles.find(device.owner_id, device.profile) if device.profile else None
    return None if profile is not None and profile.model is not None else query.model


def _age(ending: Ending) -> timedelta:
    return timedelta(milliseconds=time.time() * 1000 - ending.entries[-1].at_ms)
