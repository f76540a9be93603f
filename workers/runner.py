"""From a doorbell to an ended job: claim, run the service of its kind, write what became of it.

The order at the end is what readers rely on: the end is committed to PostgreSQL first, published second, and not
published at all if PostgreSQL says that the job is not ours any more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final, assert_never

import structlog

from shared.database.claims import Claim, Claims, Ended
from shared.database.endings import pack_archive
from shared.database.ringer import Ringer
from shared.database.statements.turns import FREE_NEXT, SETTLE_ONE
from shared.domain.commands import JobSpec
from shared.domain.errors import SmartSipError, Unavailable
from shared.domain.events import Entry, Restarted, Started, encode_reply, event_type, fold
from shared.domain.ids import JobId, WorkerId
from shared.domain.jobs import SOLO_AFTER_LOSSES, Kind, Queue
from shared.ports.job_queue import Bell
from workers.attempt_log import AttemptLog
from workers.charges import charge_of
from workers.chat_answers import answer_of
from workers.findings import finding_of
from workers.outcomes import (
    STATE_OF_END,
    Ends,
    GoesBack,
    Outcome,
    Park,
    Parks,
    Standing,
    Vanishes,
    deadline_passed,
    succeeded,
    went_wrong,
)
from workers.publisher import Publisher
from workers.receipt import cancelled
from workers.running import InHand, Running, Stop
from workers.services.attempt import Attempt, Service, Tools, Turn

LETTING_GO_S: Final = 5.0
"""How long an interrupted service may take to let go before it is left behind."""
DATABASE_PAUSE_S: Final = 0.2
ASIDE_BYTES: Final = 128 * 1024
"""From this size on packing an archive takes more than a millisecond: it goes to a thread."""

_log = structlog.get_logger(__name__)


class Runner:
    """Runs jobs while it holds a worker's id; one per process, on the loop."""

    def __init__(
        self,
        *,
        claims: Claims,
        publisher: Publisher,
        ringer: Ringer,
        tools: Tools,
        services: Mapping[Kind, Service],
    ) -> None:
        self._claims = claims
        self._publisher = publisher
        self._ringer = ringer
        self._tools = tools
        self.services = dict(services)
        self.in_hand = InHand()
        self.worker_id: WorkerId | None = None
        """Who claims; None while this process holds no lease."""

    async def run(self, job_id: JobId, *, solo: bool = False) -> None:
        """Run a job if it can be claimed; returns when it is no longer this worker's. A doubled bell is harmless."""
        running = self.in_hand.take(job_id)
        if running is None:
            return
        structlog.contextvars.bind_contextvars(job_id=str(job_id))
        try:
            claim = await self._claim(running, solo=solo)
            if claim is not None:
                await self._attempt(running, *claim)
        finally:
            self.in_hand.drop(running)

    def lose_lease(self) -> None:
        """Interrupt everything and write nothing: other workers may run these jobs by now."""
        self.worker_id = None
        self.in_hand.end_all(Stop.LEASE_LOST)

    async def _claim(self, running: Running, *, solo: bool) -> tuple[Claim, WorkerId] | None:
        while (worker_id := self.worker_id) is not None and running.stop is not Stop.RELEASED:
            try:
                claim = await self._claims.claim(running.job_id, worker_id, solo=solo)
            except Unavailable:
                await _pause(running)
            else:
                return None if claim is None else (claim, worker_id)
        return None

    async def _attempt(self, running: Running, claim: Claim, worker_id: WorkerId) -> None:
        log = self._publisher.open(claim.id, claim.fence, is_brief=claim.queue is Queue.BATCH)
        outcome: Outcome | None = None
        try:
            outcome = await self._outcome(running, claim, log)
            await self._conclude(running, claim, worker_id, log, outcome)
        finally:
            if isinstance(outcome, Parks) and running.stop is not Stop.LEASE_LOST:
                self._publisher.leave(log)  # how far it is, is all that its readers hear for a while
            elif not log.is_released:
                self._publisher.forget(log)
            self._ringer.nudge(claim.queue)

    async def _outcome(self, running: Running, claim: Claim, log: AttemptLog) -> Outcome:
        """Do the work and judge it; whatever is wrong with a job is an outcome of that job."""
        try:
            spec = JobSpec.model_validate_json(claim.payload)
            attempt = running.attempt = self._attempt_at(claim, spec, log)
            log.append(_beginning(claim, spec))
            work = asyncio.create_task(_finish_reason(self.services[spec.kind](attempt)))
            running.begin(work)
            await _until_done(work, running, claim.deadline)
            if work.done() and not work.cancelled() and (running.stop is None or work.exception() is None):
                return succeeded(work.result())
        except Exception as error:  # noqa: BLE001 - judged below, logged whole
            return self._failure(error, claim, log)
        return _interruption(running, attempt, log)

    def _attempt_at(self, claim: Claim, spec: JobSpec, log: AttemptLog) -> Attempt:
        turn = None if claim.chat_id is None or claim.turn is None else Turn(claim.chat_id, claim.turn)
        return Attempt(
            job_id=claim.id,
            owner_id=claim.owner_id,
            spec=spec,
            tools=self._tools,
            emit=log.append,
            turn=turn,
            queue=claim.queue,
        )

    def _failure(self, error: Exception, claim: Claim, log: AttemptLog) -> Outcome:
        _tell(error)
        standing = Standing(claim.attempts, log.has_delta, claim.deadline - datetime.now(UTC))
        return went_wrong(error, standing, self._tools.clocks)

    async def _conclude(
        self, running: Running, claim: Claim, worker_id: WorkerId, log: AttemptLog, outcome: Outcome
    ) -> None:
        if running.stop is Stop.LEASE_LOST:
            outcome = Vanishes()
        match outcome:
            case Ends():
                await self._end(running, claim, worker_id, log, outcome)
            case GoesBack():
                await self._give_back(running, claim, worker_id, outcome)
            case Parks():
                pause_s = outcome.run_after_s
                await _written(
                    running, lambda: self._claims.park(claim.id, claim.fence, worker_id, run_after_s=pause_s)
                )
            case Vanishes():
                _log.warning("job_left_behind", attempt=claim.fence)
            case _:
                assert_never(outcome)

    async def _end(self, running: Running, claim: Claim, worker_id: WorkerId, log: AttemptLog, outcome: Ends) -> None:
        entries = log.seal(outcome.event)
        state = STATE_OF_END[event_type(outcome.event)]
        reply = fold(entry.event for entry in entries)
        attempt = running.attempt
        ended = Ended(
            id=claim.id,
            fence=claim.fence,
            worker_id=worker_id,
            state=state,
            reply=encode_reply(reply),
            archive=await _archive(entries, log.size_bytes),
            finding=None if attempt is None else finding_of(attempt.spec, reply.result, model=attempt.model),
            answer=None if claim.chat_id is None else answer_of(reply, outcome.event),
            charge=None if attempt is None else charge_of(attempt, log, reply, losses=claim.losses),
        )
        if await _written(running, lambda: self._claims.finish(ended)):
            log.release()
            _log.info("job_ended", state=state.value, attempt=claim.fence, events=len(entries))
            await self._follow_up(claim, attempt)
        else:
            _log.warning("job_was_fenced_off", attempt=claim.fence)

    async def _follow_up(self, claim: Claim, attempt: Attempt | None) -> None:
        """Let the next turn of the chat begin, and settle what was reserved; what fails here the sweep does."""
        try:
            if claim.chat_id is not None:
                await self._tools.queries.rows(FREE_NEXT, {"chat_id": claim.chat_id})
            if attempt is not None and attempt.spec.is_metered:
                await self._tools.queries.rows(SETTLE_ONE, {"job_id": claim.id})
        except Unavailable as error:
            _log.warning("follow_up_left_to_the_sweep", error=str(error))

    async def _give_back(self, running: Running, claim: Claim, worker_id: WorkerId, outcome: GoesBack) -> None:
        code = outcome.error.code if outcome.error else None
        _log.info("job_goes_back", what=outcome.what, error=code, run_after_s=outcome.run_after_s)
        released = await _written(
            running,
            lambda: self._claims.release(
                claim.id,
                claim.fence,
                worker_id,
                what=outcome.what,
                error=outcome.error,
                run_after_s=outcome.run_after_s,
            ),
        )
        if released and outcome.run_after_s is None:
            solo = claim.losses >= SOLO_AFTER_LOSSES
            self._ringer.ring_now(Bell(claim.id, claim.queue, solo=solo))


