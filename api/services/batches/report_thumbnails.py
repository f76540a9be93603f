"""The thumbnails that a report carries within itself: few, small, and never a reason to fail."""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import structlog

from api.front import Front
from shared.database.statements import batch_rows as statements
from shared.domain.errors import SmartSipError
from shared.domain.ids import OwnerId

MAX_THUMBNAILS: Final = 50
MAX_BYTES: Final = 96 * 1024
"""Of one: a thumbnail of 320 pixels a side has a quarter of that."""
MAX_BYTES_IN_ALL: Final = 1_300_000
"""A third more in base64, beside which the page stays below two megabytes."""
AT_A_TIME: Final = 8

_log = structlog.get_logger(__name__)


async def thumbnails_of(front: Front, owner_id: OwnerId, image_ids: Sequence[UUID]) -> dict[UUID, bytes]:
    """Return thumbnails (JPEG) of an owner's photos, the first ones first, as far as they are there and fit."""
    wanted = list(dict.fromkeys(image_ids))[:MAX_THUMBNAILS]
    rows = await front.queries.rows(statements.thumbnail_keys(owner_id, wanted))
    keys: dict[UUID, str] = {row.id: row.key for row in rows}
    turns = asyncio.Semaphore(AT_A_TIME)

    async def fetched(image_id: UUID) -> bytes | None:
        if (key := keys.get(image_id)) is None:
            return None
        try:
            async with turns:
                return await front.objects.get(key, limit=MAX_BYTES)
        except SmartSipError as error:
            _log.warning("report_without_thumbnail", image_id=str(image_id), reason=error.code)
            return None

    contents = await asyncio.gather(*map(fetched, wanted))
    return _as_fit({image_id: content for image_id, content in zip(wanted, contents, strict=True) if content})


def _as_fit(thumbnails: dict[UUID, bytes]) -> dict[UUID, bytes]:
    fit: dict[UUID, bytes] = {}
    room = MAX_BYTES_IN_ALL
    for image_id, content in thumbnails.items():
        room -= len(content)
        if room < 0:
            break
        fit[image_id] = content
    return fit
