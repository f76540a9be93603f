"""From the image a job names to bytes a provider may see."""

from typing import assert_never

from sqlalchemy import select

from shared.database.tables import image
from shared.domain.commands import ImageSource, InlineImage, StoredImage
from shared.domain.errors import NotFound
from shared.domain.images import sniff
from workers.providers.base import PromptImage
from workers.services.attempt import Attempt
from workers.services.decode_image import FIELD


async def load_image(attempt: Attempt, source: ImageSource) -> PromptImage:
    """Return the image, decoded once to prove it harmless, without EXIF.

    Raises:
        ImageRefused: if it is not a whole, decodable image.
        NotFound: if the owner has no such image, or its object is gone.
        Unavailable: if the object store or the decoder is away.
    """
    content, media_type = await _content(attempt, source)
    timeout_s = attempt.tools.clocks.decode_image.total_seconds()
    prepared = await attempt.tools.decoder.prepare(content, media_type, timeout_s=timeout_s)
    return PromptImage(prepared.content, prepared.media_type)


async def _content(attempt: Attempt, source: ImageSource) -> tuple[bytes, str]:
    match source:
        case InlineImage():
            content = source.content()
            return content, sniff(content, field=FIELD).media_type
        case StoredImage():
            return await _stored(attempt, source)
        case _:
            assert_never(source)


async def _stored(attempt: Attempt, source: StoredImage) -> tuple[bytes, str]:
    of_this_owner = select(image.c.object_key, image.c.media_type).where(
        image.c.id == source.id, image.c.owner_id == attempt.owner_id
    )
    rows = await attempt.tools.queries.rows(of_this_owner)
    if not rows:
        raise NotFound("The image of this job does not exist any more.", field=f"{FIELD}.id")
    object_key, media_type = rows[0]
    return await attempt.tools.objects.get(object_key), media_type
