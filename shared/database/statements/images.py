"""Statements about stored photos and the names that devices give them."""

from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Select, case, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningInsert

from shared.database.tables import image, image_name

Images: TypeAlias = Select[*tuple[Any, ...]]


def image_with_content(owner_id: int, sha256: bytes) -> Images:
    """The owner's image with this content."""
    return select(image).where(image.c.owner_id == owner_id, image.c.sha256 == sha256)


def image_with_id(owner_id: int, image_id: UUID) -> Images:
    """The owner's image with this id."""
    return select(image).where(image.c.owner_id == owner_id, image.c.id == image_id)


def image_with_name(owner_id: int, bucket: str, name: str) -> Images:
    """The image that a name means to this owner, and since when."""
    return (
        select(image, image_name.c.stored_at)
        .join(image_name, image_name.c.image_id == image.c.id)
        .where(image_name.c.owner_id == owner_id, image_name.c.bucket == bucket, image_name.c.name == name)
    )


def new_image(values: dict[str, Any]) -> ReturningInsert[*tuple[Any, ...]]:
    """Add an image unless its owner has one with the same content; returns the row only if it was added."""
    return (
        insert(image)
        .values(values)
        .on_conflict_do_nothing(index_elements=[image.c.owner_id, image.c.sha256])
        .returning(image)
    )


def name_for_image(owner_id: int, bucket: str, name: str, image_id: UUID) -> ReturningInsert[Any]:
    """Let a name mean an image from now on; the same image under the same name again changes nothing."""
    statement = insert(image_name).values(owner_id=owner_id, bucket=bucket, name=name, image_id=image_id)
    is_same = image_name.c.image_id == statement.excluded.image_id
    return statement.on_conflict_do_update(
        index_elements=[image_name.c.owner_id, image_name.c.bucket, image_name.c.name],
        set_={
            "image_id": statement.excluded.image_id,
            "stored_at": case((is_same, image_name.c.stored_at), else_=func.now()),
        },
    ).returning(image_name.c.stored_at)
