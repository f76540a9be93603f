"""Statements about touches: when a device first asked about a photo."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningInsert

from shared.database.tables import image, touch


def touch_of(owner_id: int, device_number: int, image_id: UUID, *, same_within: timedelta) -> ReturningInsert[Any]:
    """When the touch began that asking now belongs to; a new one begins now if the last began `same_within` ago.

    No row if the owner has no such image. The image's row is held for the moment, so that it cannot be deleted between
    the look and the write.
    """
    owned = (
        select(literal(owner_id), literal(device_number), image.c.id)
        .where(image.c.owner_id == owner_id, image.c.id == image_id)
        .with_for_update(read=True, key_share=True)
    )
    statement = insert(touch).from_select(["owner_id", "device_number", "image_id"], owned)
    is_same = touch.c.began_at > func.now() - same_within
    return statement.on_conflict_do_update(
        index_elements=[touch.c.owner_id, touch.c.device_number, touch.c.image_id],
        set_={"began_at": case((is_same, touch.c.began_at), else_=func.now())},
    ).returning(touch.c.began_at)
