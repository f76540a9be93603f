"""Statements of the worker that makes a stored photo fit to be shown."""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, update
from sqlalchemy.sql.dml import ReturningDelete, ReturningUpdate

from shared.database.tables import image


def make_ready(owner_id: int, image_id: UUID, values: dict[str, Any]) -> ReturningUpdate[Any]:
    """Let an image be shown, with these columns of its clean content; a row only if nobody did before."""
    return (
        update(image)
        .where(image.c.id == image_id, image.c.owner_id == owner_id, image.c.ready_at.is_(None))
        .values(values | {"ready_at": func.now()})
        .returning(image)
    )


def forget_refused(owner_id: int, image_id: UUID) -> ReturningDelete[Any]:
    """Remove an image that cannot be opened; a row only if it was there, and not shown to anybody yet."""
    return (
        delete(image)
        .where(image.c.id == image_id, image.c.owner_id == owner_id, image.c.ready_at.is_(None))
        .returning(image.c.id)
    )
