"""Statements about batches as their owners see and steer them; what moves them on is in `batch_work`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Delete,
    Insert,
    Select,
    Update,
    any_,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate
from sqlalchemy.types import Uuid

from shared.database.batch_tables import BATCH_CODES, ITEM_CODES, batch, batch_item, batch_photo, batch_variant
from shared.database.tables import image
from shared.domain.batches import BatchState, ItemState

Rows: TypeAlias = Select[*tuple[Any, ...]]
_RUNNING: Final = ITEM_CODES[ItemState.RUNNING]
_AGAIN: Final = [ITEM_CODES[state] for state in (ItemState.FAILED, ItemState.CANCELLED)]


def new_batch(values: Mapping[str, Any]) -> ReturningInsert[Any]:
    """A batch; no row if its idempotency key is taken."""
    return upsert(batch).values(values).on_conflict_do_nothing().returning(batch.c.id)


def new_photos(batch_id: UUID, selected: Rows) -> Insert:
    """Freeze a selection of image ids, in its order."""
    chosen = selected.subquery("chosen")
    numbered = select(
        literal(batch_id, Uuid), (func.row_number().over() - 1).label("position"), chosen.c.id
    ).select_from(chosen)
    return insert(batch_photo).from_select(["batch_id", "position", "image_id"], numbered)


def photos_in(batch_id: UUID) -> Rows:
    """How many photos a batch has."""
    return select(func.count()).select_from(batch_photo).where(batch_photo.c.batch_id == batch_id)


def owned_images(owner_id: int, image_ids: Sequence[UUID]) -> Rows:
    """Those of these images that are the owner's."""
    return select(image.c.id).where(image.c.owner_id == owner_id, image.c.id == _any(image_ids))


def in_this_order(image_ids: Sequence[UUID]) -> Rows:
    """Images by their ids, as a selection."""
    told = func.unnest(cast(list(image_ids), ARRAY(Uuid))).table_valued("id", with_ordinality="place").render_derived()
    return select(told.c.id).order_by(told.c.place)


def new_variants(rows: Sequence[Mapping[str, Any]]) -> Insert:
    """Ways of asking."""
    return insert(batch_variant).values(list(rows))


def batches(owner_id: int) -> Rows:
    """An owner's batches, newest first."""
    return select(batch).where(batch.c.owner_id == owner_id).order_by(batch.c.id.desc())


def batches_page(owner_id: int, *, states: Sequence[BatchState], after: UUID | None, limit: int) -> Rows:
    """A page of them, from the one after `after`."""
    statement = batches(owner_id).limit(limit)
    if states:
        statement = statement.where(batch.c.state.in_([BATCH_CODES[state] for state in states]))
    return statement if after is None else statement.where(batch.c.id < after)


def variants_of(batch_ids: Sequence[UUID]) -> Rows:
    """The variants of batches."""
    columns = [column for column in batch_variant.c if column.name not in ("dearest_cost", "dearest_tokens")]
    return (
        select(*columns)
        .where(batch_variant.c.batch_id == _any(batch_ids))
        .order_by(batch_variant.c.batch_id, batch_variant.c.number)
    )


def running_items(batch_ids: Sequence[UUID]) -> Rows:
    """How many items of each variant have a job."""
    return (
        select(batch_item.c.batch_id, batch_item.c.variant, func.count().label("items"))
        .where(batch_item.c.batch_id == _any(batch_ids), batch_item.c.state == text(str(_RUNNING)))
        .group_by(batch_item.c.batch_id, batch_item.c.variant)
    )


def lock_batch(owner_id: int, batch_id: UUID) -> Rows:
    """An owner's batch, locked until the transaction ends: nothing moves it meanwhile."""
    return select(batch).where(batch.c.owner_id == owner_id, batch.c.id == batch_id).with_for_update()


def change_batch(batch_id: UUID, values: Mapping[str, Any]) -> Update:
    """Change some columns of a batch."""
    return update(batch).where(batch.c.id == batch_id).values(dict(values))


