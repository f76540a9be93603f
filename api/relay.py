"""One reader of one job's events: what it has, what it is missing, and where to get that.

Three sources, none complete by itself: messages on the job's channel (quick, may be lost), the attempt's log in Redis
(may vanish), and the job's row with its archive in PostgreSQL (the truth, told only at the end). Whatever is lost
between them, a reader sees every entry of an attempt in order, once, and exactly one terminal entry.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import Protocol

import structlog

from shared.database.views import Ending, Snapshot
from shared.domain.errors import InvalidRequest, NotFound, Unavailable
from shared.domain.events import QUEUED, START, Cursor, Entry, Queued
from shared.domain.ids import JobId
from shared.domain.jobs import TERMINAL, State

_log = structlog.get_logger(__name__)


class Playhead:
    """Where a reader stands, as pure bookkeeping: which entries are new, and whether some in between are missing."""

    def __init__(self, after: Cursor = START) -> None:
        self.attempt, self.seq = after
        self.has_gap = False
        self._void_ends = 0

    def take(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return what is new, in order, and move past it; stop at a gap.

        Entries of older attempts are void. The first entry of a newer attempt moves the playhead there, whatever was
        missing of the older one.
        """
        new: list[Entry] = []
        for entry in entries:
            if entry.attempt < self.attempt or (entry.attempt == self.attempt and entry.seq <= self.seq):
                continue
            if entry.attempt <= self._void_ends and entry.is_terminal:
                continue
            if entry.attempt > self.attempt:
                self.move_to(entry.attempt)
            if entry.seq != self.seq + 1:
                self.has_gap = True
                break
            self.seq = entry.seq
            new.append(entry)
        return new

    def move_to(self, attempt: int) -> None:
        """Stand at the beginning of a newer attempt; nothing happens if it is not newer."""
        if attempt > self.attempt:
            self.attempt, self.seq = attempt, 0

    def void_ends_until(self, attempt: int) -> None:
        """Pass over terminal entries up to an attempt: the job was replayed after it had ended."""
        self._void_ends = max(self._void_ends, attempt)


class Outcome(Enum):
    """Why a reader has nothing more to say."""

    ENDED = "ended"
    """The terminal entry was given out, or the reader had it before."""
    DRAINED = "drained"
    """The server stops; the reader may come back."""
    LEFT = "left"
    """The client is gone."""
    GONE = "gone"
    """The job was deleted."""


class Sources(Protocol):
    """Where a reader gets what it missed."""

    async def read_log(self, job_id: JobId, attempt: int, *, after_seq: int) -> list[Entry]:
        """Return the attempt's entries after a position, as far as Redis has them; raises `Unavailable`."""
        ...

    async def read_ending(self, job_id: JobId) -> Ending | None:
        """Return the ended job's last attempt, whole; None if it is not there; raises `Unavailable`."""
        ...


