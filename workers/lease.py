"""The worker's lease: while it is renewed this process may run jobs, and when it cannot be it must not."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Final, Protocol
from uuid import UUID

import structlog

from shared.adapters.redis_event_log import cancel_channel
from shared.adapters.redis_subscriber import Subscriber
from shared.database.workers import WorkerLeases
from shared.domain.errors import Unavailable
from shared.domain.ids import JobId, WorkerId
from shared.domain.jobs import Queue
from shared.settings import Clocks
from workers.runner import Runner
from workers.running import Stop

SAFETY: Final = 0.1
"""Part of a lease that is left for closing sockets before others may take the jobs."""
RETRY_PART: Final = 0.2
"""Part of the time between renewals after which a failed one is tried again."""

_log = structlog.get_logger(__name__)


class Gate(Protocol):
    """What keeps bells from being accepted (`workers.pool.TaskPool`)."""

    def pause(self) -> None:
        """Accept none."""
        ...

    def resume(self) -> None:
        """Accept them again."""
        ...


class LeaseKeeper:
    """Holds the process' row in `worker`, and passes on what it learns: cancelled jobs, a lost lease."""

    def __init__(
        self,
        *,
        leases: WorkerLeases,
        runner: Runner,
        subscriber: Subscriber,
        prefix: str,
        clocks: Clocks,
        name: str,
        queues: Sequence[Queue],
        slots: int,
    ) -> None:
        self._leases = leases
        self._runner = runner
        self._subscriber = subscriber
        self._prefix = prefix
        self._clocks = clocks
        self._name = name
        self._queues = queues
        self._slots = slots
        self._valid_until = 0.0  # by time.monotonic, counted from before the renewal was sent
        self.gate: Gate | None = None

    async def register(self) -> None:
        """Take a new lease.

        Raises:
            Unavailable: if PostgreSQL is away.
        """
        asked_at = time.monotonic()
        worker_id = await self._leases.register(self._name, self._queues, self._slots, self._clocks.lease)
        self._extend(asked_at)
        await self._subscriber.subscribe(self._channel(worker_id), self._on_cancel)
        self._runner.worker_id = worker_id
        if self.gate is not None:
            self.gate.resume()
        _log.info("worker_registered", worker_id=worker_id, queues=[*self._queues], slots=self._slots)

    async def keep(self) -> None:
        """Renew until cancelled; where the lease is lost, interrupt everything and register anew."""
        while True:
            if (worker_id := self._runner.worker_id) is not None:
                await self._renew_while_held(worker_id)
                self._lose(worker_id)
            try:
                await self.register()
            except Unavailable as error:
                _log.warning("worker_cannot_register", error=str(error))
                await asyncio.sleep(self._clocks.renew_every.total_seconds() * RETRY_PART)

    async def drain(self) -> None:
        """Say that this worker takes no more jobs; only a hint for ringing."""
        if (worker_id := self._runner.worker_id) is not None:
            with contextlib.suppress(Unavailable):
                await self._leases.set_draining(worker_id)

    async def deregister(self) -> None:
        """Give the lease back: nothing of this process runs any more."""
        worker_id, self._runner.worker_id = self._runner.worker_id, None
        if worker_id is None:
            return
        self._subscriber.unsubscribe(self._channel(worker_id), self._on_cancel)
        try:
            await self._leases.deregister(worker_id)
            _log.info("worker_deregistered", worker_id=worker_id)
        except Unavailable as error:
            _log.warning("worker_not_deregistered", worker_id=worker_id, error=str(error))

    async def _renew_while_held(self, worker_id: WorkerId) -> None:
        pause_s = self._clocks.renew_every.total_seconds()
        while True:
            await asyncio.sleep(max(0.0, min(pause_s, self._valid_until - time.monotonic())))
            asked_at = time.monotonic()
            if asked_at >= self._valid_until:
                return
            try:
                async with asyncio.timeout(self._valid_until - asked_at):
                    cancelled = await self._leases.renew(worker_id, self._clocks.lease)
            except (Unavailable, TimeoutError) as error:
                _log.warning("lease_not_renewed", worker_id=worker_id, error=str(error))
                pause_s = self._clocks.renew_every.total_seconds() * RETRY_PART
                continue
            if cancelled is None:
                return
            pause_s = self._clocks.renew_every.total_seconds()
            self._extend(asked_at)
            for job_id in cancelled:
                self._runner.in_hand.end(job_id, Stop.CANCELLED)

    def _lose(self, worker_id: WorkerId) -> None:
        _log.error("lease_lost", worker_id=worker_id, jobs=len(self._runner.in_hand))
        if self.gate is not None:
            self.gate.pause()
        self._runner.lose_lease()
        self._subscriber.unsubscribe(self._channel(worker_id), self._on_cancel)

    def _extend(self, asked_at: float) -> None:
        self._valid_until = asked_at + self._clocks.lease.total_seconds() * (1 - SAFETY)

    def _channel(self, worker_id: WorkerId) -> str:
        return cancel_channel(self._prefix, worker_id)

    def _on_cancel(self, message: bytes) -> None:
        try:
            job_id = JobId(UUID(message.decode()))
        except ValueError:
            _log.warning("cancel_hint_not_understood")
            return
        self._runner.in_hand.end(job_id, Stop.CANCELLED)
