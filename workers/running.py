"""What a worker has in hand: the jobs it runs, and why one of them is told to stop."""

import asyncio
from enum import StrEnum
from typing import Any

from shared.domain.ids import JobId
from workers.services.attempt import Attempt


class Stop(StrEnum):
    """Why a job's work is interrupted from outside; the first reason stands, except that a lost lease trumps all."""

    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    RELEASED = "released"
    LEASE_LOST = "lease_lost"


class Running:
    """One job in hand, from the moment its bell is heard."""

    def __init__(self, job_id: JobId) -> None:
        self.job_id = job_id
        self.stop: Stop | None = None
        self.lease_lost = asyncio.Event()
        self.attempt: Attempt | None = None
        """The try at it, once its row was read."""
        self._work: asyncio.Task[Any] | None = None  # any result: only whether it is done matters here

    def begin(self, work: asyncio.Task[Any]) -> None:  # as above
        """Name the task that `end` interrupts; at once if the job was told to stop before."""
        self._work = work
        if self.stop is not None:
            work.cancel()

    def end(self, reason: Stop) -> None:
        """Interrupt the job's work, which closes the provider's socket. What is already being written goes on."""
        if self.stop is None or reason is Stop.LEASE_LOST:
            self.stop = reason
            if self._work is not None:
                self._work.cancel()
        if reason is Stop.LEASE_LOST:
            self.lease_lost.set()


class InHand:
    """All jobs of this worker."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, Running] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._jobs)

    def take(self, job_id: JobId) -> Running | None:
        """Take a job in hand; None if it already is, because its bell was rung twice."""
        if job_id in self._jobs:
            return None
        self._empty.clear()
        running = self._jobs[job_id] = Running(job_id)
        return running

    def drop(self, running: Running) -> None:
        """Note that a job's work here is over."""
        del self._jobs[running.job_id]
        if not self._jobs:
            self._empty.set()

    def end(self, job_id: JobId, reason: Stop) -> None:
        """Interrupt one job if it is here."""
        running = self._jobs.get(job_id)
        if running is not None:
            running.end(reason)

    def end_all(self, reason: Stop) -> None:
        """Interrupt every job."""
        for running in tuple(self._jobs.values()):
            running.end(reason)

    async def empty(self) -> None:
        """Wait until no job is in hand."""
        await self._empty.wait()
