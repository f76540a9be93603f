"""The sweep: what makes accepted mean ended. It runs in every api process; one of them, the leader, does the work.

Nothing here needs a queue or a timer elsewhere to work, and everything may be done twice or by two at once.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, LiteralString

import msgspec
import structlog

from shared.database.connection import Connection, Raw
from shared.database.endings import CANCELLED_WITHOUT_RUNNER, DEAD_AFTER_LOSSES, EXPIRED, OVERDUE
from shared.database.ringer import Ringer
from shared.database.statements import sweep as statements
from shared.database.statements.turns import FREE_BLOCKED, SETTLE_ALL
from shared.database.tables import STATE_CODES
from shared.domain.errors import Unavailable
from shared.domain.jobs import MAX_LOSSES, Queue, State
from shared.ports.broker_epoch import BrokerEpoch
from shared.settings import Clocks, Database

LEADER_LOCK: Final = 0x534D5357
"""Key of the advisory lock that the leader holds, for as long as its connection lives."""
FROZEN: Final = timedelta(seconds=5)
"""A leader that is silent for this long (suspended, say) loses its connection, and thus the lock, to another."""
BROKER_S: Final = 2.0
"""How long one sweep waits for the broker."""

Row = tuple[Any, ...]  # what each statement returns

logger = structlog.get_logger(__name__)


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What one sweep did: how many jobs it moved, by why."""

    woken: int = 0
    taken_back: int = 0
    dead_letters: int = 0
    cancelled: int = 0
    expired: int = 0
    overdue: int = 0
    freed_turns: int = 0
    settled: int = 0
    forgotten_workers: int = 0
    forgotten_bells: int = 0
    rung: int = 0


class Sweep:
    """Sweeps on a connection of its own, so that a busy pool cannot hold it up."""

    def __init__(
        self,
        database: Database,
        ringer: Ringer,
        epoch: BrokerEpoch,
        clocks: Clocks,
        *,
        frozen_after: timedelta = FROZEN,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = Connection(
            database,
            name="smartsip-sweep",
            patience=clocks.sweep_every,  # it comes again anyway
            on_connect=self._lose_lead_if_frozen,
        )
        self._ringer = ringer
        self._epoch = epoch
        self._clocks = clocks
        self._frozen_after = max(frozen_after, 3 * clocks.sweep_every)
        self._monotonic = monotonic
        self._leads: Raw | None = None
        self._trusts_leases_from = 0.0

    async def run(self) -> None:
        """Sweep until cancelled; an error is logged, and the next sweep comes as usual."""
        pause_s = self._clocks.sweep_every.total_seconds()
        while True:
            try:
                await self.once()
            except Unavailable as error:
                logger.warning("sweep_failed", reason=str(error))
            except Exception:
                # Whatever it is, without a sweep nothing that is lost is ever found.
                logger.exception("sweep_failed")
            await asyncio.sleep(pause_s)

    async def close(self) -> None:
        """Give up the lead and disconnect."""
        self._leads = None
        await self._connection.close()

    async def once(self) -> Swept | None:
        """Sweep once; None if another process leads, or this one has just lost the lead.

        Raises:
            Unavailable: if PostgreSQL is away. Workers could not renew meanwhile: once it is back, they have one lease
                before their jobs are taken back.
        """
        try:
            if not await self._is_leader():
                return None
            return await self._sweep()
        except _LeadLost:
            self._mistrust_leases()
            return None
        except Unavailable:
            self._mistrust_leases()
            raise

    async def _is_leader(self) -> bool:
        async def work(raw: Raw, _is_retry: bool) -> bool:
            if raw is self._leads:
                return True
            self._leads = None
            cursor = await raw.execute(statements.LEAD, {"key": LEADER_LOCK})
            row = await cursor.fetchone()
            if row is not None and row[0]:
                self._leads = raw
                logger.info("sweep_leads")
            return self._leads is raw

        return await self._connection.run(work)

    async def _sweep(self) -> Swept:
        taken = await self._take_back() if await self._leases_can_be_trusted() else []
        ends = [row[1] for row in taken]
        swept = Swept(
            taken_back=len(taken),
            dead_letters=ends.count(STATE_CODES[State.FAILED]),
            cancelled=ends.count(STATE_CODES[State.CANCELLED]),
            woken=len(await self._all(statements.WAKE)),
            expired=len(await self._all(statements.EXPIRE, reply=EXPIRED)),
            overdue=len(await self._all(statements.FAIL_OVERDUE, reply=OVERDUE, lease=self._clocks.lease)),
            freed_turns=len(await self._all(FREE_BLOCKED)),
            settled=len(await self._some(SETTLE_ALL)),
            forgotten_workers=len(await self._some(statements.FORGET_WORKERS, lease=self._clocks.lease)),
            forgotten_bells=await self._forget_bells(),
            rung=await self._ring(),
        )
        if swept != Swept(rung=swept.rung):
            logger.info("swept", **msgspec.structs.asdict(swept))
        return swept

    async def _leases_can_be_trusted(self) -> bool:
        """Say whether a lapsed lease means a dead worker: not while PostgreSQL has been back for less than a lease."""
        lease_s = self._clocks.lease.total_seconds()
        server_age_s = (await self._some(statements.SERVER_AGE))[0][0]
        return server_age_s >= lease_s and self._monotonic() >= self._trusts_leases_from

    async def _take_back(self) -> list[Row]:
        taken = await self._all(
            statements.TAKE_BACK,
            max_losses=MAX_LOSSES,
            cancelled=CANCELLED_WITHOUT_RUNNER,
            dead=DEAD_AFTER_LOSSES,
        )
        for job_id, state, worker_id, losses in taken:
            logger.warning("job_taken_back", job_id=str(job_id), worker_id=worker_id, losses=losses, code=state)
        return taken

    async def _forget_bells(self) -> int:
        """Where the broker lost its doorbells, take back the marks of all that were rung."""
        try:
            async with asyncio.timeout(BROKER_S):
                if not await self._epoch.has_forgotten():
                    return 0
                forgotten = await self._all(statements.FORGET_BELLS)
                await self._epoch.begin()
        except (Unavailable, TimeoutError) as error:
            logger.warning("broker_epoch_unknown", reason=str(error) or f"no answer within {BROKER_S:g} s")
            return 0
        return len(forgotten)

    async def _ring(self) -> int:
        rung = 0
        for queue in Queue:
            rung += await self._ringer.top_up(queue)
        return rung

    async def _all(self, statement: LiteralString, **values: object) -> list[Row]:
        """Repeat a statement until it finds fewer rows than it may move."""
        moved: list[Row] = []
        while True:
            rows = await self._some(statement, limit=statements.LIMIT, **values)
            moved += rows
            if len(rows) < statements.LIMIT:
                return moved

    async def _some(self, statement: LiteralString, **values: object) -> list[Row]:
        async def work(raw: Raw, _is_retry: bool) -> list[Row]:
            if raw is not self._leads:
                raise _LeadLost
            return await (await raw.execute(statement, values)).fetchall()

        return await self._connection.run(work)

    async def _lose_lead_if_frozen(self, raw: Raw) -> None:
        milliseconds = f"{self._frozen_after.total_seconds() * 1000:.0f}"
        await raw.execute("select set_config('idle_session_timeout', %s::text, false)", (milliseconds,))

    def _mistrust_leases(self) -> None:
        """Workers may have been unable to renew: give them the time to."""
        self._trusts_leases_from = self._monotonic() + self._clocks.lease.total_seconds()


class _LeadLost(Exception):
    """The connection that held the leader's lock broke, and PostgreSQL may have been away with it."""
