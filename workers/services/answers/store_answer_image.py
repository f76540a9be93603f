"""Keeping an image that a model made: trusted no more than an upload, stored once per owner and content like one."""

import asyncio
import hashlib

from shared.database.statements import images as statements
from shared.domain.errors import NotFound
from shared.domain.ids import uuid7
from shared.domain.image_keys import original_key
from shared.domain.images import ImageFacts, sniff
from workers.providers.data_urls import FIELD
from workers.services.attempt import Attempt
from workers.services.media.stored_image import StoredRow, row_of
from workers.services.pictures.settle_image import ASIDE_BYTES, clean_image, settle_cleaned


async def store_answer_image(attempt: Attempt, content: bytes) -> StoredRow:
    """Return the row of this image among its owner's, ready to be shown; repeating it makes no second one.

    Raises:
        ImageRefused: if it cannot be decoded, or takes too long or too much memory; nothing was stored.
        PayloadTooLarge: if it has too many pixels; nothing was stored.
        UnsupportedMediaType: if it is no image that is taken; nothing was stored.
        NotFound: if its owner, or somebody for them, deleted it meanwhile.
        Unavailable: if the object store or PostgreSQL is away; doing it again is safe.
    """
    facts, sha256 = await _examined(content)
    row = await _known(attempt, sha256)
    if row is not None and row.is_ready:
        return row
    cleaned = await clean_image(attempt.tools, content, facts.media_type)
    row = row or await _added(attempt, content, facts, sha256)
    return await settle_cleaned(attempt.tools, row, cleaned)


async def _examined(content: bytes) -> tuple[ImageFacts, bytes]:
    def examined() -> tuple[ImageFacts, bytes]:
        return sniff(content, field=FIELD), hashlib.sha256(content).digest()

    return examined() if len(content) <= ASIDE_BYTES else await asyncio.to_thread(examined)


async def _known(attempt: Attempt, sha256: bytes) -> StoredRow | None:
    rows = await attempt.tools.queries.rows(statements.image_with_content(attempt.owner_id, sha256))
    return row_of(rows[0]) if rows else None


async def _added(attempt: Attempt, content: bytes, facts: ImageFacts, sha256: bytes) -> StoredRow:
    object_key = original_key(attempt.owner_id, sha256, facts.extension)
    await attempt.tools.objects.put(object_key, content, media_type=facts.media_type)
    values = {
        "id": uuid7(),
        "owner_id": attempt.owner_id,
        "sha256": sha256,
        "media_type": facts.media_type,
        "size_bytes": len(content),
        "width": facts.width,
        "height": facts.height,
        "object_key": object_key,
    }
    added = await attempt.tools.queries.rows(statements.new_image(values))
    row = row_of(added[0]) if added else await _known(attempt, sha256)  # stored by another, just now
    if row is None:
        raise NotFound("The image was deleted while it was stored.", field=FIELD)
    return row
