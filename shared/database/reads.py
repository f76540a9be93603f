"""Looking at jobs. Nothing here locks or writes; an `owner_id` of None sees everybody's."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.endings import told_from_the_row, unpack_archive
from shared.database.queries import AnyRow, Queries
from shared.database.statements import reading
from shared.database.tables import STATE_OF
from shared.database.views import (
    Ending,
    JobView,
    QueueDepth,
    SetbackView,
    Snapshot,
    error_from_json,
    view_from_row,
)
from shared.domain.events import decode_reply
from shared.domain.ids import JobId, OwnerId
from shared.domain.jobs import Kind, Queue, State

FARTHEST_POSITION: Final = 10_000
"""Counting farther would cost more than anyone gains from the number; 10,000 rows take about 5 ms."""
LARGE_ARCHIVE_BYTES: Final = 32 * 1024
"""Above this an archive is unpacked in a thread, so that other streams do not wait for it."""


class JobReads:
    """Questions about jobs, each answered by one statement outside a transaction.

    Every method raises `Unavailable` if PostgreSQL is away.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._queries = Queries(engine)

    async def get(self, job_id: JobId, owner_id: OwnerId | None) -> JobView | None:
        """Return a job, with its position if it waits; None if there is none or it is another owner's."""
        rows = await self._queries.rows(reading.job_view(job_id, owner_id))
        if not rows:
            return None
        view = view_from_row(rows[0])
        if view.state is State.QUEUED and view.run_after is None:
            return msgspec.structs.replace(view, position=await self.place_in_line(view, rows[0].fair_key))
        return view

    async def list(
        self,
        owner_id: OwnerId | None,
        *,
        state: State | None = None,
        kind: Kind | None = None,
        queue: Queue | None = None,
        label: tuple[str, str] | None = None,
        after: JobId | None = None,
        limit: int,
    ) -> list[JobView]:
        """Return jobs, newest first, without their positions; `after` is the last job of the page before."""
        statement = reading.job_views(
            owner_id, state=state, kind=kind, queue=queue, label=label, after=after, limit=limit
        )
        return [view_from_row(row) for row in await self._queries.rows(statement)]

    async def snapshots(self, ids: Collection[JobId]) -> dict[JobId, Snapshot]:
        """Return the state of many jobs in one question; those that do not exist are left out."""
        rows = await self._queries.rows(reading.snapshots(ids))
        return {row.id: Snapshot(STATE_OF[row.state], row.fence, row.ended_at) for row in rows}

    async def ending(self, job_id: JobId) -> Ending | None:
        """Return how a job ended, or None while it has not. The caller has checked whose job it is."""
        rows = await self._queries.rows(reading.ending(job_id))
        if not rows:
            return None
        row = rows[0]
        state, reply = STATE_OF[row.state], decode_reply(row.reply)
        if row.archive is None:
            return Ending(state, row.fence, reply, [told_from_the_row(state, row.fence, row.ended_at, reply)])
        if len(row.archive) > LARGE_ARCHIVE_BYTES:
            return Ending(state, row.fence, reply, await asyncio.to_thread(unpack_archive, row.archive))
        return Ending(state, row.fence, reply, unpack_archive(row.archive))

    async def setbacks(self, job_id: JobId) -> Sequence[SetbackView]:
        """Return the attempts that did not end the job, oldest first."""
        rows = await self._queries.rows(reading.setbacks(job_id))
        return [SetbackView(row.fence, row.worker_id, row.what, error_from_json(row.error), row.at) for row in rows]

    async def queue_depths(self) -> dict[Queue, QueueDepth]:
        """Return how full every queue is, and how many live slots serve it."""
        slots = {row.queue: int(row.sum) for row in await self._queries.rows(reading.QUEUE_SLOTS)}
        depths = {queue: QueueDepth(slots=slots.get(queue.value, 0)) for queue in Queue}
        for row in await self._queries.rows(reading.QUEUE_DEPTHS):
            depths[Queue(row.queue)] = _deeper(depths[Queue(row.queue)], row)
        return depths

    async def place_in_line(self, view: JobView, fair_key: int) -> int | None:
        """Return how many jobs will be rung before a queued one; None if that is farther than is counted."""
        values = {
            "id": view.id,
            "queue": view.queue.value,
            "owner_id": view.owner_id,
            "fair_key": fair_key,
            "most": FARTHEST_POSITION + 1,
        }
        ahead = (await self._queries.rows(reading.POSITION, values))[0][0]
        return ahead if ahead <= FARTHEST_POSITION else None


def _deeper(depth: QueueDepth, row: AnyRow) -> QueueDepth:
    """Add one part of `QUEUE_DEPTHS`."""
    is_ready = row.oldest_age_s is not None
    return QueueDepth(
        queued=depth.queued + (row.queued if is_ready else 0),
        pausing=depth.pausing + (0 if is_ready else row.queued),
        running=depth.running + row.running,
        waiting=depth.waiting + row.waiting,
        slots=depth.slots,
        oldest_age_s=max(depth.oldest_age_s, float(row.oldest_age_s or 0.0)),
    )
