"""Watching a batch: its whole state whenever that has changed, as server-sent events.

Each event is the whole state, so that a reader who comes back needs to say nothing.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Final
from uuid import UUID

import structlog

from api.front import Front
from api.services.batches.views import BatchView, batch_of
from api.streaming import RETRY_MS
from shared.domain.errors import NotFound, Unavailable
from shared.domain.ids import OwnerId

LOOK_S: Final = 0.5

_log = structlog.get_logger(__name__)


async def watched(
    front: Front, owner_id: OwnerId, batch: BatchView, encode: Callable[[BatchView], bytes]
) -> AsyncGenerator[bytes]:
    """Yield a batch's states as events until it is over, or this process is told to stop."""
    yield b"retry: %d\n\n" % RETRY_MS
    look_s = min(LOOK_S, front.settings.clocks.batch_every.total_seconds())
    heartbeat_s = front.settings.clocks.heartbeat.total_seconds()
    said, said_at = b"", time.monotonic()
    while not front.hub.is_draining:
        document = encode(batch)
        if document != said or batch.is_over:
            yield b"event: %s\ndata: %s\n\n" % (b"ended" if batch.is_over else b"progress", document)
            said, said_at = document, time.monotonic()
        elif time.monotonic() - said_at >= heartbeat_s:
            yield b": heartbeat\n\n"
            said_at = time.monotonic()
        if batch.is_over:
            return
        await asyncio.sleep(look_s)
        later = await _look(front, owner_id, batch.id)
        if later is None:
            return
        batch = later


async def _look(front: Front, owner_id: OwnerId, batch_id: UUID) -> BatchView | None:
    """Return the batch, None if it was deleted; waits out what is away."""
    while not front.hub.is_draining:
        try:
            return await batch_of(front, owner_id, batch_id)
        except NotFound:
            return None
        except Unavailable as error:
            _log.info("batch_watch_waits", reason=str(error))
            await asyncio.sleep(LOOK_S)
    return None
