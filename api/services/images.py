"""Photos: stored once per owner and content, found by id or by the name a device gave them.

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
from shared.domain.ids import ImageId, OwnerId, uuid7
from shared.domain.images import ImageFacts, sniff

SMALL_BYTES: Final = 64 * 1024
"""Larger content is sniffed and hashed in a thread: 20 MB take longer than an event loop may stand still."""


@dataclass(frozen=True, kw_only=True)
class ImageView:
    """A stored image. `is_new` tells whether this very call stored it."""

    id: ImageId
    owner_id: OwnerId
    sha256: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    object_key: str
    created_at: datetime
    is_new: bool = False


@dataclass(frozen=True, kw_only=True)
class NamedImage:
    """What a device's name for a photo means, and since when."""

    image: ImageView
    named_at: datetime


async def store_image(front: Front, owner_id: OwnerId, content: bytes, *, field: str = "image") -> ImageView:
    """Store a photo unless this owner has it already; `field` is where the caller put it.

    Raises:
        InvalidRequest: if the content is not an image this system takes; nothing was stored.
        Unavailable: if the object store or the database is away.
    """
    facts, sha256 = await _examine(content, max_pixels=front.settings.limits.image_pixels, field=field)
    known = await front.queries.rows(statements.image_with_content(owner_id, sha256))
    if known:
        return _view(known[0])
    object_key = f"images/{owner_id}/{sha256.hex()}.{facts.extension}"
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
    }
    added = await front.queries.rows(statements.new_image(values))
    if added:
        return replace(_view(added[0]), is_new=True)
    same = await front.queries.rows(statements.image_with_content(owner_id, sha256))  # stored by another, just now
    return _view(same[0])


async def store_named_image(front: Front, owner_id: OwnerId, content: bytes, *, bucket: str, name: str) -> ImageView:
    """Store a photo and let a device's name mean it from now on."""
    image = await store_image(front, owner_id, content)
    await front.queries.rows(statements.name_for_image(owner_id, bucket, name, image.id))
    return image


async def image_of(front: Front, owner_id: OwnerId, image_id: UUID) -> ImageView:
    """Return an owner's image.

    Raises:
        NotFound: if there is none, or it is another owner's.
    """
    rows = await front.queries.rows(statements.image_with_id(owner_id, image_id))
    if not rows:
        raise NotFound("There is no image with this id.")
    return _view(rows[0])


async def named_image(front: Front, owner_id: OwnerId, bucket: str, name: str) -> NamedImage:
    """Return the image that a name means to this owner.

    Raises:
        NotFound: if it means nothing.
    """
    rows = await front.queries.rows(statements.image_with_name(owner_id, bucket, name))
    if not rows:
        raise NotFound("no such image")
    return NamedImage(image=_view(rows[0]), named_at=rows[0].stored_at)


async def _examine(content: bytes, *, max_pixels: int, field: str) -> tuple[ImageFacts, bytes]:
    def examined() -> tuple[ImageFacts, bytes]:
        return sniff(content, max_pixels=max_pixels, field=field), hashlib.sha256(content).digest()

    return examined() if len(content) <= SMALL_BYTES else await asyncio.to_thread(examined)


def _view(row: Row[Any]) -> ImageView:  # Any: the columns of statements.images
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
    )
