"""Plays the worker for photos, over the real claims and event log."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import msgspec

from api.front import Front
from shared.database.claims import Claim, Claims, Ended
from shared.database.endings import pack_archive
from shared.database.workers import WorkerLeases
from shared.domain.dispense import Dispense, as_data
from shared.domain.errors import ErrorInfo
from shared.domain.events import Completed, Entry, Event, Failed, Result, Started, encode_reply, fold
from shared.domain.ids import JobId, WorkerId
from shared.domain.jobs import Kind, Queue, State
from shared.ports.event_log import Append
from tests.stack import eventually

CUP = Dispense(volume=200, degree=80, type="cup", profile="smartsip-v0.1", is_safe_default=False)


class PhotoRunner:
    """One worker with a lease that outlasts the test."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._claims = Claims(front.settings.database)
        self._leases = WorkerLeases(front.settings.database)
        self._worker_id: WorkerId | None = None

    async def __aenter__(self) -> "PhotoRunner":
        await self._claims.open()
        await self._leases.open()
        self._worker_id = await self._leases.register("runner", [Queue.DEVICE], 10, timedelta(minutes=5))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._claims.close()
        await self._leases.close()

    async def jobs(self) -> list[JobId]:
        """Every photo's job, newest first."""
        return [job.id for job in await self._front.reads.list(None, kind=Kind.VISION, limit=100)]

    async def claim_next(self) -> Claim:
        """Wait for a queued photo and take it."""
        claimed: list[Claim] = []

        async def took_one() -> bool:
            for job in await self._front.reads.list(None, kind=Kind.VISION, state=State.QUEUED, limit=10):
                claim = await self._claims.claim(job.id, self._worker())
                if claim is not None:
                    claimed.append(claim)
                    return True
            return False

        await eventually(took_one, within=10, expecting="a photo's job")
        return claimed[0]

    async def succeed(self, claim: Claim, dispense: Dispense) -> None:
        """End a job with a command."""
        await self._end(claim, State.SUCCEEDED, [Result(as_data(dispense)), Completed("stop")])

    async def fail(self, claim: Claim, error: ErrorInfo) -> None:
        """End a job without one."""
        await self._end(claim, State.FAILED, [Failed(error)])

    async def answer_next(self, dispense: Dispense = CUP, *, after_s: float = 0) -> Claim:
        """Take a photo, think about it for a while, and answer."""
        claim = await self.claim_next()
        await _think(after_s)
        await self.succeed(claim, dispense)
        return claim

    async def fail_next(self, error: ErrorInfo, *, after_s: float = 0) -> Claim:
        """Take a photo, think about it for a while, and fail."""
        claim = await self.claim_next()
        await _think(after_s)
        await self.fail(claim, error)
        return claim

    def _worker(self) -> WorkerId:
        assert self._worker_id is not None
        return self._worker_id

    async def _end(self, claim: Claim, state: State, last: list[Event]) -> None:
        events: list[Event] = [Started("demo", "demo"), *last]
        now = round(time.time() * 1000)
        entries = [Entry(claim.fence, seq, now, event) for seq, event in enumerate(events, 1)]
        ended = Ended(
            id=claim.id,
            fence=claim.fence,
            worker_id=self._worker(),
            state=state,
            reply=encode_reply(fold(events)),
            archive=pack_archive(entries),
        )
        assert await self._claims.finish(ended)
        await self._front.events.append([Append(claim.id, claim.fence, 1, entries)])


async def _think(seconds: float) -> None:
    """Take as long as a slow provider does: this passing of time is what such a test is about."""
    if seconds:
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=seconds)


def payload_of(claim: Claim) -> dict[str, Any]:  # JSON
    """What the job's row says to its runner."""
    return msgspec.json.decode(claim.payload)
