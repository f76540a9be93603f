"""Moving batches on: what has ended is taken in, what comes next is handed out. One instance per api process.

A batch is moved by one process at a time, under its row lock; all of a tick is one transaction. What is handed out has
its job's id written down before the job is submitted, so that whoever dies in between leaves nothing that is lost or
done twice: the next tick submits it under the same id.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, LiteralString
from uuid import UUID

import structlog
from psycopg.rows import namedtuple_row

from shared.database.batch_plan import Budget, new_rate, next_photos, summed, wanted
from shared.database.batch_results import Result, deleted, result_of
from shared.database.batch_tables import BATCH_CODES, BATCH_STATE_OF
from shared.database.connection import Connection, Raw
from shared.database.endings import CANCELLED_IN_QUEUE
from shared.database.statements import batch_work as statements
from shared.domain.batches import BatchState
from shared.domain.ids import OwnerId, new_job_id
from shared.settings import Database

LIMIT: Final = 500
"""Rows per statement."""
LOST_AFTER_S: Final = 15.0
"""Well above the patience of those who submit (`submissions.PATIENCE`)."""
RATED_EVERY_S: Final = 1.0
LEAST_S: Final = 0.01
PATIENCE: Final = timedelta(seconds=1)  # it comes again anyway

Row = Any  # a named tuple with the columns of its statement
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Handed:
    """An item whose job is to be submitted, under this id; `spec` is a `VariantSpec` as JSON."""

    variant: int
    position: int
    job_id: UUID
    image_id: UUID
    spec: str


@dataclass(kw_only=True)
class Moved:
    """What one tick did with a batch, and what is to be done after it was committed."""

    batch_id: UUID
    number: int
    owner_id: OwnerId
    key_id: UUID | None
    settled: int = 0
    to_submit: list[Handed] = field(default_factory=list[Handed])
    to_cancel: list[UUID] = field(default_factory=list[UUID])


class BatchWork:
    """Ticks on a connection of its own, so that a busy pool does not hold batches up."""

    def __init__(self, database: Database) -> None:
        self._connection = Connection(database, name="smartsip-batches", patience=PATIENCE)

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()

    async def under_way(self) -> list[UUID]:
        """Return the batches that are not over.

        Raises:
            Unavailable: if PostgreSQL is away.
        """
        return [row.id for row in await self._connection.run(lambda raw, _: _rows(raw, statements.UNDER_WAY))]

    async def tick(self, batch_id: UUID) -> Moved | None:
        """Move one batch; None if it is over, or another process moves it.

        Raises:
            Unavailable: if PostgreSQL is away; what was handed out and is not known of is found again.
        """

        async def work(raw: Raw, _is_retry: bool) -> Moved | None:
            async with raw.transaction():
                return await _tick(raw, batch_id)

        return await self._connection.run(work)

    async def put_back(self, batch_id: UUID, job_ids: Sequence[UUID], *, pause_for: str | None = None) -> None:
        """Let items be pending whose jobs were refused; pause the batch, where there is a reason for people.

        Raises:
            Unavailable: if PostgreSQL is away.
        """

        async def work(raw: Raw, _is_retry: bool) -> None:
            async with raw.transaction():
                if pause_for is not None:
                    await raw.execute(statements.PAUSE, {"id": batch_id, "reason": pause_for})
                await raw.execute(statements.PUT_BACK, {"id": batch_id, "job_ids": list(job_ids)})

        await self._connection.run(work)


async def _tick(raw: Raw, batch_id: UUID) -> Moved | None:
    locked = await _rows(raw, statements.LOCK, id=batch_id)
    if not locked:
        return None
    batch = locked[0]
    moved = Moved(batch_id=batch_id, number=batch.number, owner_id=OwnerId(batch.owner_id), key_id=batch.key_id)
    state = BATCH_STATE_OF[batch.state]
    await _settle_ended(raw, moved)
    reason: str | None = None
    match state:
        case BatchState.RUNNING:
            reason = await _hand_out(raw, batch, moved)
        case BatchState.PAUSED | BatchState.CANCELLED:
            await _hold_back(raw, moved, stop_running=state is BatchState.CANCELLED)
        case BatchState.COMPLETED:
            pass
    await _mark(raw, batch, state, moved, reason)
    return moved


async def _settle_ended(raw: Raw, moved: Moved) -> None:
    while True:
        ended = await _rows(raw, statements.ENDED, id=moved.batch_id, limit=LIMIT)
        await _settle(raw, moved, [result_of(row) for row in ended])
        if len(ended) < LIMIT:
            return


async def _settle(raw: Raw, moved: Moved, results: Sequence[Result]) -> None:
    if results:
        await raw.execute(statements.SETTLE, {"id": moved.batch_id, "rows": json.dumps(results)})
        moved.settled += len(results)


async def _hand_out(raw: Raw, batch: Row, moved: Moved) -> str | None:
    """Hand out what there is room for; return why the batch must pause, if it must."""
    variants = await _rows(raw, statements.VARIANTS, id=moved.batch_id)
    specs = {row.number: row.spec for row in variants}
    lost = await _rows(raw, statements.LOST, id=moved.batch_id, after_s=LOST_AFTER_S, limit=LIMIT)
    await _take(raw, moved, lost, specs)
    (still,) = await _rows(raw, statements.OPEN, id=moved.batch_id)
    budget = _budget(batch, variants)
    within_budget = budget.room(still.running)
    is_left = still.pending or any(row.next_position < batch.photos for row in variants)
    if is_left and within_budget == 0 and still.running == 0:
        return budget.verdict
    room = wanted(slots=still.slots, running=still.running, rate=batch.rate)
    room = room if within_budget is None else min(room, within_budget)
    if room and still.pending:
        job_ids = [new_job_id() for _ in range(min(room, LIMIT))]
        again = await _rows(raw, statements.AGAIN, id=moved.batch_id, limit=len(job_ids), job_ids=job_ids)
        room -= len(again)
        await _take(raw, moved, again, specs)
    positions = {row.number: row.next_position for row in variants}
    pairs = next_photos(positions, batch.photos, room)
    if pairs:
        rows = [{"variant": number, "position": place, "job_id": str(new_job_id())} for number, place in pairs]
        await _take(raw, moved, await _rows(raw, statements.ANEW, id=moved.batch_id, rows=json.dumps(rows)), specs)
    return None


async def _take(raw: Raw, moved: Moved, rows: Sequence[Row], specs: dict[int, str]) -> None:
    """Note what is to be submitted; photos that were deleted meanwhile are settled at once."""
    gone = [
        {"variant": row.variant, "position": row.position, "is_priced": False, **deleted()}
        for row in rows
        if not row.has_photo
    ]
    await _settle(raw, moved, gone)
    moved.to_submit += [
        Handed(
            variant=row.variant,
            position=row.position,
            job_id=row.job_id,
            image_id=row.image_id,
            spec=specs[row.variant],
        )
        for row in rows
        if row.has_photo
    ]


async def _hold_back(raw: Raw, moved: Moved, *, stop_running: bool) -> None:
    """Take back what nobody has begun; what runs goes on where the batch is only paused."""
    values = {"limit": LIMIT, "reply": CANCELLED_IN_QUEUE}
    while len(await _rows(raw, statements.WITHDRAW, id=moved.batch_id, **values)) == LIMIT:
        pass
    lost = await _rows(raw, statements.LOST, id=moved.batch_id, after_s=LOST_AFTER_S, limit=LIMIT)
    if lost:
        await raw.execute(statements.PUT_BACK, {"id": moved.batch_id, "job_ids": [row.job_id for row in lost]})
    if stop_running:
        rows = await _rows(raw, statements.STILL_RUNNING, id=moved.batch_id, limit=LIMIT)
        moved.to_cancel += [row.job_id for row in rows]


async def _mark(raw: Raw, batch: Row, state: BatchState, moved: Moved, reason: str | None) -> None:
    """Write how fast the batch is, and where it stands, if either has changed."""
    (still,) = await _rows(raw, statements.OPEN, id=moved.batch_id)
    variants = await _rows(raw, statements.VARIANTS, id=moved.batch_id)
    is_left = still.pending or any(row.next_position < batch.photos for row in variants)
    after = state
    if reason is not None:
        after = BatchState.PAUSED
    elif state is BatchState.RUNNING and not is_left and not still.running:
        after = BatchState.COMPLETED
    is_over = not still.running and after in (BatchState.COMPLETED, BatchState.CANCELLED)
    is_rated = state is BatchState.RUNNING and _is_news(batch, moved)
    if after is state and not is_over and not is_rated:
        return
    values = {
        "id": moved.batch_id,
        "state": BATCH_CODES[after],
        "reason": reason,
        "rate": _rate(batch, moved) if is_rated else batch.rate,
        "is_rated": is_rated,
        "is_over": is_over,
    }
    await raw.execute(statements.MARK, values)
    if after is not state or is_over:
        _log.info("batch_moved", batch_id=str(moved.batch_id), state=after.value, reason=reason, is_over=is_over)


def _is_news(batch: Row, moved: Moved) -> bool:
    """Whether there is something to say about the rate: the clock begins with the first item that is handed out."""
    if batch.rated_s_ago is None:
        return bool(moved.to_submit)
    return moved.settled > 0 or (batch.rate is not None and batch.rated_s_ago >= RATED_EVERY_S)


def _rate(batch: Row, moved: Moved) -> float | None:
    if batch.rated_s_ago is None:
        return None
    return new_rate(batch.rate, ended=moved.settled, within_s=max(batch.rated_s_ago, LEAST_S))


def _budget(batch: Row, variants: Sequence[Row]) -> Budget:
    return Budget(
        cost=batch.budget_cost,
        tokens=batch.budget_tokens,
        spent_cost=summed([row.cost for row in variants]),
        spent_tokens=sum(row.input_tokens + row.output_tokens for row in variants),
        dearest_cost=max((row.dearest_cost for row in variants if row.dearest_cost is not None), default=None),
        dearest_tokens=max((row.dearest_tokens for row in variants if row.dearest_tokens is not None), default=None),
    )


async def _rows(raw: Raw, statement: LiteralString, **values: object) -> list[Row]:
    async with raw.cursor(row_factory=namedtuple_row) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall()
