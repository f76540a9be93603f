"""Taking whatever older systems upload through one door: an image, a video or an audio file."""

import asyncio
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from api.front import Front
from api.media_body import ReceivedFile
from api.services.image_opening import open_image
from api.services.images import store_image
from api.services.media import open_media, store_media
from api.services.room import check_room
from shared.domain.errors import PayloadTooLarge
from shared.domain.ids import OwnerId
from shared.domain.images import EXTENSION_OF, looks_like_image
from shared.domain.jobs import QUEUE_OF, Kind
from shared.domain.media import MediaKind

_START_BYTES: Final = 16


@dataclass(frozen=True, kw_only=True)
class Uploaded:
    """What was stored; `shared.domain.media.upload_path` makes the older systems' name of it."""

    kind: Literal["image"] | MediaKind
    id: UUID
    media_type: str
    extension: str


async def upload_any(front: Front, owner_id: OwnerId, received: ReceivedFile) -> Uploaded:
    """Store an image, a video or an audio file, whatever it is called, and have it opened by a worker.

    Raises:
        InvalidRequest: if it is none of these that is taken; nothing was stored.
        QuotaExceeded: if too many of the owner's jobs are waiting.
        Unavailable: if the object store or the database is away.
    """
    await check_room(front, owner_id, QUEUE_OF[Kind.UPLOAD])
    start = await asyncio.to_thread(_read, received, _START_BYTES)
    if looks_like_image(start):
        return await _upload_image(front, owner_id, received)
    media = await store_media(front, owner_id, received)
    if not media.is_ready:
        await open_media(front, media)
    return Uploaded(kind=media.kind, id=media.id, media_type=media.media_type, extension=media.extension)


async def _upload_image(front: Front, owner_id: OwnerId, received: ReceivedFile) -> Uploaded:
    limit = front.settings.limits.image_bytes
    if received.size_bytes > limit:
        raise PayloadTooLarge(f"An image may have {limit} bytes at most.", field=received.field)
    content = await asyncio.to_thread(_read, received, received.size_bytes)
    image = await store_image(front, owner_id, content, field=received.field)
    if not image.is_ready:
        await open_image(front, image)
    return Uploaded(kind="image", id=image.id, media_type=image.media_type, extension=EXTENSION_OF[image.media_type])


def _read(received: ReceivedFile, size_bytes: int) -> bytes:
    received.file.seek(0)
    return received.file.read(size_bytes)
