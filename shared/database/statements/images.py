"""Statements about stored photos."""

from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningInsert

from shared.database.tables import image

Images: TypeAlias = Select[*tuple[Any, ...]]


def image_with_content(owner_id: int, sha256: bytes) -> Images:
    """The owner's image with this content."""
    return select(image).where(image.c.owner_id == owner_id, image.c.sha256 == sha256)


def image_with_id(owner_id: int, image_id: UUID) -> Images:
    """The owner's image with this id."""
    return select(image).where(image.c.owner_id == owner_id, image.c.id == image_id)


def new_image(values: dict[str, Any]) -> ReturningInsert[*tuple[Any, ...]]:
    """Add an image unless its owner has one with the same content; returns the row only if it was added."""
    return (
        insert(image)
        .values(values)
        .on_conflict_do_nothing(index_elements=[image.c.owner_id, image.c.sha256])
        .returning(image)
    )
