"""Leases: how PostgreSQL knows which worker processes live. One per process, renewed every few seconds."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

import msgspec

from shared.database.connection import Connection, Raw
from shared.database.statements import lease as statements
from shared.domain.ids import JobId, WorkerId
from shared.domain.jobs import Queue
from shared.settings import Database

PATIENCE: Final = timedelta(seconds=1)
"""Short: whoever renews must know early that it cannot, and asks again anyway."""


class LiveWorker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker whose lease is valid."""

    id: WorkerId
    name: str
    queues: tuple[Queue, ...]
    slots: int
    is_draining: bool
    started_at: datetime
    lease_until: datetime


class WorkerLeases:
    """A worker process's place in the table of the living, on a connection that nothing else can hold up."""

    def __init__(self, database: Database, *, patience: timedelta = PATIENCE) -> None:
        self._connection = Connection(database, name="smartsip-leases", patience=patience)

    async def open(self) -> None:
        """Connect, so that the first renewal does not wait for it.

        Raises:
            Unavailable: if PostgreSQL cannot be reached.
        """
        await self._connection.open()

    async def close(self) -> None:
        """Disconnect; leases lapse by themselves unless `deregister` was called."""
        await self._connection.close()

    async def register(self, name: str, queues: Sequence[Queue], slots: int, lease: timedelta) -> WorkerId:
        """Enter a new worker with a fresh lease; an id is never used twice.

        Raises:
            Unavailable: if PostgreSQL is away.
        """
        values = {"name": name, "queues": [queue.value for queue in queues], "slots": slots, "lease": lease}
        rows = await self._run(statements.REGISTER, values)
        return WorkerId(rows[0][0])

    async def renew(self, worker_id: WorkerId, lease: timedelta) -> list[JobId] | None:
        """Extend a lease that is still valid; return this worker's running jobs whose cancel was asked for.

        None if the lease had lapsed: the worker must stop all its provider calls, and register anew.

        Raises:
            Unavailable: if PostgreSQL is away; the lease runs on from the last renewal.
        """
        is_alive, cancelled = (await self._run(statements.RENEW, {"id": worker_id, "lease": lease}))[0]
        return cancelled if is_alive else None

    async def set_draining(self, worker_id: WorkerId) -> None:
        """Say that this worker takes no more jobs: nothing is rung for its slots any more."""
        await self._run(statements.DRAIN, {"id": worker_id})

    async def deregister(self, worker_id: WorkerId) -> None:
        """Leave; jobs it still runs are taken back by the next sweep."""
        await self._run(statements.DEREGISTER, {"id": worker_id})

    async def live(self) -> list[LiveWorker]:
        """Return the workers whose lease is valid, oldest first."""
        return [
            LiveWorker(
                id=worker_id,
                name=name,
                queues=tuple(map(Queue, queues)),
                slots=slots,
                is_draining=is_draining,
                started_at=started_at,
                lease_until=lease_until,
            )
            for worker_id, name, queues, slots, is_draining, started_at, lease_until in await self._run(
                statements.LIVE, {}
            )
        ]

    async def _run(self, statement: LiteralString, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        async def work(raw: Raw, _is_retry: bool) -> list[tuple[Any, ...]]:
            cursor = await raw.execute(statement, values)
            return await cursor.fetchall() if cursor.description is not None else []

        return await self._connection.run(work)
