"""Plays the worker for any job, step by step, over the real claims and event log."""

import time
from datetime import timedelta
from types import TracebackType
from typing import Literal, Self
from uuid import UUID

from api.front import Front
from shared.database.claims import Claim, Claims, Ended
from shared.database.endings import pack_archive
from shared.database.workers import WorkerLeases
from shared.domain.events import (
    Cancelled,
    Completed,
    Entry,
    Event,
    Expired,
    Failed,
    Restarted,
    Started,
    TerminalEvent,
    encode_reply,
    fold,
)
from shared.domain.ids import JobId, WorkerId
from shared.domain.jobs import Queue, State
from shared.ports.event_log import Append

STATE_AFTER = {
    Completed: State.SUCCEEDED,
    Failed: State.FAILED,
    Cancelled: State.CANCELLED,
    Expired: State.EXPIRED,
}


class Attempt:
    """A claimed job. What it says goes to the log as a real runner's words do, unless the test wants it lost."""

    def __init__(self, runner: "JobRunner", claim: Claim) -> None:
        self.claim = claim
        self.entries: list[Entry] = []
        self._runner = runner

    async def say(self, *events: Event) -> None:
        """Append and announce; where the log was lost, write all of it again."""
        entries = self.keep(*events)
        log = self._runner.front.events
        (was_whole,) = await log.append([Append(self.claim.id, self.claim.fence, entries[0].seq, entries)])
        if not was_whole:
            await log.rewrite(self.claim.id, self.claim.fence, self.entries, announce_from=entries[0].seq)

    def keep(self, *events: Event) -> list[Entry]:
        """Note events that nobody hears of."""
        first = len(self.entries) + 1
        entries = [
            Entry(self.claim.fence, seq, round(time.time() * 1000), event) for seq, event in enumerate(events, first)
        ]
        self.entries += entries
        return entries

    async def end(self, event: TerminalEvent, *, is_heard: bool = True) -> None:
        """End the job: commit first, then say so, if it is to be heard."""
        (last,) = self.keep(event)
        events = [entry.event for entry in self.entries]
        ended = Ended(
            id=self.claim.id,
            fence=self.claim.fence,
            worker_id=self._runner.worker_id,
            state=STATE_AFTER[type(event)],
            reply=encode_reply(fold(events)),
            archive=pack_archive(self.entries),
        )
        assert await self._runner.claims.finish(ended)
        if is_heard:
            append = Append(self.claim.id, self.claim.fence, last.seq, [last])
            if await self._runner.front.events.append([append]) == [False]:
                await self._runner.front.events.rewrite(
                    self.claim.id, self.claim.fence, self.entries, announce_from=last.seq
                )

    async def give_back(self, what: Literal["failed", "released"] = "released") -> None:
        """Give the job back to the queue."""
        claim = self.claim
        assert await self._runner.claims.release(
            claim.id, claim.fence, self._runner.worker_id, what=what, error=None, run_after_s=None
        )


class JobRunner:
    """One worker for every queue, whose lease outlasts the test."""

    worker_id: WorkerId

    def __init__(self, front: Front) -> None:
        self.front = front
        self.claims = Claims(front.settings.database)
        self._leases = WorkerLeases(front.settings.database)

    async def __aenter__(self) -> Self:
        await self.claims.open()
        await self._leases.open()
        self.worker_id = await self._leases.register("runner", list(Queue), 10, timedelta(minutes=5))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.claims.close()
        await self._leases.close()

    async def claim(self, job_id: str) -> Attempt:
        """Take a queued job."""
        claim = await self.claims.claim(JobId(UUID(job_id)), self.worker_id)
        assert claim is not None
        return Attempt(self, claim)

    async def begin(self, job_id: str) -> Attempt:
        """Take a queued job and say so."""
        attempt = await self.claim(job_id)
        first = attempt.claim.fence == 1
        await attempt.say(Started("demo", "demo") if first else Restarted("demo", "demo", "worker_lost"))
        return attempt
