"""Running jobs, as PostgreSQL sees it: claim, and one of finish, release, park. One instance per worker process."""

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, LiteralString
from uuid import UUID

import msgspec
import structlog

from shared.database.connection import Connection, Raw
from shared.database.endings import CANCELLED_WITHOUT_RUNNER, DEAD_AFTER_FAILURES
from shared.database.lanes import Lane
from shared.database.statements import run
from shared.database.tables import STATE_CODES
from shared.domain.errors import ErrorInfo
from shared.domain.events import SearchResult, ToolCall, Usage
from shared.domain.ids import JobId, OwnerId, WorkerId
from shared.domain.jobs import MAX_ATTEMPTS, SOLO_AFTER_LOSSES, TERMINAL, Kind, Queue, State
from shared.settings import Database

PATIENCE: Final = timedelta(seconds=15)
"""How long an answer waits for PostgreSQL to come back: a lease, after which the job may be another's anyway."""
Setback = Literal["failed", "worker_lost", "released"]

_NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""A NUL as JSON writes it; a backslash that is itself escaped begins none."""
_ROWS: Final = msgspec.json.Encoder(decimal_format="number")

logger = structlog.get_logger(__name__)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A job that is this process's to run: the proof is (`id`, `fence`, worker).

    `attempts` and `losses` are those of before; `last_setback` is why the attempt before ended, or None if this is
    the first: a parked job that goes on was `released`, one that an administrator replays had `failed`. `started_at`
    is when this attempt began. `chat_id` and `turn` say what it answers, where it is a chat's.
    """

    id: JobId
    owner_id: OwnerId
    queue: Queue
    kind: Kind
    fence: int
    attempts: int
    losses: int
    last_setback: Setback | None
    payload: bytes
    deadline: datetime
    created_at: datetime
    started_at: datetime
    chat_id: UUID | None = None
    turn: int | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a vision job found in a stored photo: the command after the envelope, and what the model says it saw."""

    image_id: UUID
    model: str
    prompt: str
    profile: str
    volume: int
    degree: int
    container: str
    contents: str
    receivable: bool | None
    child_present: bool | None
    is_safe_default: bool
    is_changed: bool


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a job said in its chat; `media` are references as `shared.domain.chats` describes them."""

    content: str
    media: list[dict[str, str]] = []
    reasoning: str | None = None
    search_results: list[SearchResult] | None = None
    signatures: list[str] | None = None
    tool_calls: list[ToolCall] | None = None
    provider: str
    model: str
    usage: Usage | None = None
    finish_reason: str


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What a job used, in tokens; `cost` only where its model has a price, in the currency of the prices."""

    model: str
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cached_tokens: int
    lost_tokens: int
    is_estimated: bool
    cost: Decimal | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended: a terminal state, its folded reply, and the attempt's whole log (`endings.pack_archive`).

    `finding`, `answer` and `charge` are for the tables `finding`, `message` and `charge`.
    """

    id: JobId
    fence: int
    worker_id: WorkerId
    state: State
    reply: bytes
    archive: bytes
    finding: Finding | None = None
    answer: Answer | None = None
    charge: Charge | None = None


class _Bell(msgspec.Struct, frozen=True):
    job_id: JobId
    worker_id: WorkerId
    is_solo: bool


