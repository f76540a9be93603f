"""Statements about whatever was uploaded: photos, and videos and audio files, which are kept apart."""

from collections.abc import Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import CompoundSelect, any_, literal, select, union_all
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text, Uuid

from shared.database.tables import image, media

Rows: TypeAlias = CompoundSelect[*tuple[Any, ...]]  # rows are read by name


def uploads_with_ids(owner_id: int, ids: Sequence[UUID]) -> Rows:
    """Id, kind and media type of those of an owner's files that have one of these ids."""
    wanted = any_(sql_cast(list(ids), ARRAY(Uuid)))
    return union_all(
        select(image.c.id, literal("image", Text).label("kind"), image.c.media_type).where(
            image.c.owner_id == owner_id, image.c.id == wanted
        ),
        select(media.c.id, media.c.kind, media.c.media_type).where(media.c.owner_id == owner_id, media.c.id == wanted),
    )
