"""Who is rung, and when: fair between owners, and no more bells than the slots will soon answer.

Every process has its own ringer. A bell is a hint: an error of the broker is logged, the jobs' marks are taken back
and the sweep rings again; nothing here fails a submit.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy import bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import Uuid

from shared.database.queries import AnyRow, Queries
from shared.database.statements.ring import TOP_UP, UNRING
from shared.domain.errors import Unavailable
from shared.domain.jobs import SOLO_AFTER_LOSSES, Queue
from shared.ending import end
from shared.ports.job_queue import Bell, JobQueue
from shared.settings import Clocks

SHARE: Final = 1.2
"""Bells per live slot: enough that a freed slot finds one, few enough that a newcomer does not wait behind many."""
NUDGE_S: Final = 0.02
"""Nudges within this time are one; a top-up takes 2 to 5 ms of PostgreSQL."""
LOW_WATER: Final = 0.25
"""Below this part of the room that was found last, more is looked for before none is left."""
RING_S: Final = 2.0
"""Ringing takes 0.2 ms; a broker that takes longer than this must not hold up the sweep."""
MAX_ROUNDS: Final = 8
"""A long line gives up to a share of the room per round; the next nudge or sweep goes on."""

logger = structlog.get_logger(__name__)


class Ringer:
    """Sends doorbells in the background; keeps an estimate of how many more each queue may have."""

    def __init__(self, engine: AsyncEngine, jobs: JobQueue, clocks: Clocks) -> None:
        self._queries = Queries(engine)
        self._jobs = jobs
        self._ring_again_s = clocks.ring_again_after.total_seconds()
        self._room: dict[Queue, int] = {}
        self._low: dict[Queue, int] = {}
        self._bells: list[Bell] = []
        self._sending: asyncio.Task[None] | None = None
        self._nudged: set[Queue] = set()
        self._looking: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Send what was rung, and stop; what was only nudged is left to the sweep."""
        await end(*self._looking)
        if self._sending is not None:
            await asyncio.wait({self._sending})

    def has_room(self, queue: Queue) -> bool:
        """Say whether one more bell may be rung now, and if so count it: follow with `ring_now`, after commit.

        If not, the job waits as a row and is rung in its turn; a nudge was given already.
        """
        left = self._room.get(queue, 0)
        if left <= self._low.get(queue, 0):
            self.nudge(queue)
        if left <= 0:
            return False
        self._room[queue] = left - 1
        return True

    def ring_now(self, bell: Bell) -> None:
        """Ring for a committed job whose row is marked as rung; returns at once."""
        self._bells.append(bell)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    def nudge(self, queue: Queue) -> None:
        """Look soon whether more can be rung: a slot was freed, or a job waits; returns at once."""
        if queue not in self._nudged:
            self._nudged.add(queue)
            looking = asyncio.create_task(self._top_up_soon(queue))
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)

    async def top_up(self, queue: Queue) -> int:
        """Ring what there is room for, fairly, and return how many bells that were.

        Raises:
            Unavailable: if PostgreSQL is away. A broker that is away is logged.
        """
        total = 0
        for _ in range(MAX_ROUNDS):
            bells, is_done = await self._mark(queue)
            if bells and not await self._ring(bells):
                return total
            total += len(bells)
            if is_done:
                break
        return total

    async def _mark(self, queue: Queue) -> tuple[list[Bell], bool]:
        """Mark jobs as rung; say also whether that was all there is room for, or all that wait."""
        values = {"queue": queue.value, "ring_again_s": self._ring_again_s, "share": SHARE}
        rows = await self._queries.rows(TOP_UP, values)
        bells = [_bell(row, queue) for row in rows if row.id is not None]
        room, picked = int(rows[0].places), int(rows[0].picked)
        # Whom another process was ringing at this moment has his place as well.
        self._room[queue] = room - picked
        self._low[queue] = int(LOW_WATER * self._room[queue])
        return bells, not bells or len(bells) < picked or picked == room

    async def _ring(self, bells: Sequence[Bell]) -> bool:
        try:
            async with asyncio.timeout(RING_S):
                await self._jobs.ring(bells)
        except (Unavailable, TimeoutError) as error:
            logger.warning("bells_not_rung", count=len(bells), reason=str(error) or f"no answer within {RING_S:g} s")
            await self._unring(bells)
            return False
        return True

    async def _unring(self, bells: Sequence[Bell]) -> None:
        ids = bindparam("ids", [bell.job_id for bell in bells], type_=ARRAY(Uuid))
        try:
            await self._queries.rows(UNRING.bindparams(ids))
        except Unavailable as error:
            # They are rung again all the same, once their marks are old.
            logger.warning("bells_not_taken_back", count=len(bells), reason=str(error))

    async def _send(self) -> None:
        """Send bells until there are none: what came while some were on their way goes out together."""
        try:
            while self._bells:
                bells, self._bells = self._bells, []
                await self._ring(bells)
        finally:
            self._sending = None

    async def _top_up_soon(self, queue: Queue) -> None:
        await asyncio.sleep(NUDGE_S)
        started = time.monotonic()
        self._nudged.discard(queue)  # a nudge from here on may say something new
        try:
            rung = await self.top_up(queue)
        except Unavailable as error:
            logger.warning("top_up_failed", queue=queue.value, reason=str(error))
        else:
            logger.debug("topped_up", queue=queue.value, rung=rung, took_s=round(time.monotonic() - started, 4))


def _bell(row: AnyRow, queue: Queue) -> Bell:
    return Bell(row.id, queue, solo=row.losses >= SOLO_AFTER_LOSSES)
