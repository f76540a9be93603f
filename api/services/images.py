"""Photos: stored once per owner and content, found by id.

The object is put before its row is written: a photo whose row failed is stored again under the same key when the
caller tries again. Nothing is decoded here, only sniffed.
"""

import asyncio
import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.engine import Row

from api.front import Front
from shared.database.statements import images as statements
from shared.domain.errors import NotFound
from shared.domain.ids import DeviceId, ImageId, OwnerId, uuid7
from shared.domain.image_keys import original_key
from shared.domain.images import ImageFacts, sniff

SMALL_BYTES: Final = 64 * 1024
"""Larger content is sniffed and hashed in a thread: 20 MB take longer than an event loop may stand still."""


@dataclass(frozen=True, kw_only=True)
class ImageView:
    """A stored image, as its row is; `sha256` is of what was sent. `is_new` tells whether this very call stored it."""

    id: ImageId
    owner_id: OwnerId
    sha256: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    object_key: str
    created_at: datetime
    ready_at: datetime | None
    content_sha256: str | None
    thumbnail_key: str | None
    is_new: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether a worker has opened it and freed it of metadata; before that it is shown to nobody."""
        return self.ready_at is not None


async def store_image(
    front: Front, owner_id: OwnerId, content: bytes, *, field: str = "image", device_id: DeviceId | None = None
) -> ImageView:
    """Store a photo unless this owner has it already; `field` is where the caller put it, `device_id` who took it.

    Raises:
        InvalidRequest: if the content is not an image this system takes; nothing was stored.
        Unavailable: if the object store or the database is away.
    """
    facts, sha256 = await _examine(content, max_pixels=front.settings.limits.image_pixels, field=field)
    known = await front.queries.rows(statements.image_with_content(owner_id, sha256))
    if known:
        return view_of(known[0])
    object_key = original_key(owner_id, sha256, facts.extension)
    await front.objects.put(object_key, content, media_type=facts.media_type)
    values = {
        "id": uuid7(),
        "owner_id": owner_id,
        "sha256": sha256,
        "media_type": facts.media_type,
        "size_bytes": len(content),
        "width": facts.width,
        "height": facts.height,
        "object_key": object_key,
        "device_id": device_id,
    }
    added = await front.queries.rows(statements.new_image(values))
    if added:
        return replace(view_of(added[0]), is_new=True)
    same = await front.queries.rows(statements.image_with_content(owner_id, sha256))  # stored by another, just now
    return view_of(same[0])


async def image_of(front: Front, owner_id: OwnerId, image_id: UUID) -> ImageView:
    """Return an owner's image.

    Raises:
        NotFound: if there is none, or it is another owner's.
    """
    rows = await front.queries.rows(statements.image_with_id(owner_id, image_id))
    if not rows:
        raise no_such_image()
    return view_of(rows[0])


def no_such_image() -> NotFound:
    """Return the one error for an image that does not exist and for another owner's."""
    return NotFound("There is no image with this id.")


async def _examine(content: bytes, *, max_pixels: int, field: str) -> tuple[ImageFacts, bytes]:
    def examined() -> tuple[ImageFacts, bytes]:
        return sniff(content, max_pixels=max_pixels, field=field), hashlib.sha256(content).digest()

    return examined() if len(content) <= SMALL_BYTES else await asyncio.to_thread(examined)


def view_of(row: Row[*tuple[Any, ...]]) -> ImageView:  # Any: the columns of the table
    """Return an image from a row that has all its columns."""
    return ImageView(
        id=ImageId(row.id),
        owner_id=OwnerId(row.owner_id),
        sha256=row.sha256.hex(),
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        width=row.width,
        height=row.height,
        object_key=row.object_key,
        created_at=row.created_at,
        ready_at=row.ready_at,
        content_sha256=row.content_sha256 and row.content_sha256.hex(),
        thumbnail_key=row.thumbnail_key,
    )
