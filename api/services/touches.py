"""Touches: the same device asking about the same photo again within a minute gets the same job, and pours once."""

import hashlib
from uuid import UUID

from api.auth import Caller
from api.front import Front
from shared.database.statements.touches import touch_of
from shared.domain.errors import NotFound


async def touch_key(front: Front, caller: Caller, image_id: UUID, *, asked: str = "") -> str:
    """Return the idempotency key of the touch that asking now is, or belongs to; `asked` is the model, if one is named.

    Without a device, the caller's owner counts as one. `clocks.same_touch` counts from when the touch began, however
    often it is asked about meanwhile.

    Raises:
        NotFound: if the caller's owner has no such image (any more).
    """
    number = caller.device_number
    statement = touch_of(caller.owner_id, number, image_id, same_within=front.settings.clocks.same_touch)
    rows = await front.queries.rows(statement)
    if not rows:
        raise NotFound("There is no image with this id.")
    touch = f"{number}\n{image_id}\n{rows[0].began_at.timestamp():.6f}\n{asked}"
    return f"touch:{hashlib.sha256(touch.encode()).hexdigest()}"