class Claims:
    """Claims and finishes in batches, each on a connection of its own."""

    def __init__(self, database: Database, *, patience: timedelta = PATIENCE) -> None:
        self._claiming = Connection(database, name="smartsip-claims", patience=patience)
        self._ending = Connection(database, name="smartsip-finishes", patience=patience)
        self._bells = Lane[_Bell, Claim | None](self._claiming, self._claim_batch, key=lambda bell: bell.job_id)
        self._ends = Lane[Ended, bool](self._ending, _finish_batch, key=lambda ended: ended.id)
        self._held: dict[JobId, int] = {}  # the fences of claims that were handed out and are not given up
        self._returns: set[asyncio.Task[bool]] = set()

    async def open(self) -> None:
        """Connect, so that the first job does not wait for it.

        Raises:
            Unavailable: if PostgreSQL cannot be reached.
        """
        await asyncio.gather(self._claiming.open(), self._ending.open())

    async def close(self) -> None:
        """Disconnect, after everything in flight is answered."""
        await asyncio.gather(self._bells.drain(), self._ends.drain(), *self._returns, return_exceptions=True)
        await asyncio.gather(self._claiming.close(), self._ending.close())

    async def claim(self, job_id: JobId, worker_id: WorkerId, *, solo: bool = False) -> Claim | None:
        """Take a queued job, or return None: it is another's, not due, cancelled, too late, or must run `solo`.

        None also when the worker's lease has lapsed. A caller who is cancelled while the claim is in flight does not
        leave the job behind: it is released.

        Raises:
            Unavailable: if PostgreSQL is away; the job is then taken back from this worker only when its lease lapses.
        """
        claimed = self._bells.submit(_Bell(job_id, worker_id, solo))
        try:
            return await asyncio.shield(claimed)
        except asyncio.CancelledError:
            claimed.add_done_callback(lambda done: self._return(done, worker_id))
            raise

    async def finish(self, ended: Ended) -> bool:
        """End a job; False if it is no longer this runner's, and nothing was written.

        Raises:
            Unavailable: if PostgreSQL is away; asking again is safe, also when the end was in fact committed.
        """
        if ended.state not in TERMINAL:
            raise ValueError(f"{ended.state} is no end")
        is_mine = await self._ends.submit(ended)
        self._let_go(ended.id, ended.fence)
        return is_mine

    async def release(
        self,
        job_id: JobId,
        fence: int,
        worker_id: WorkerId,
        *,
        what: Literal["failed", "released"],
        error: ErrorInfo | None = None,
        run_after_s: float | None = None,
    ) -> bool:
        """Give a running job back to its queue, for now or for later; False if it is no longer this runner's.

        `failed` counts an attempt. A job whose cancel was asked for is cancelled instead, and one that failed
        `MAX_ATTEMPTS` times becomes a dead letter. Once this returns True, the job is not this runner's.

        Raises:
            Unavailable: if PostgreSQL is away; asking again is safe.
        """
        given = await self._give_up(
            run.GIVE_BACK,
            run.FIND_SETBACK,
            {
                "id": job_id,
                "fence": fence,
                "worker_id": worker_id,
                "what": what,
                "max_attempts": MAX_ATTEMPTS,
                "failures": 1 if what == "failed" else 0,
                "error": msgspec.json.encode(error).decode() if error else None,
                "run_after_s": run_after_s,
                "cancelled": CANCELLED_WITHOUT_RUNNER,
                "dead": DEAD_AFTER_FAILURES,
            },
        )
        self._let_go(job_id, fence)
        return given

    async def park(self, job_id: JobId, fence: int, worker_id: WorkerId, *, run_after_s: float) -> bool:
        """Let a running job wait, holding no slot, and count no attempt; False if it is no longer this runner's.

        Raises:
            Unavailable: if PostgreSQL is away; asking again is safe.
        """
        parked = await self._give_up(
            run.PARK,
            run.FIND_PARKED,
            {
                "id": job_id,
                "fence": fence,
                "worker_id": worker_id,
                "run_after_s": run_after_s,
                "cancelled": CANCELLED_WITHOUT_RUNNER,
            },
        )
        self._let_go(job_id, fence)
        return parked

    async def _give_up(self, statement: LiteralString, recognise: LiteralString, values: dict[str, Any]) -> bool:
        async def work(raw: Raw, _is_retry: bool) -> bool:
            cursor = await raw.execute(statement, values)
            if await cursor.fetchone() is not None:
                return True
            found = await raw.execute(recognise, values)
            return await found.fetchone() is not None

        return await self._ending.run(work)

    async def _claim_batch(self, raw: Raw, bells: list[_Bell], is_retry: bool) -> list[Claim | None]:
        ids, workers = [bell.job_id for bell in bells], [bell.worker_id for bell in bells]
        solo = [bell.is_solo for bell in bells]
        cursor = await raw.execute(run.CLAIM, (ids, workers, solo, SOLO_AFTER_LOSSES), binary=True)
        claims = {claim.id: claim for claim in map(_claim_from_row, await cursor.fetchall())}
        if is_retry:
            # The first try may have been committed: then the job runs here, and nobody was told.
            found = await raw.execute(run.FIND_CLAIMS, (ids, workers), binary=True)
            for claim in map(_claim_from_row, await found.fetchall()):
                if self._held.get(claim.id) != claim.fence:
                    claims.setdefault(claim.id, claim)
        self._held |= {claim.id: claim.fence for claim in claims.values()}
        return [claims.pop(bell.job_id, None) for bell in bells]

    def _let_go(self, job_id: JobId, fence: int) -> None:
        if self._held.get(job_id) == fence:
            del self._held[job_id]

    def _return(self, claimed: asyncio.Future[Claim | None], worker_id: WorkerId) -> None:
        """Release a claim whose caller went away before it came."""
        if claimed.exception() is not None:
            return
        claim = claimed.result()
        if claim is not None:
            logger.info("unwanted_claim_released", job_id=str(claim.id))
            task = asyncio.create_task(self.release(claim.id, claim.fence, worker_id, what="released"))
            self._returns.add(task)
            task.add_done_callback(self._returned)

    def _returned(self, task: asyncio.Task[bool]) -> None:
        self._returns.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.warning("unwanted_claim_not_released", reason=str(task.exception()))


