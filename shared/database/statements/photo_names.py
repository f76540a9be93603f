"""Statements about the names that devices give their photos."""

from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningDelete, ReturningInsert

from shared.database.tables import image, image_name

Names: TypeAlias = Select[*tuple[Any, ...]]


def image_with_name(owner_id: int, device_number: int, bucket: str, name: str, *, new_for: timedelta) -> Names:
    """The id of the image that a name means to this device, and whether it was given that name just now."""
    is_new = image_name.c.stored_at > func.now() - new_for
    return select(image_name.c.image_id, is_new.label("is_new")).where(_is(owner_id, device_number, bucket, name))


def name_for_image(
    owner_id: int, device_number: int, bucket: str, name: str, *, image_id: UUID
) -> ReturningInsert[*tuple[Any, ...]]:
    """Let a device's name mean an image of its owner's from now on; returns no row if the image is gone."""
    names = {"owner_id": owner_id, "device_number": device_number, "bucket": bucket, "name": name}
    values = [bindparam(column, value, type_=image_name.c[column].type) for column, value in names.items()]
    # Locked, so that a deletion at this moment waits: the name then goes with the image.
    still_there = (
        select(*values, image.c.id)
        .where(image.c.id == image_id, image.c.owner_id == owner_id)
        .with_for_update(key_share=True, read=True)
    )
    statement = insert(image_name).from_select([*names, "image_id"], still_there)
    return statement.on_conflict_do_update(
        index_elements=[image_name.c[column] for column in names],
        set_={"image_id": statement.excluded.image_id, "stored_at": func.now()},
    ).returning(image_name.c.stored_at)


def without_name(owner_id: int, device_number: int, bucket: str, name: str) -> ReturningDelete[*tuple[Any, ...]]:
    """Let a device's name mean nothing."""
    return delete(image_name).where(_is(owner_id, device_number, bucket, name)).returning(image_name.c.image_id)


def _is(owner_id: int, device_number: int, bucket: str, name: str) -> ColumnElement[bool]:
    return and_(
        image_name.c.owner_id == owner_id,
        image_name.c.device_number == device_number,
        image_name.c.bucket == bucket,
        image_name.c.name == name,
    )
