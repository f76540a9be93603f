"""Videos and audio files: stored once per owner and content, found by id. Nothing is opened here, only sniffed.

The object is put before its row is written: a file whose row failed is stored again under the same key when the caller
tries again.
"""

import asyncio
import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from api.front import Front
from api.media_body import ReceivedFile
from api.services.upload_jobs import ASK_AGAIN_S, opening_job, wait_until_opened
from shared.database.queries import AnyRow
from shared.database.statements import media as statements
from shared.domain.commands import MediaTask
from shared.domain.errors import NotFound, Unavailable
from shared.domain.ids import JobId, OwnerId, uuid7
from shared.domain.media import SNIFFED_BYTES, MediaFacts, MediaKind, media_key, sniff_media

HASHED_BYTES: Final = 1024 * 1024
"""What is in memory at a time."""


@dataclass(frozen=True, kw_only=True)
class MediaView:
    """A stored file, as its row is. `is_new` tells whether this very call stored it."""

    id: UUID
    owner_id: OwnerId
    kind: MediaKind
    sha256: str
    media_type: str
    size_bytes: int
    object_key: str
    created_at: datetime
    ready_at: datetime | None
    is_new: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether a worker has checked it; before that it is shown to nobody."""
        return self.ready_at is not None

    @property
    def extension(self) -> str:
        """What names of it end with, without the dot."""
        return self.object_key.rpartition(".")[2]


async def store_media(front: Front, owner_id: OwnerId, received: ReceivedFile) -> MediaView:
    """Store a file unless this owner has it already.

    Raises:
        InvalidRequest: if it is no video or audio file that is taken; nothing was stored.
        Unavailable: if the object store or the database is away.
    """
    facts, sha256 = await asyncio.to_thread(_examine, received)
    known = await front.queries.rows(statements.media_with_content(owner_id, sha256))
    if known:
        return _view_of(known[0])
    key, size = media_key(owner_id, sha256, facts.extension), received.size_bytes
    await front.objects.put_file(key, received.file, size_bytes=size, media_type=facts.media_type)
    values = {
        "id": uuid7(),
        "owner_id": owner_id,
        "kind": facts.kind,
        "sha256": sha256,
        "media_type": facts.media_type,
        "size_bytes": size,
        "object_key": key,
    }
    added = await front.queries.rows(statements.new_media(values))
    if added:
        return replace(_view_of(added[0]), is_new=True)
    same = await front.queries.rows(statements.media_with_content(owner_id, sha256))  # stored by another, just now
    return _view_of(same[0])


async def media_of(front: Front, owner_id: OwnerId, media_id: UUID) -> MediaView:
    """Return an owner's file.

    Raises:
        NotFound: if there is none, or it is another owner's.
    """
    rows = await front.queries.rows(statements.media_with_id(owner_id, media_id))
    if not rows:
        raise no_such_media()
    return _view_of(rows[0])


async def media_page(
    front: Front, owner_id: OwnerId, *, kind: MediaKind | None, after: UUID | None, limit: int
) -> list[MediaView]:
    """Return an owner's files, newest first."""
    rows = await front.queries.rows(statements.media_page(owner_id, kind=kind, after=after, limit=limit))
    return [_view_of(row) for row in rows]


async def open_media(front: Front, media: MediaView) -> JobId:
    """Return the job that checks a file. Raises what `opening_job` does."""
    return await opening_job(front, media.owner_id, media.id, MediaTask(media_id=media.id))


async def ensure_media_ready(front: Front, media: MediaView) -> MediaView:
    """Return the file once it may be shown, which may take until the clock `image_ready`.

    Raises:
        InvalidRequest: if it turned out not to be whole; it is not stored any more.
        NotFound: if it was deleted meanwhile.
        Unavailable: if it takes longer; asking again goes on with it.
    """
    if media.is_ready:
        return media
    await wait_until_opened(front, await open_media(front, media))
    checked = await media_of(front, media.owner_id, media.id)
    if not checked.is_ready:
        raise Unavailable("The file could not be checked at the moment.", retry_after_s=ASK_AGAIN_S)
    return checked


def no_such_media() -> NotFound:
    """Return the one error for a file that does not exist and for another owner's."""
    return NotFound("There is no media file with this id.")


def _examine(received: ReceivedFile) -> tuple[MediaFacts, bytes]:
    received.file.seek(0)
    facts = sniff_media(received.file.read(SNIFFED_BYTES), field=received.field)
    received.file.seek(0)
    digest = hashlib.sha256()
    while chunk := received.file.read(HASHED_BYTES):
        digest.update(chunk)
    return facts, digest.digest()


def _view_of(row: AnyRow) -> MediaView:
    return MediaView(
        id=row.id,
        owner_id=OwnerId(row.owner_id),
        kind=row.kind,
        sha256=row.sha256.hex(),
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        object_key=row.object_key,
        created_at=row.created_at,
        ready_at=row.ready_at,
    )
