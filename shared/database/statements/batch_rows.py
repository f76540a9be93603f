"""Statements that read a batch for its report: its head, and photos with their items, page by page in their order.

No statement holds a transaction or counts anything: a batch of 100,000 photos is read while it runs.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import Select, and_, any_, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import SmallInteger, Uuid

from shared.database.batch_tables import batch, batch_item, batch_photo, batch_variant
from shared.database.tables import image, image_name

Rows: TypeAlias = Select[*tuple[Any, ...]]

_RESULT: Final = tuple(column for column in batch_item.columns if column is not batch_item.c.dispatched_at)


def batch_with_id(owner_id: int, batch_id: UUID) -> Rows:
    """The owner's batch with this id."""
    return select(batch).where(batch.c.owner_id == owner_id, batch.c.id == batch_id)


def variants_of(batch_id: UUID) -> Rows:
    """A batch's variants by their numbers, each with what it is asked with."""
    columns = (batch_variant.c[name] for name in ("number", "name", "model", "prompt", "profile", "spec"))
    return select(*columns).where(batch_variant.c.batch_id == batch_id).order_by(batch_variant.c.number)


def photos_page(owner_id: int, batch_id: UUID, *, first: int, limit: int) -> Rows:
    """Photos of a batch from a position on, with what people say of them; without an `id` where one was deleted."""
    newest_name = (
        select(image_name.c.name)
        .where(image_name.c.image_id == image.c.id)
        .order_by(image_name.c.stored_at.desc(), image_name.c.name)
        .limit(1)
        .scalar_subquery()
    )
    of_owner = and_(image.c.id == batch_photo.c.image_id, image.c.owner_id == owner_id)
    return (
        select(
            batch_photo.c.position,
            batch_photo.c.image_id,
            image.c.id,
            image.c.labels,
            newest_name.label("name"),
        )
        .outerjoin(image, of_owner)
        .where(batch_photo.c.batch_id == batch_id, batch_photo.c.position >= first)
        .order_by(batch_photo.c.position)
        .limit(limit)
    )


def items_between(batch_id: UUID, variants: Sequence[int], *, first: int, last: int) -> Rows:
    """What became of the photos from one position to another with each of these variants, where it was begun."""
    return select(*_RESULT).where(
        batch_item.c.batch_id == batch_id,
        batch_item.c.variant == any_(cast(list(variants), ARRAY(SmallInteger))),
        batch_item.c.position.between(first, last),
    )


def items_of_images(batch_id: UUID, image_ids: Sequence[UUID]) -> Rows:
    """What became of these photos in a batch, where they are in it and were begun."""
    same = and_(batch_item.c.batch_id == batch_photo.c.batch_id, batch_item.c.position == batch_photo.c.position)
    return (
        select(batch_photo.c.image_id, *_RESULT)
        .join(batch_item, same)
        .where(
            batch_photo.c.batch_id == batch_id,
            batch_photo.c.image_id == any_(cast(list(image_ids), ARRAY(Uuid))),
        )
    )


def label_names(owner_id: int, batch_id: UUID, *, limit: int) -> Rows:
    """The names of labels that a batch's photos have, those of most photos first."""
    of_photo = (
        select(func.jsonb_object_keys(image.c.labels).label("name"))
        .join(batch_photo, batch_photo.c.image_id == image.c.id)
        .where(batch_photo.c.batch_id == batch_id, image.c.owner_id == owner_id)
        .subquery()
    )
    return select(of_photo.c.name).group_by(of_photo.c.name).order_by(func.count().desc(), of_photo.c.name).limit(limit)


def thumbnail_keys(owner_id: int, image_ids: Sequence[UUID]) -> Rows:
    """Under which keys the thumbnails of an owner's opened photos are; a small photo is its own."""
    return select(image.c.id, func.coalesce(image.c.thumbnail_key, image.c.object_key).label("key")).where(
        image.c.owner_id == owner_id,
        image.c.id == any_(cast(list(image_ids), ARRAY(Uuid))),
        image.c.ready_at.is_not(None),
    )
