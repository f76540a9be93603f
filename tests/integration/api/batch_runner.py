"""Plays the worker for batches, over the real claims: as many jobs as a test wants, each with the end it wants."""

import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, Self, TypeAlias
from uuid import UUID

import msgspec
from sqlalchemy import text

from shared.database.claims import Charge, Claim, Claims, Ended
from shared.database.endings import pack_archive
from shared.database.workers import WorkerLeases
from shared.domain.dispense import Dispense, Observation, as_data
from shared.domain.errors import ErrorInfo
from shared.domain.events import Completed, Entry, Event, Failed, Result, Started, encode_reply, fold
from shared.domain.ids import JobId, WorkerId
from shared.domain.jobs import Queue, State
from tests.served import Served
from tests.stack import eventually

CUP = Dispense(
    volume=200,
    degree=80,
    type="cup",
    profile="smartsip-v0.1",
    is_safe_default=False,
    observed=Observation(contents="tea", receivable=True, child_present=False),
    prompt="smartsip@2",
)
Verdict: TypeAlias = Dispense | ErrorInfo
Judge: TypeAlias = Callable[[dict[str, Any]], Verdict]
"""Says what comes of a job, given its spec (JSON)."""
_QUEUED = text("select id from job where queue = 'batch' and state = 0 and run_after is null order by id limit :most")


class BatchRunner:
    """One worker with a lease that outlasts the test; each answer costs 1000 tokens and a cent."""

    def __init__(self, api: Served, *, slots: int = 10) -> None:
        self._api = api
        self._slots = slots
        settings = api.front.settings
        self._claims = Claims(settings.database)
        self._leases = WorkerLeases(settings.database)
        self._worker_id = WorkerId(0)
        self.ran: list[tuple[int, UUID]] = []
        """The variant and the photo of each job that was ended, in their order."""

    async def __aenter__(self) -> Self:
        await self._claims.open()
        await self._leases.open()
        self._worker_id = await self._leases.register("runner", [Queue.BATCH], self._slots, timedelta(minutes=5))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._claims.close()
        await self._leases.close()

    async def queued(self) -> list[JobId]:
        """Jobs of batches that nobody has begun."""
        return [JobId(row.id) for row in await self._api.front.queries.rows(_QUEUED, {"most": 1000})]

    async def claim(self) -> Claim:
        """Wait for a job, and begin it."""
        found: list[Claim] = []

        async def took_one() -> bool:
            for job_id in (await self.queued())[:5]:
                claim = await self._claims.claim(job_id, self._worker_id)
                if claim is not None:
                    found.append(claim)
                    return True
            return False

        await eventually(took_one, within=10, expecting="a job of a batch")
        return found[0]

    async def end(self, claim: Claim, verdict: Verdict = CUP, *, cost: str | None = "0.01") -> None:
        """End a job that was begun."""
        spec = msgspec.json.decode(claim.payload)
        last: list[Event] = [Failed(verdict)] if isinstance(verdict, ErrorInfo) else [Result(as_data(verdict))]
        state = State.FAILED if isinstance(verdict, ErrorInfo) else State.SUCCEEDED
        if state is State.SUCCEEDED:
            last.append(Completed("stop"))
        now = round(time.time() * 1000)
        events = [Started("demo", "demo"), *last]
        charge = Charge(
            model=spec["model"],
            input_tokens=900,
            output_tokens=100,
            reasoning_tokens=0,
            cached_tokens=0,
            lost_tokens=0,
            is_estimated=False,
            cost=None if cost is None else Decimal(cost),
        )
        ended = Ended(
            id=claim.id,
            fence=claim.fence,
            worker_id=self._worker_id,
            state=state,
            reply=encode_reply(fold(events)),
            archive=pack_archive([Entry(claim.fence, seq, now, event) for seq, event in enumerate(events, 1)]),
            charge=charge,
        )
        assert await self._claims.finish(ended)
        self.ran.append((await self._variant(claim.id), UUID(spec["input"]["image"]["id"])))

    async def run(self, count: int, judge: Judge = lambda _: CUP) -> None:
        """Run so many jobs, one after the other."""
        for _ in range(count):
            claim = await self.claim()
            await self.end(claim, judge(msgspec.json.decode(claim.payload)))

    async def _variant(self, job_id: JobId) -> int:
        labels = text("select labels->>'variant' as variant from job_body where id = :id")
        return int((await self._api.front.queries.rows(labels, {"id": job_id}))[0].variant)
