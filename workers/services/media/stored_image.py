"""A stored image as a worker reads it: its row, and its object."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row

from shared.database.statements import images as statements
from shared.domain.errors import NotFound
from shared.domain.ids import OwnerId
from workers.services.attempt import Tools


@dataclass(frozen=True, kw_only=True)
class StoredRow:
    """What a worker needs of an image's row. `sha256` is of what was sent; the rest is of what the object holds now."""

    id: UUID
    owner_id: OwnerId
    sha256: bytes
    object_key: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    is_ready: bool


async def find_image(tools: Tools, owner_id: OwnerId, image_id: UUID, *, field: str) -> StoredRow:
    """Return an image's row.

    Raises:
        NotFound: if its owner has no such image.
    """
    rows = await tools.queries.rows(statements.image_with_id(owner_id, image_id))
    if not rows:
        raise NotFound("The image of this job does not exist any more.", field=field)
    return row_of(rows[0])


async def read_image(tools: Tools, row: StoredRow, *, field: str) -> tuple[StoredRow, bytes]:
    """Return what an image's object holds, with the row that says so.

    An object that is gone may have been replaced by its clean one since the row was read, so that is read once more.

    Raises:
        NotFound: if the image was deleted, or its object is gone.
    """
    while True:
        try:
            return row, await tools.objects.get(row.object_key)
        except NotFound:
            now = await find_image(tools, row.owner_id, row.id, field=field)
            if now.object_key == row.object_key:
                raise
            row = now


def row_of(row: Row[Any]) -> StoredRow:  # Any: the columns of the table `image`
    """Return the part of a row that workers need."""
    return StoredRow(
        id=row.id,
        owner_id=OwnerId(row.owner_id),
        sha256=row.sha256,
        object_key=row.object_key,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        width=row.width,
        height=row.height,
        is_ready=row.ready_at is not None,
    )
