"""A stored video or audio file as a worker reads it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row

from shared.database.statements import media as statements
from shared.domain.errors import NotFound
from shared.domain.ids import OwnerId
from workers.services.attempt import Tools


@dataclass(frozen=True, kw_only=True)
class MediaRow:
    """What a worker needs of a file's row."""

    id: UUID
    owner_id: OwnerId
    kind: str
    sha256: bytes
    object_key: str
    media_type: str
    size_bytes: int
    is_ready: bool


async def find_media(tools: Tools, owner_id: OwnerId, media_id: UUID, *, field: str) -> MediaRow:
    """Return a file's row; `field` is where it was named.

    Raises:
        NotFound: if its owner has no such file.
    """
    rows = await tools.queries.rows(statements.media_with_id(owner_id, media_id))
    if not rows:
        raise NotFound("The media file of this job does not exist any more.", field=field)
    return media_row_of(rows[0])


def media_row_of(row: Row[Any]) -> MediaRow:  # Any: the columns of the table `media`
    """Return the part of a row that workers need."""
    return MediaRow(
        id=row.id,
        owner_id=OwnerId(row.owner_id),
        kind=row.kind,
        sha256=row.sha256,
        object_key=row.object_key,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        is_ready=row.ready_at is not None,
    )