async def _archive(entries: list[Entry], size_bytes: int) -> bytes:
    if size_bytes < ASIDE_BYTES:
        return pack_archive(entries)
    return await asyncio.to_thread(pack_archive, entries)


async def _written(running: Running, write: Callable[[], Awaitable[bool]]) -> bool:
    """Write until PostgreSQL has answered, or until the job may be someone else's."""
    while not running.lease_lost.is_set():
        try:
            return await write()
        except Unavailable as error:
            _log.warning("database_is_away", error=str(error))
            await _pause(running)
    return False


async def _pause(running: Running) -> None:
    try:
        async with asyncio.timeout(DATABASE_PAUSE_S):
            await running.lease_lost.wait()
    except TimeoutError:
        return


async def _until_done(work: asyncio.Task[str], running: Running, deadline: datetime) -> None:
    """Wait for the service; interrupt it at the deadline, or when the task that runs this is cancelled itself."""
    remaining = deadline - datetime.now(UTC)
    try:
        await asyncio.wait({work}, timeout=max(0.0, remaining.total_seconds()))
        if not work.done():
            running.end(Stop.DEADLINE)
    except asyncio.CancelledError:
        running.end(Stop.RELEASED)
    if not work.done():
        _, late = await asyncio.wait({work}, timeout=LETTING_GO_S)
        if late:
            _log.error("service_does_not_let_go", after_s=LETTING_GO_S)


async def _finish_reason(service: Awaitable[str]) -> str:
    return await service


def _interruption(running: Running, attempt: Attempt, log: AttemptLog) -> Outcome:
    match running.stop:
        case Stop.CANCELLED:
            return Ends(cancelled(attempt, log))
        case Stop.DEADLINE:
            return deadline_passed()
        case Stop.RELEASED | None:
            return GoesBack("released")
        case Stop.LEASE_LOST:
            return Vanishes()
        case _:
            assert_never(running.stop)


def _beginning(claim: Claim, spec: JobSpec) -> Started | Restarted:
    match claim.last_setback:
        case None:
            return Started(spec.provider_name, spec.model_name)
        case "failed":
            return Restarted(spec.provider_name, spec.model_name, "retry")
        case "worker_lost":
            return Restarted(spec.provider_name, spec.model_name, "worker_lost")
        case "released":
            return Restarted(spec.provider_name, spec.model_name, "released")


def _tell(error: Exception) -> None:
    if isinstance(error, Park):
        _log.info("job_waits", run_after_s=error.run_after_s, why=None if error.error is None else error.error.detail)
        return
    if isinstance(error, SmartSipError):
        _log.info("attempt_failed", code=error.code, detail=error.detail)
    else:
        _log.error("attempt_crashed", exc_info=error)
