"""The names that fielded devices give their photos: each device has its own, and the newest photo of a name counts.

Devices either store their photos here or write them straight into a bucket of the S3 server that is mapped to their
owner. There names are the bucket's: devices that share one do not keep each other's apart, so what a device has just
stored here under a name is what it means, whatever another one has put into the bucket.
"""

from typing import NamedTuple

from api.auth import Caller
from api.front import Front
from api.services.images import ImageView, store_image
from shared.database.statements import photo_names as statements
from shared.domain.errors import NotFound, Unavailable
from shared.domain.ids import ImageId


class NamedPhoto(NamedTuple):
    """What a name means to a device that stores its photos here; `is_new`: it was given the name just now."""

    id: ImageId
    is_new: bool


async def store_named_photo(front: Front, caller: Caller, content: bytes, *, bucket: str, name: str) -> ImageView:
    """Store a photo and let the device's name mean it from now on.

    Raises:
        InvalidRequest: if the content is not an image this system takes; nothing was stored.
        Unavailable: if the object store or the database is away.
    """
    image = await _store(front, caller, content)
    statement = statements.name_for_image(caller.owner_id, caller.device_number, bucket, name, image_id=image.id)
    if not await front.queries.rows(statement):
        raise Unavailable("The photo was deleted in this very moment; send it again.")
    return image


async def forget_name(front: Front, caller: Caller, *, bucket: str, name: str) -> None:
    """Let a device's name mean nothing; the photo stays."""
    await front.queries.rows(statements.without_name(caller.owner_id, caller.device_number, bucket, name))


async def photo_called(front: Front, caller: Caller, name: str, *, bucket: str) -> ImageId:
    """Return the id of the photo that a name means to the caller: stored here, or in a bucket of its owner's.

    Raises:
        NotFound: if it means nothing to this very device, whatever it means to others.
        InvalidRequest: if what is in the bucket is not an image this system takes.
        Unavailable: if a bucket, or the database, is away.
    """
    known = await _known(front, caller, name, bucket=bucket)
    if known is not None and known.is_new:
        return known.id
    found = await _in_buckets(front, caller, name)
    if found is not None:
        return found
    if known is None:
        raise NotFound("no such image")
    return known.id


async def _known(front: Front, caller: Caller, name: str, *, bucket: str) -> NamedPhoto | None:
    new_for = front.settings.clocks.same_touch
    statement = statements.image_with_name(caller.owner_id, caller.device_number, bucket, name, new_for=new_for)
    rows = await front.queries.rows(statement)
    return NamedPhoto(ImageId(rows[0].image_id), rows[0].is_new) if rows else None


async def _in_buckets(front: Front, caller: Caller, name: str) -> ImageId | None:
    """Store the object of this name as a photo of the owner's; in several buckets the first that has one counts."""
    limit = front.settings.limits.device_image_bytes
    for store in front.buckets.get(caller.owner_name, ()):
        try:
            content = await store.get(name, limit=limit)
        except NotFound:
            await store.check()  # a bucket that is not there is no bucket without this photo
            continue
        return (await _store(front, caller, content)).id
    return None


async def _store(front: Front, caller: Caller, content: bytes) -> ImageView:
    return await store_image(front, caller.owner_id, content, device_id=caller.device.id if caller.device else None)