def try_again(batch_id: UUID, variant: int | None) -> ReturningUpdate[Any, Any]:
    """Let what failed or was cancelled be pending; a row per item, with what it was."""
    before = (
        select(batch_item.c.variant, batch_item.c.position, batch_item.c.state)
        .where(batch_item.c.batch_id == batch_id, batch_item.c.state.in_(_AGAIN))
        .with_for_update()
        .cte("before")
    )
    statement = (
        update(batch_item)
        .where(
            batch_item.c.batch_id == batch_id,
            batch_item.c.variant == before.c.variant,
            batch_item.c.position == before.c.position,
        )
        .values(
            state=ITEM_CODES[ItemState.PENDING],
            job_id=None,
            error_code=None,
            error_detail=None,
            latency_ms=None,
            input_tokens=None,
            output_tokens=None,
            cost=None,
            ended_at=None,
        )
        .returning(before.c.variant, before.c.state)
    )
    return statement if variant is None else statement.where(batch_item.c.variant == variant)


def fewer(batch_id: UUID, variant: int, *, failed: int, cancelled: int) -> Update:
    """Count items out that are tried again."""
    return (
        update(batch_variant)
        .where(batch_variant.c.batch_id == batch_id, batch_variant.c.number == variant)
        .values(failed=batch_variant.c.failed - failed, cancelled=batch_variant.c.cancelled - cancelled)
    )


def remove_batch(batch_id: UUID) -> Delete:
    """Remove a batch with its items."""
    return delete(batch).where(batch.c.id == batch_id)


def items_page(
    batch_id: UUID,
    *,
    variant: int | None,
    state: ItemState | None,
    after: tuple[int, int] | None,
    limit: int,
) -> Rows:
    """Begun items by position, then variant, from the one after (`position`, `variant`)."""
    statement = (
        select(batch_item, batch_photo.c.image_id)
        .join_from(
            batch_item,
            batch_photo,
            (batch_photo.c.batch_id == batch_item.c.batch_id) & (batch_photo.c.position == batch_item.c.position),
        )
        .where(batch_item.c.batch_id == batch_id)
        .order_by(batch_item.c.position, batch_item.c.variant)
        .limit(limit)
    )
    if variant is not None:
        statement = statement.where(batch_item.c.variant == variant)
    if state is not None:
        statement = statement.where(batch_item.c.state == ITEM_CODES[state])
    if after is not None:
        statement = statement.where(tuple_(batch_item.c.position, batch_item.c.variant) > tuple_(*after))
    return statement


LOCK_BATCHES_OF_PHOTO: Final = text("""
select id from batch
where owner_id = :owner_id and id in (select batch_id from batch_photo where image_id = :image_id)
order by id for update
""")
"""Run before `ERASE_PHOTO`, in its transaction: nothing moves these batches meanwhile."""

ERASE_PHOTO: Final = text("""
with hit as materialized (
    select item.batch_id, item.variant, item.position, item.state
    from batch_photo as photo
    join batch on batch.id = photo.batch_id and batch.owner_id = :owner_id
    join batch_item as item on item.batch_id = photo.batch_id and item.position = photo.position
    where photo.image_id = :image_id and item.state <> 5
    for update of item
), erased as (
    update batch_item as item set
        state = 5, job_id = null, error_code = null, error_detail = null, receivable = null, child_present = null,
        container = null, contents = null, volume = null, degree = null, asked_volume = null, asked_degree = null,
        interventions = null, is_unusable = null, latency_ms = null,
        input_tokens = null, output_tokens = null, cost = null
    from hit
    where item.batch_id = hit.batch_id and item.variant = hit.variant and item.position = hit.position
), summed as (
    select batch_id, variant, count(*) as deleted, count(*) filter (where state = 2) as succeeded,
        count(*) filter (where state = 3) as failed, count(*) filter (where state = 4) as cancelled
    from hit group by batch_id, variant
)
update batch_variant as variant set
    deleted = variant.deleted + summed.deleted, succeeded = variant.succeeded - summed.succeeded,
    failed = variant.failed - summed.failed, cancelled = variant.cancelled - summed.cancelled
from summed where variant.batch_id = summed.batch_id and variant.number = summed.variant
""")
"""Forgets what batches found in a photo that is being deleted. What it cost stays counted: it was paid."""


def _any(ids: Sequence[UUID]) -> ColumnElement[Any]:
    return any_(cast(list(ids), ARRAY(Uuid)))