def _claim_from_row(row: Sequence[Any]) -> Claim:  # Any: the columns of statements.run._CLAIMED
    job_id, owner_id, queue, kind, fence, attempts, losses, deadline, created_at, started_at, *rest = row
    payload, chat_id, turn, setback = rest
    return Claim(
        id=job_id,
        owner_id=owner_id,
        queue=Queue(queue),
        kind=Kind(kind),
        fence=fence,
        attempts=attempts,
        losses=losses,
        last_setback=_last_setback(fence, setback),
        payload=payload,
        deadline=deadline,
        created_at=created_at,
        started_at=started_at,
        chat_id=chat_id,
        turn=turn,
    )


def _last_setback(fence: int, what: str | None) -> Setback | None:
    if fence == 1:
        return None
    match what:
        case "worker_lost":
            return "worker_lost"
        case "failed" | "replayed":
            return "failed"
        case _:
            return "released"


def _json(row: msgspec.Struct | None) -> str | None:
    """Return a row as PostgreSQL's JSON takes it, which has no NUL."""
    if row is None:
        return None
    return _NUL.sub(lambda nul: (nul[1] or "") + "\N{REPLACEMENT CHARACTER}", _ROWS.encode(row).decode())


async def _finish_batch(raw: Raw, batch: list[Ended], _is_retry: bool) -> list[bool]:
    keys = (
        [ended.id for ended in batch],
        [ended.fence for ended in batch],
        [ended.worker_id for ended in batch],
        [STATE_CODES[ended.state] for ended in batch],
    )
    columns = (
        *keys,
        [ended.reply for ended in batch],
        [ended.archive for ended in batch],
        [_json(ended.finding) for ended in batch],
        [_json(ended.answer) for ended in batch],
        [_json(ended.charge) for ended in batch],
    )
    cursor = await raw.execute(run.FINISH, columns, binary=True)
    mine = {row[0] for row in await cursor.fetchall()}
    if len(mine) < len(batch):
        found = await raw.execute(run.FIND_ENDS, keys, binary=True)
        mine |= {row[0] for row in await found.fetchall()}
    return [ended.id in mine for ended in batch]
