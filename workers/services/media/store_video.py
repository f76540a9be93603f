"""Keeping a film that a model made: checked as an upload is, stored once per owner and content like one."""

import asyncio
import hashlib

from shared.database.statements import media as statements
from shared.domain.errors import MediaRefused, NotFound
from shared.domain.ids import uuid7
from shared.domain.media import SNIFFED_BYTES, MediaFacts, media_key, sniff_media
from workers.services.attempt import Attempt
from workers.services.media.containers import check_container
from workers.services.media.stored_media import MediaRow, media_row_of

FIELD = "video"


async def store_video(attempt: Attempt, content: bytes) -> MediaRow:
    """Return the row of this film among its owner's files, ready to be shown; repeating it makes no second one.

    Raises:
        MediaRefused: if it is not whole, or no film; nothing was stored.
        UnsupportedMediaType: if it is nothing that is taken; nothing was stored.
        NotFound: if somebody deleted it meanwhile.
        Unavailable: if the object store or PostgreSQL is away; doing it again is safe.
    """
    facts, sha256 = await asyncio.to_thread(_examined, content)
    tools, owner_id = attempt.tools, attempt.owner_id
    rows = await tools.queries.rows(statements.media_with_content(owner_id, sha256))
    if not rows:
        key = media_key(owner_id, sha256, facts.extension)
        await tools.objects.put(key, content, media_type=facts.media_type)
        values = {
            "id": uuid7(),
            "owner_id": owner_id,
            "kind": facts.kind,
            "sha256": sha256,
            "media_type": facts.media_type,
            "size_bytes": len(content),
            "object_key": key,
        }
        added = await tools.queries.rows(statements.new_media(values))
        rows = added or await tools.queries.rows(statements.media_with_content(owner_id, sha256))
    ready = await tools.queries.rows(statements.make_media_ready(owner_id, rows[0].id)) if rows else ()
    if not ready:
        raise NotFound("The film was deleted while it was stored.", field=FIELD)
    return media_row_of(ready[0])


def _examined(content: bytes) -> tuple[MediaFacts, bytes]:
    facts = sniff_media(content[:SNIFFED_BYTES], field=FIELD)
    if facts.kind != "video":
        raise MediaRefused(f"This is {facts.media_type}, not a film.", field=FIELD)
    check_container(content, facts.media_type, field=FIELD)
    return facts, hashlib.sha256(content).digest()
