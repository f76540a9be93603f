"""Making a photo fit to be shown while a provider looks at it: no answer waits for it, and none fails by it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from shared.domain.errors import SmartSipError
from shared.ending import end
from workers.services.attempt import Tools
from workers.services.media.load_image import Photo
from workers.services.media.stored_image import StoredRow
from workers.services.pictures.decoder_wire import THUMBNAIL_SIDE
from workers.services.pictures.settle_image import settle_as_it_is, settle_image

GRACE_S: Final = 1.0
"""How long the end of an answer waits for a photo to be settled; after that it is left for the next who needs it."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def settling(tools: Tools, photo: Photo) -> AsyncGenerator[None]:
    """Settle a stored photo that is not ready beside the block; cancelled if the block fails or is interrupted."""
    if photo.stored is None or photo.stored.is_ready:
        yield
        return
    work = asyncio.create_task(_settle(tools, photo, photo.stored))
    try:
        yield
        await asyncio.wait({work}, timeout=GRACE_S)
        if not work.done():
            _log.warning("image_not_settled", image_id=str(photo.stored.id), after_s=GRACE_S)
    finally:
        await end(work)


async def _settle(tools: Tools, photo: Photo, row: StoredRow) -> None:
    try:
        if photo.is_plain and max(photo.width, photo.height) <= THUMBNAIL_SIDE:
            await settle_as_it_is(tools, row)
        else:
            await settle_image(tools, row, photo.content)
    except SmartSipError as error:
        _log.warning("image_not_settled", image_id=str(row.id), code=error.code, detail=error.detail)
    except Exception:  # noqa: BLE001 - the answer is whole without it; logged whole
        _log.exception("image_not_settled", image_id=str(row.id))
