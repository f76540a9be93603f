"""The kind `upload`, for images: one is opened in a subprocess, freed of metadata and given a thumbnail."""

from typing import Any, Final

import structlog

from shared.database.statements import settling
from shared.domain.commands import UploadTask
from shared.domain.errors import ImageRefused, PayloadTooLarge, Unavailable, UnsupportedMediaType
from shared.domain.events import Result
from workers.services.attempt import Attempt, Tools
from workers.services.media.stored_image import StoredRow, find_image, read_image
from workers.services.pictures.settle_image import remove_originals, settle_image

FIELD: Final = "input.image_id"
_log = structlog.get_logger(__name__)


async def clean_upload(attempt: Attempt, task: UploadTask) -> str:
    """Make the image fit to be shown and report its facts; return why the work ended.

    An image that is ready already is a success. One that cannot be opened is forgotten, row and object.

    Raises:
        ImageRefused: if it is broken, or takes too long or too much memory.
        PayloadTooLarge: if it has too many pixels.
        UnsupportedMediaType: if it is no image that is taken.
        NotFound: if its owner has it no more.
    """
    row = await find_image(attempt.tools, attempt.owner_id, task.image_id, field=FIELD)
    attempt.emit(Result(_facts(await _ready(attempt.tools, row))))
    return "stop"


async def _ready(tools: Tools, row: StoredRow) -> StoredRow:
    if row.is_ready:
        await remove_originals(tools, row)
        return row
    row, content = await read_image(tools, row, field=FIELD)
    if row.is_ready:
        return row
    try:
        return await settle_image(tools, row, content)
    except (ImageRefused, PayloadTooLarge, UnsupportedMediaType):
        if await _forgotten(tools, row):
            raise
        return await find_image(tools, row.owner_id, row.id, field=FIELD)  # another worker could open it


async def _forgotten(tools: Tools, row: StoredRow) -> bool:
    """Remove an image that cannot be opened, unless it is ready; say whether it was removed by this."""
    if not await tools.queries.rows(settling.forget_refused(row.owner_id, row.id)):
        return False
    try:
        await tools.objects.delete(row.object_key)
    except Unavailable:
        _log.warning("refused_object_not_deleted", object_key=row.object_key)
    return True


def _facts(row: StoredRow) -> dict[str, Any]:  # JSON, as events.Result carries it
    return {
        "image_id": str(row.id),
        "state": "ready",
        "media_type": row.media_type,
        "size_bytes": row.size_bytes,
        "width": row.width,
        "height": row.height,
        "sha256": row.sha256.hex(),
    }
