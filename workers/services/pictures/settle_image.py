"""Making a stored image fit to be shown: opened in a subprocess, freed of metadata, with a thumbnail.

Objects are put before the row names them and deleted only after it names others, so that whatever the row says can be
read at any moment, and two workers that do the same at once do no harm: they make the same objects, and one row.
"""

import asyncio
import hashlib
from typing import Any, Final

from shared.database.statements import images, settling
from shared.domain.errors import NotFound
from shared.domain.image_keys import clean_key, original_key, thumbnail_key
from shared.domain.images import EXTENSION_OF
from workers.services.attempt import Tools
from workers.services.media.stored_image import StoredRow, find_image, row_of
from workers.services.pictures.decode_image import FIELD, CleanImage

TIMES_A_DECODING: Final = 3
"""Cleaning may take so many times `clocks.decode_image`: the image is decoded in full size and encoded again, twice."""
ASIDE_BYTES: Final = 64 * 1024
"""Larger content is hashed in a thread."""


async def settle_image(tools: Tools, row: StoredRow, content: bytes) -> StoredRow:
    """Clean an image, keep what came of it, and let it be shown; return its row as it is then.

    Raises:
        ImageRefused: if it cannot be decoded, or takes too long or too much memory.
        PayloadTooLarge: if it has too many pixels.
        UnsupportedMediaType: if it is no image that is taken.
        NotFound: if it was deleted meanwhile.
        Unavailable: if the object store or PostgreSQL is away; doing it again is safe.
    """
    return await settle_cleaned(tools, row, await clean_image(tools, content, row.media_type))


async def clean_image(tools: Tools, content: bytes, media_type: str) -> CleanImage:
    """Open an image and free it of metadata; nothing is stored. Raises what the decoder does."""
    timeout_s = TIMES_A_DECODING * tools.clocks.decode_image.total_seconds()
    return await tools.decoder.clean(content, media_type, timeout_s=timeout_s)


async def settle_cleaned(tools: Tools, row: StoredRow, cleaned: CleanImage) -> StoredRow:
    """Keep what came of an image, and let it be shown; return its row as it is then.

    Raises:
        NotFound: if it was deleted meanwhile.
        Unavailable: if the object store or PostgreSQL is away; doing it again is safe.
    """
    values = await _kept(tools, row, cleaned)
    settled = await tools.queries.rows(settling.make_ready(row.owner_id, row.id, values))
    if not settled:
        return await _settled_by_another(tools, row, values)
    if values["object_key"] != row.object_key:
        await tools.objects.delete(row.object_key)
    return row_of(settled[0])


async def settle_as_it_is(tools: Tools, row: StoredRow) -> None:
    """Let an image be shown that was seen to have nothing to remove, and is its own thumbnail."""
    await tools.queries.rows(settling.make_ready(row.owner_id, row.id, {"content_sha256": row.sha256}))


async def remove_originals(tools: Tools, row: StoredRow) -> None:
    """Remove what an image that is ready was made of: a worker that was killed may have left it behind."""
    originals = {original_key(row.owner_id, row.sha256, extension) for extension in EXTENSION_OF.values()}
    if row.object_key not in originals:
        await asyncio.gather(*(tools.objects.delete(key) for key in originals))


async def _kept(tools: Tools, row: StoredRow, cleaned: CleanImage) -> dict[str, Any]:
    """Put what was made into the object store; return the columns that name it."""
    key, thumbnail = row.object_key, None
    if not cleaned.is_unchanged:
        key = clean_key(row.owner_id, row.sha256, EXTENSION_OF[cleaned.media_type])
        await tools.objects.put(key, cleaned.content, media_type=cleaned.media_type)
    if cleaned.thumbnail is not None:
        thumbnail = thumbnail_key(row.owner_id, row.sha256)
        await tools.objects.put(thumbnail, cleaned.thumbnail, media_type="image/jpeg")
    return {
        "content_sha256": row.sha256 if cleaned.is_unchanged else await _sha256(cleaned.content),
        "object_key": key,
        "media_type": cleaned.media_type,
        "size_bytes": len(cleaned.content),
        "width": cleaned.width,
        "height": cleaned.height,
        "thumbnail_key": thumbnail,
    }


async def _settled_by_another(tools: Tools, row: StoredRow, values: dict[str, Any]) -> StoredRow:
    """Return what another worker made of the image; where it was deleted instead, leave nothing of ours behind."""
    try:
        return await find_image(tools, row.owner_id, row.id, field=FIELD)
    except NotFound:
        made = {values["object_key"], values["thumbnail_key"]} - {None, row.object_key}
        if not await tools.queries.rows(images.image_with_content(row.owner_id, row.sha256)):  # sent again since
            await asyncio.gather(*(tools.objects.delete(key) for key in made))
        raise


async def _sha256(content: bytes) -> bytes:
    if len(content) <= ASIDE_BYTES:
        return hashlib.sha256(content).digest()
    return (await asyncio.to_thread(hashlib.sha256, content)).digest()
