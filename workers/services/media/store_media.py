"""Keeping a video or a recording that a worker came by: looked at like an upload, stored once per owner and content."""

import asyncio
import hashlib

from shared.database.statements import media as statements
from shared.domain.errors import NotFound, UnsupportedMediaType
from shared.domain.ids import uuid7
from shared.domain.media import SNIFFED_BYTES, MediaFacts, MediaKind, media_key, sniff_media
from workers.services.attempt import Attempt
from workers.services.media.containers import check_container
from workers.services.media.stored_media import MediaRow, media_row_of


async def store_media(attempt: Attempt, content: bytes, kind: MediaKind, *, field: str) -> MediaRow:
    """Return the row of this file among its owner's, ready to be shown; repeating it makes no second one.

    Raises:
        MediaRefused: if it is not whole, or empty; nothing was stored.
        UnsupportedMediaType: if it is nothing of this kind that is taken; nothing was stored.
        NotFound: if its owner, or somebody for them, deleted it meanwhile.
        Unavailable: if the object store or PostgreSQL is away; doing it again is safe.
    """
    facts, sha256 = await asyncio.to_thread(_examined, content, kind, field)
    row = await _known(attempt, sha256) or await _added(attempt, content, facts, sha256)
    # Also one that was uploaded, and that nobody had looked at: it is the same, and was seen to be whole.
    ready = await attempt.tools.queries.rows(statements.make_media_ready(attempt.owner_id, row.id)) if row else ()
    if not ready:
        raise NotFound("The file was deleted while it was stored.", field=field)
    return media_row_of(ready[0])


def _examined(content: bytes, kind: MediaKind, field: str) -> tuple[MediaFacts, bytes]:
    facts = sniff_media(content[:SNIFFED_BYTES], field=field)
    if facts.kind != kind:
        raise UnsupportedMediaType(f"This is {facts.media_type}, not {kind}.", field=field)
    check_container(content, facts.media_type, field=field)
    return facts, hashlib.sha256(content).digest()


async def _known(attempt: Attempt, sha256: bytes) -> MediaRow | None:
    rows = await attempt.tools.queries.rows(statements.media_with_content(attempt.owner_id, sha256))
    return media_row_of(rows[0]) if rows else None


async def _added(attempt: Attempt, content: bytes, facts: MediaFacts, sha256: bytes) -> MediaRow | None:
    key = media_key(attempt.owner_id, sha256, facts.extension)
    await attempt.tools.objects.put(key, content, media_type=facts.media_type)
    values = {
        "id": uuid7(),
        "owner_id": attempt.owner_id,
        "kind": facts.kind,
        "sha256": sha256,
        "media_type": facts.media_type,
        "size_bytes": len(content),
        "object_key": key,
    }
    added = await attempt.tools.queries.rows(statements.new_media(values))
    return media_row_of(added[0]) if added else await _known(attempt, sha256)  # stored by another, just now
