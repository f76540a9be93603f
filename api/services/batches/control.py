"""Steering a batch: each wish changes its row under its lock; the next tick acts on it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller
from api.front import Front
from api.services.batches.new_batch import NewVariant, check_prices, frozen_variant, names_of, variant_row
from api.services.batches.views import BatchView, batch_of, no_such_batch
from shared.database.batch_tables import BATCH_CODES, BATCH_STATE_OF, ITEM_CODES
from shared.database.queries import AnyRow
from shared.database.statements import batches as statements
from shared.domain.batches import MAX_VARIANTS, BatchState, ItemState, VariantSpec
from shared.domain.errors import Conflict, InvalidRequest
from shared.domain.ids import OwnerId

PAUSED_BY_OWNER: Final = "paused by its owner"
_RUNNING: Final[Mapping[str, Any]] = {
    "state": BATCH_CODES[BatchState.RUNNING],
    "reason": None,
    "ended_at": None,
    "rate": None,
    "rated_at": None,
}


async def pause(front: Front, owner_id: OwnerId, batch_id: UUID) -> BatchView:
    """Hand out nothing more: what runs ends, what waits is taken back. Doing it again is harmless.

    Raises:
        NotFound: if there is no such batch. Conflict: if it is over.
    """
    async with front.queries.transaction() as connection:
        row = await _locked(connection, owner_id, batch_id, (BatchState.RUNNING, BatchState.PAUSED), "paused")
        if BATCH_STATE_OF[row.state] is BatchState.RUNNING:
            paused = {"state": BATCH_CODES[BatchState.PAUSED], "reason": PAUSED_BY_OWNER, "rate": None}
            await connection.execute(statements.change_batch(batch_id, paused))
    return await batch_of(front, owner_id, batch_id)


async def resume(front: Front, owner_id: OwnerId, batch_id: UUID) -> BatchView:
    """Go on. Doing it again is harmless. Raises as `pause`."""
    async with front.queries.transaction() as connection:
        row = await _locked(connection, owner_id, batch_id, (BatchState.RUNNING, BatchState.PAUSED), "resumed")
        if BATCH_STATE_OF[row.state] is BatchState.PAUSED:
            await connection.execute(statements.change_batch(batch_id, _RUNNING))
    return await batch_of(front, owner_id, batch_id)


async def cancel_batch(front: Front, owner_id: OwnerId, batch_id: UUID) -> BatchView:
    """End it for good: what runs is cancelled, what was found stays. Doing it again is harmless.

    Raises:
        NotFound: if there is no such batch. Conflict: if it is completed.
    """
    states = (BatchState.RUNNING, BatchState.PAUSED, BatchState.CANCELLED)
    async with front.queries.transaction() as connection:
        row = await _locked(connection, owner_id, batch_id, states, "cancelled")
        if BATCH_STATE_OF[row.state] is not BatchState.CANCELLED:
            cancelled = {"state": BATCH_CODES[BatchState.CANCELLED], "reason": None, "rate": None}
            await connection.execute(statements.change_batch(batch_id, cancelled))
    return await batch_of(front, owner_id, batch_id)


async def retry(front: Front, owner_id: OwnerId, batch_id: UUID, variant: int | None) -> BatchView:
    """Ask once more about what failed or was cancelled, of one variant or of all; go on where it was completed.

    Raises:
        NotFound: if there is no such batch. Conflict: if it is cancelled. InvalidRequest: if it has no such variant.
    """
    states = (BatchState.RUNNING, BatchState.PAUSED, BatchState.COMPLETED)
    async with front.queries.transaction() as connection:
        row = await _locked(connection, owner_id, batch_id, states, "retried")
        numbers = {one.number for one in (await connection.execute(statements.variants_of([batch_id]))).all()}
        if variant is not None and variant not in numbers:
            raise InvalidRequest(f"this batch has the variants 1 to {max(numbers)}", field="variant")
        await _try_again(connection, batch_id, variant)
        if BATCH_STATE_OF[row.state] is BatchState.COMPLETED:
            await connection.execute(statements.change_batch(batch_id, _RUNNING))
    return await batch_of(front, owner_id, batch_id)


async def add_variant(front: Front, caller: Caller, batch_id: UUID, variant: NewVariant) -> BatchView:
    """Ask about the same photos in one more way; go on where it was completed.

    Raises:
        NotFound: if there is no such batch. Conflict: if it is cancelled.
        InvalidRequest: if the variant cannot be asked, or there are too many.
    """
    spec = await frozen_variant(front, caller, variant, field="")
    states = (BatchState.RUNNING, BatchState.PAUSED, BatchState.COMPLETED)
    async with front.queries.transaction() as connection:
        row = await _locked(connection, caller.owner_id, batch_id, states, "extended")
        before = (await connection.execute(statements.variants_of([batch_id]))).all()
        if len(before) >= MAX_VARIANTS:
            raise Conflict(f"A batch has at most {MAX_VARIANTS} variants.")
        check_prices(front, [spec], cost=None if row.budget_cost is None else float(row.budget_cost))
        name = _name(variant, spec, before)
        await connection.execute(statements.new_variants([variant_row(batch_id, len(before) + 1, name, spec)]))
        if BATCH_STATE_OF[row.state] is BatchState.COMPLETED:
            await connection.execute(statements.change_batch(batch_id, _RUNNING))
    return await batch_of(front, caller.owner_id, batch_id)


async def change(front: Front, owner_id: OwnerId, batch_id: UUID, values: Mapping[str, Any]) -> BatchView:
    """Change name, note (columns of the batch) or budget; a batch that waits for its budget waits for `resume`.

    Raises:
        NotFound: if there is no such batch. InvalidRequest: if the budget cannot be kept.
    """
    async with front.queries.transaction() as connection:
        await _locked(connection, owner_id, batch_id, tuple(BatchState), "changed")
        if values.get("budget_cost") is not None:
            rows = (await connection.execute(statements.variants_of([batch_id]))).all()
            specs = [VariantSpec.model_validate_json(row.spec) for row in rows]
            check_prices(front, specs, cost=values["budget_cost"])
        if values:
            await connection.execute(statements.change_batch(batch_id, values))
    return await batch_of(front, owner_id, batch_id)


async def delete_batch(front: Front, owner_id: OwnerId, batch_id: UUID) -> None:
    """Remove a batch that is over, with its results; its jobs stay what they are.

    Raises:
        NotFound: if there is no such batch. Conflict: if it is not over.
    """
    async with front.queries.transaction() as connection:
        row = await _locked(connection, owner_id, batch_id, tuple(BatchState), "deleted")
        if row.ended_at is None:
            raise Conflict("This batch is not over: cancel it first, and wait until nothing of it runs.")
        await connection.execute(statements.remove_batch(batch_id))


async def _locked(
    connection: AsyncConnection, owner_id: OwnerId, batch_id: UUID, states: Sequence[BatchState], what: str
) -> AnyRow:
    row = (await connection.execute(statements.lock_batch(owner_id, batch_id))).first()
    if row is None:
        raise no_such_batch()
    if BATCH_STATE_OF[row.state] not in states:
        raise Conflict(f"This batch is {BATCH_STATE_OF[row.state]}: it cannot be {what}.")
    return row


async def _try_again(connection: AsyncConnection, batch_id: UUID, variant: int | None) -> None:
    rows = (await connection.execute(statements.try_again(batch_id, variant))).all()
    counted = Counter((row.variant, row.state) for row in rows)
    for number in sorted({row.variant for row in rows}):
        fewer = statements.fewer(
            batch_id,
            number,
            failed=counted[number, ITEM_CODES[ItemState.FAILED]],
            cancelled=counted[number, ITEM_CODES[ItemState.CANCELLED]],
        )
        await connection.execute(fewer)


def _name(variant: NewVariant, spec: VariantSpec, before: Sequence[AnyRow]) -> str:
    try:
        return names_of([variant], [spec], taken=[row.name for row in before], field="")[0]
    except InvalidRequest as error:
        raise InvalidRequest(error.detail, field="name") from error
