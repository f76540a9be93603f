"""Jobs, workers and ends for tests, and a way to reach behind the code into the rows."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg

from shared.database.claims import Claim, Ended
from shared.database.endings import pack_archive
from shared.database.submissions import NewJob
from shared.domain.errors import Unavailable
from shared.domain.events import Completed, Entry, Event, Reply, Started, Text, encode_reply, fold
from shared.domain.ids import LOCAL_OWNER, JobId, OwnerId, WorkerId, new_job_id
from shared.domain.jobs import Kind, OnDisconnect, Queue, State
from shared.ports.job_queue import Bell

AT_MS = 1_700_000_000_000


def a_job(
    *,
    job_id: JobId | None = None,
    owner_id: OwnerId = LOCAL_OWNER,
    fair_key: int | None = None,
    queue: Queue = Queue.CHAT,
    key: str | None = None,
    request_hash: bytes = b"hash",
    labels: dict[str, str] | None = None,
    rung: bool = False,
    waiting_cap: int = 10_000,
    timeout: timedelta = timedelta(hours=1),
) -> NewJob:
    """Return a job to be accepted."""
    return NewJob(
        id=job_id or new_job_id(),
        owner_id=owner_id,
        fair_key=-owner_id if fair_key is None else fair_key,
        queue=queue,
        kind=Kind.CHAT,
        model="demo/demo",
        deadline=datetime.now(UTC) + timeout,
        payload=b'{"kind":"chat","model":"demo/demo"}',
        request_hash=request_hash,
        waiting_cap=waiting_cap,
        on_disconnect=OnDisconnect.CONTINUE,
        labels=labels,
        idempotency_key=key,
        rung=rung,
    )


def entries_of(fence: int, *, text: str = "Hello") -> list[Entry]:
    """Return the log of an attempt that answered."""
    events: list[Event] = [Started("demo", "demo"), Text(text), Completed("stop")]
    return [Entry(fence, seq, AT_MS + seq, event) for seq, event in enumerate(events, start=1)]


def end_of(claim: Claim, worker_id: WorkerId, *, state: State = State.SUCCEEDED, text: str = "Hello") -> Ended:
    """Return how a claimed job ends."""
    entries = entries_of(claim.fence, text=text)
    return Ended(
        id=claim.id,
        fence=claim.fence,
        worker_id=worker_id,
        state=state,
        reply=encode_reply(fold(entry.event for entry in entries)),
        archive=pack_archive(entries),
    )


@dataclass
class Database:
    """The test's database, for what the code has no call for: looking at rows, and turning clocks."""

    url: str
    _own: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def rows(self, statement: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement of the test's own."""
        if self._own is None:
            self._own = await psycopg.AsyncConnection.connect(self.url, autocommit=True)
        cursor = await self._own.execute(statement, values)
        return await cursor.fetchall() if cursor.description else []

    async def explain(self, statement: str) -> str:
        """Return a plan as text."""
        await self.rows("select 1")
        assert self._own is not None
        cursor = await self._own.execute(statement.encode())
        return "\n".join([row[0] for row in await cursor.fetchall()])

    async def close(self) -> None:
        """Disconnect."""
        if self._own is not None:
            await self._own.close()
            self._own = None

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[psycopg.AsyncConnection[tuple[Any, ...]]]:
        """A connection of the test's own, on which it may hold locks."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            yield connection

    async def is_waiting(self, name: str) -> bool:
        """Say whether a connection with this application name waits for a lock."""
        rows = await self.rows(
            "select 1 from pg_stat_activity where application_name = %s and wait_event_type = 'Lock'"
            " and datname = current_database()",
            name,
        )
        return bool(rows)

    async def state_of(self, job_id: JobId) -> tuple[Any, ...]:
        """Return (state's code, fence, attempts, losses) of a job."""
        return (await self.rows("select state, fence, attempts, losses from job where id = %s", job_id))[0]

    async def lapse(self, worker_id: WorkerId) -> None:
        """Let a worker's lease have ended a moment ago."""
        await self.rows(
            "update worker set lease_until = clock_timestamp() - interval '1 ms' where id = %s returning id", worker_id
        )

    async def has_been_up_for(self, least: timedelta) -> bool:
        """Say whether the server started that long ago."""
        rows = await self.rows("select clock_timestamp() - pg_postmaster_start_time() >= %s", least)
        return rows == [(True,)]

    async def end_without_runner(self, job_id: JobId, state: int, reply: Reply) -> None:
        """End a job by its rows alone."""
        await self.rows("update job set state = %s, fence = 1, ended_at = now() where id = %s", state, job_id)
        await self.rows(
            "insert into job_done (id, fence, reply) values (%s, 1, %s) returning id", job_id, encode_reply(reply)
        )

    async def kill_connections(self, name: str) -> int:
        """End the server's processes of connections with this application name."""
        rows = await self.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = %s and datname = current_database()",
            name,
        )
        return len(rows)


@dataclass
class Bells:
    """A `JobQueue` that remembers, and that can be away: the ringer's other side without a broker."""

    heard: list[Bell] = field(default_factory=list[Bell])
    is_away: bool = False

    async def ring(self, bells: Sequence[Bell]) -> None:
        """Remember the bells."""
        if self.is_away:
            raise Unavailable("the broker is away")
        self.heard += bells


@dataclass
class Epoch:
    """A `BrokerEpoch` in memory."""

    is_lost: bool = False

    async def has_forgotten(self) -> bool:
        """Say whether the test has lost the mark."""
        return self.is_lost

    async def begin(self) -> None:
        """Leave the mark."""
        self.is_lost = False


@dataclass
class Clock:
    """A monotonic clock that stands until it is moved."""

    now_s: float = 1_000.0

    def __call__(self) -> float:
        """Read the clock."""
        return self.now_s
