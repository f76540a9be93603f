"""Statements about stored videos and audio files."""

from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningDelete, ReturningInsert, ReturningUpdate
from sqlalchemy.sql.selectable import Select

from shared.database.tables import media

Rows: TypeAlias = Select[*tuple[Any, ...]]


def media_with_content(owner_id: int, sha256: bytes) -> Rows:
    """The owner's file with this content."""
    return select(media).where(media.c.owner_id == owner_id, media.c.sha256 == sha256)


def media_with_id(owner_id: int, media_id: UUID) -> Rows:
    """The owner's file with this id."""
    return select(media).where(media.c.owner_id == owner_id, media.c.id == media_id)


def media_page(owner_id: int, *, kind: str | None, after: UUID | None, limit: int) -> Rows:
    """An owner's files, newest first, from the one after `after`."""
    statement = select(media).where(media.c.owner_id == owner_id)
    if kind is not None:
        statement = statement.where(media.c.kind == kind)
    if after is not None:
        statement = statement.where(media.c.id < after)
    return statement.order_by(media.c.id.desc()).limit(limit)


def new_media(values: dict[str, Any]) -> ReturningInsert[*tuple[Any, ...]]:
    """Add a file unless its owner has one with the same content; returns the row only if it was added."""
    return (
        insert(media)
        .values(values)
        .on_conflict_do_nothing(index_elements=[media.c.owner_id, media.c.sha256])
        .returning(media)
    )


def make_media_ready(owner_id: int, media_id: UUID) -> ReturningUpdate[Any]:
    """Let a file be shown; a row unless it was deleted, with the time of the first who did this."""
    return (
        update(media)
        .where(media.c.owner_id == owner_id, media.c.id == media_id)
        .values(ready_at=func.coalesce(media.c.ready_at, func.now()))
        .returning(media)
    )


def forget_refused_media(owner_id: int, media_id: UUID) -> ReturningDelete[Any]:
    """Remove a file that was refused; a row only if it was there, and not shown to anybody yet."""
    return (
        delete(media)
        .where(media.c.owner_id == owner_id, media.c.id == media_id, media.c.ready_at.is_(None))
        .returning(media.c.id)
    )


def lock_media(owner_id: int, media_id: UUID) -> Rows:
    """The owner's file, locked until the transaction ends."""
    return select(media.c.id).where(media.c.owner_id == owner_id, media.c.id == media_id).with_for_update()


def remove_media(owner_id: int, media_id: UUID) -> ReturningDelete[Any]:
    """Remove a file."""
    return delete(media).where(media.c.owner_id == owner_id, media.c.id == media_id).returning(media.c.id)
