"""The front's hot question: a job as it is, with its answer if it has ended; many at once as one statement."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec

from shared.database.connection import Connection, Raw
from shared.database.lanes import Lane
from shared.database.views import JobView, view_from_row
from shared.domain.events import Reply, decode_reply
from shared.domain.ids import JobId
from shared.settings import Database

PATIENCE: Final = timedelta(seconds=5)
"""How long a caller waits for PostgreSQL to come back."""

LOOK: Final = """
select job.id, owner_id, queue, kind, state, job.fence, attempts, losses, on_disconnect, created_at, deadline,
    case when run_after = 'infinity' then deadline else run_after end,
    started_at, ended_at, cancel_requested_at, worker_id, labels, model, fair_key, reply
from unnest(%s::uuid[]) as wanted(id) join job using (id) join job_body using (id) left join job_done using (id)
"""


class Look(msgspec.Struct, frozen=True):
    """A job's row, without its position; `reply` where it has ended."""

    job: JobView
    fair_key: int
    reply: Reply | None


class JobLooks:
    """Looks at jobs in batches, on a connection of its own. Whose job it is, the caller checks."""

    def __init__(self, database: Database, *, patience: timedelta = PATIENCE) -> None:
        self._connection = Connection(database, name="smartsip-looks", patience=patience)
        self._lane = Lane[JobId, Look | None](self._connection, _look, key=lambda job_id: job_id)

    async def open(self) -> None:
        """Connect, so that the first caller does not wait for it.

        Raises:
            Unavailable: if PostgreSQL cannot be reached.
        """
        await self._connection.open()

    async def close(self) -> None:
        """Disconnect, after everything in flight is answered."""
        await self._lane.drain()
        await self._connection.close()

    async def look(self, job_id: JobId) -> Look | None:
        """Return a job; None if there is none.

        Raises:
            Unavailable: if PostgreSQL is away.
        """
        return await self._lane.submit(job_id)


async def _look(raw: Raw, ids: list[JobId], _is_retry: bool) -> list[Look | None]:
    cursor = await raw.execute(LOOK, (sorted(set(ids)),), binary=True)
    found = {row[0]: _from_row(row) for row in await cursor.fetchall()}
    return [found.get(job_id) for job_id in ids]


def _from_row(row: Sequence[Any]) -> Look:  # Any: the columns of LOOK
    fair_key, reply = row[-2:]
    return Look(view_from_row(row), fair_key, None if reply is None else decode_reply(reply))