class Reader:
    """One reader. The hub pushes messages and rows into it; a consumer pulls batches with `next`, until None."""

    def __init__(self, job_id: JobId, sources: Sources, *, max_queue: int, detach: Callable[["Reader"], None]) -> None:
        self.job_id = job_id
        self.outcome: Outcome | None = None
        self.ending: Ending | None = None
        """What PostgreSQL says of the end, where the reader was sent there for it."""
        self.has_begun = False
        self.is_silent = True
        """Whether nothing was pushed since the hub last looked."""
        self.last_sent_at = asyncio.get_running_loop().time()
        """When the consumer last sent something; heartbeats are timed by it."""
        self._sources = sources
        self._max_queue = max_queue
        self._detach = detach
        self._playhead = Playhead()
        self._ready: list[Entry] = []
        self._queue: deque[Sequence[Entry]] = deque()
        self._row: Snapshot | None = None
        self._lacks_log = False
        self._is_due = False
        self._waiter: asyncio.Future[None] | None = None

    async def begin(self, after: Cursor, row: Snapshot, *, queued: Entry | None, nothing_missed: bool = False) -> None:
        """Take a place, once, before the first `next` and after the channel was subscribed.

        `queued` is told to a reader that starts at the beginning of a job nobody has claimed yet. `nothing_missed`
        says that the channel was subscribed before anyone could claim the job, so that its log need not be read.

        Raises:
            InvalidRequest: if there can be no such place in this job.
            NotFound: if the job was deleted meanwhile.
        """
        if after.attempt > row.fence or (after.attempt == QUEUED.attempt and after.seq > QUEUED.seq):
            raise _beyond(after)
        self._playhead = Playhead(after)
        if row.state in TERMINAL:
            await self._begin_at_the_end(after)
            return
        if row.fence == 0 and after == START and queued is not None:
            self._ready.append(queued)
        self.has_begun = True
        self._stand_at(row)
        self._playhead.move_to(1)
        self._playhead.has_gap = not nothing_missed

    async def next(self) -> list[Entry] | None:
        """Return the next entries; an empty list when it is time for a heartbeat; None when `outcome` is set."""
        while True:
            if self._ready:
                ready, self._ready = self._ready, []
                return ready
            if self.outcome is not None:
                return None
            if self._row is not None:
                row, self._row = self._row, None
                self._ready = await self._look_at(row)
            elif self._playhead.has_gap:
                self._ready = await self._read_log()
            elif self._queue:
                self._ready = self._take_queue()
            elif self._is_due:
                self._is_due = False
                return []
            else:
                await self._sleep()

    def close(self, outcome: Outcome) -> None:
        """End the reader, if it is not over anyway; what was not given out yet is dropped."""
        self._detach(self)
        if self.outcome is None:
            self.outcome = outcome
            self._ready = []
        self._wake()

    @property
    def is_over(self) -> bool:
        """Whether the reader has everything there will ever be."""
        return self.outcome is Outcome.ENDED and not self._ready

    def push(self, entries: Sequence[Entry]) -> None:
        """Take a message in; a reader that lags too far behind is sent to the log instead."""
        self.is_silent = False
        if len(self._queue) >= self._max_queue:
            self._queue.clear()
            self._playhead.has_gap = True
        else:
            self._queue.append(entries)
        self._wake()

    def see_row(self, row: Snapshot) -> None:
        """Take in what the job's row says now."""
        self._row = row
        self._wake()

    def suspect_gap(self) -> None:
        """Go to the log: messages may have been missed."""
        self._playhead.has_gap = True
        self._wake()

    def beat(self) -> None:
        """Give out a heartbeat if nothing else is there."""
        self._is_due = True
        self._wake()

    async def _sleep(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self, entries: Iterable[Entry]) -> list[Entry]:
        new = self._playhead.take(entries)
        if new and new[-1].is_terminal:
            self.outcome = self.outcome or Outcome.ENDED
        return new

    def _take_queue(self) -> list[Entry]:
        new: list[Entry] = []
        while self._queue and not self._playhead.has_gap and self.outcome is None:
            new += self._take(self._queue.popleft())
        return new

    async def _read_log(self) -> list[Entry]:
        """Fill a gap as far as Redis can; what is lost there is announced once its runner has written it again."""
        playhead = self._playhead
        playhead.has_gap = False
        try:
            entries = await self._sources.read_log(self.job_id, playhead.attempt, after_seq=playhead.seq)
        except Unavailable as error:
            self._lacks_log = True  # the next look at the row tries again
            _log.warning("event_log_unreadable", job_id=str(self.job_id), error=str(error))
            return []
        self._lacks_log = False
        return self._take(entries)

    async def _look_at(self, row: Snapshot) -> list[Entry]:
        if row.state in TERMINAL:
            try:
                return await self._take_ending()
            except Unavailable as error:  # the hub sends the row again with its next look
                _log.warning("job_ending_unreadable", job_id=str(self.job_id), error=str(error))
                return []
        if row.fence > self._playhead.attempt or self._lacks_log:
            self._playhead.has_gap = True
        self._stand_at(row)
        return []

    def _stand_at(self, row: Snapshot) -> None:
        self._playhead.move_to(row.fence)
        if row.state is not State.RUNNING:  # the attempt is over, and did not end the job
            self._playhead.void_ends_until(row.fence)

    async def _take_ending(self) -> list[Entry]:
        self.ending = await self._sources.read_ending(self.job_id)
        if self.ending is None:
            self.outcome = self.outcome or Outcome.GONE
            return []
        new = self._take(self.ending.entries)
        self.outcome = self.outcome or Outcome.ENDED
        return new

    async def _begin_at_the_end(self, after: Cursor) -> None:
        self._ready = await self._take_ending()
        if self.ending is None:
            raise NotFound("there is no such job any more")
        if not self._ready and self.ending.entries[-1].cursor < after:
            raise _beyond(after)


def queued_entry(created_at: datetime, position: int | None = None) -> Entry:
    """Return what a reader of a job is told that nobody has claimed yet."""
    return Entry(*QUEUED, int(created_at.timestamp() * 1000), Queued(position))


def _beyond(after: Cursor) -> InvalidRequest:
    return InvalidRequest(f"the job has no event {after}: it is beyond the end", field="after")
