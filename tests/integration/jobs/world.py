"""Everything that can happen to a job, as operations that may be applied in any order and at any moment."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from shared.database.claims import Claim, Claims
from shared.database.control import JobControl
from shared.database.submissions import Submissions
from shared.database.sweep import Sweep
from shared.database.tables import STATE_OF
from shared.database.workers import WorkerLeases
from shared.domain.errors import DeadLetter
from shared.domain.events import Reply, encode_reply
from shared.domain.ids import JobId, WorkerId
from shared.domain.jobs import Queue, State
from tests.integration.jobs.conftest import LONG_LEASE
from tests.integration.jobs.factory import Database, a_job, end_of

NOBODY: Final = WorkerId(0)


class Row(msgspec.Struct, frozen=True):
    """What can be seen of a job."""

    state: State
    fence: int
    attempts: int
    losses: int
    has_worker: bool
    has_pause: bool
    has_end_time: bool
    endings: int


@dataclass
class World:
    """The job core over one database, and whoever acts on it."""

    submissions: Submissions
    claims: Claims
    leases: WorkerLeases
    control: JobControl
    sweep: Sweep
    database: Database


@dataclass
class Life:
    """One job, and the last runner that claimed it (who may not know that it lost the job)."""

    world: World
    job_id: JobId
    claim: Claim | None = None
    worker: WorkerId = NOBODY
    is_refused: bool = False

    @classmethod
    async def begin(cls, world: World) -> "Life":
        """Accept a job."""
        return cls(world, (await world.submissions.insert(a_job())).id)

    async def row(self) -> Row:
        """Look at the job."""
        rows = await self.world.database.rows(
            "select state, fence, attempts, losses, worker_id is not null, run_after is not null,"
            " ended_at is not null, (select count(*) from job_done where job_done.id = job.id) from job where id = %s",
            self.job_id,
        )
        state, *rest = rows[0]
        return Row(STATE_OF[state], *rest)

    async def claim_it(self) -> None:
        """A new worker hears the bell."""
        worker = await self.world.leases.register("w", [Queue.BATCH], 1, LONG_LEASE)
        claim = await self.world.claims.claim(self.job_id, worker, solo=True)
        if claim is not None:
            self.claim, self.worker = claim, worker

    async def finish(self, state: State) -> None:
        """The last runner ends the job."""
        if self.claim is not None:
            ended = end_of(self.claim, self.worker, state=state)
            if state is State.FAILED:
                ended = msgspec.structs.replace(ended, reply=encode_reply(Reply(error=DeadLetter("failed").info())))
            self.is_refused = not await self.world.claims.finish(ended)

    async def fail(self) -> None:
        """The last runner's attempt fails."""
        if self.claim is not None:
            self.is_refused = not await self.world.claims.release(
                self.job_id, self.claim.fence, self.worker, what="failed", run_after_s=60
            )

    async def release(self) -> None:
        """The last runner is told to stop."""
        if self.claim is not None:
            self.is_refused = not await self.world.claims.release(
                self.job_id, self.claim.fence, self.worker, what="released"
            )

    async def park(self) -> None:
        """The last runner waits for its provider."""
        if self.claim is not None:
            self.is_refused = not await self.world.claims.park(
                self.job_id, self.claim.fence, self.worker, run_after_s=60
            )

    async def cancel(self) -> None:
        """The caller cancels."""
        await self.world.control.request_cancel(self.job_id, None)

    async def replay(self) -> None:
        """An administrator replays."""
        await self.world.control.replay(self.job_id)

    async def kill_worker(self) -> None:
        """The last runner's process dies, and a sweep comes."""
        await self.world.database.lapse(self.worker)
        await self.world.sweep.once()

    async def end_pause(self) -> None:
        """The pause ends, and a sweep comes."""
        statement = "update job set run_after = now() - interval '1 ms' where id = %s and run_after is not null"
        await self.world.database.rows(statement, self.job_id)
        await self.world.sweep.once()

    async def pass_deadline(self) -> None:
        """The deadline passes, and a sweep comes before the runner acts."""
        statement = "update job set deadline = now() - interval '1 ms' where id = %s"
        await self.world.database.rows(statement, self.job_id)
        await self.world.sweep.once()

    async def pass_deadline_long_ago(self) -> None:
        """The deadline has passed for longer than any runner may take, and a sweep comes."""
        statement = "update job set deadline = now() - interval '1 h' where id = %s"
        await self.world.database.rows(statement, self.job_id)
        await self.world.sweep.once()


Operation: TypeAlias = Callable[[Life], Awaitable[None]]
OPERATIONS: Final[dict[str, Operation]] = {
    "claim": Life.claim_it,
    "succeed": lambda life: life.finish(State.SUCCEEDED),
    "fail for good": lambda life: life.finish(State.FAILED),
    "confirm the cancel": lambda life: life.finish(State.CANCELLED),
    "expire while running": lambda life: life.finish(State.EXPIRED),
    "fail": Life.fail,
    "release": Life.release,
    "park": Life.park,
    "cancel": Life.cancel,
    "replay": Life.replay,
    "kill the worker": Life.kill_worker,
    "end the pause": Life.end_pause,
    "pass the deadline": Life.pass_deadline,
    "pass the deadline long ago": Life.pass_deadline_long_ago,
}
EVERY_STATE: Final = {
    State.QUEUED: [],
    State.RUNNING: ["claim"],
    State.WAITING: ["claim", "park"],
    State.SUCCEEDED: ["claim", "succeed"],
    State.FAILED: ["claim", "fail for good"],
    State.CANCELLED: ["cancel"],
    State.EXPIRED: ["pass the deadline"],
}
"""How a job gets into each state."""
