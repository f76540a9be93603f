"""Telling a job that waits for its turn at a provider that it is next: the doorbell before the sweep's."""

import asyncio
from typing import Final
from uuid import UUID

from shared.database.queries import Queries
from shared.database.ringer import Ringer
from shared.database.statements.wake import WAKE_ONE
from shared.database.tables import STATE_CODES
from shared.domain.ids import JobId
from shared.domain.jobs import SOLO_AFTER_LOSSES, Queue, State
from shared.ports.job_queue import Bell

TRIES: Final = 5
PAUSE_S: Final = 0.1
"""A job that was told to wait a moment ago may not have written that yet."""


class Waker:
    """Wakes and rings waiting jobs; a bell that is lost is the sweep's to ring."""

    def __init__(self, queries: Queries, ringer: Ringer) -> None:
        self._queries = queries
        self._ringer = ringer

    async def wake(self, holder: str) -> bool:
        """Wake a job; False if it does not wait any more, and will not come.

        Raises:
            Unavailable: if PostgreSQL is away.
        """
        job_id = JobId(UUID(holder))
        for _ in range(TRIES):
            rows = await self._queries.rows(WAKE_ONE, {"id": job_id})
            if not rows:
                return False
            state = rows[0].state
            if rows[0].queue is not None:
                self._ringer.ring_now(Bell(job_id, Queue(rows[0].queue), solo=rows[0].losses >= SOLO_AFTER_LOSSES))
                return True
            if state != STATE_CODES[State.RUNNING]:
                return state == STATE_CODES[State.QUEUED]
            await asyncio.sleep(PAUSE_S)
        return False
