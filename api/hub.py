"""Every event stream of this process: one subscription per followed job, one look at all silent jobs' rows.

However many readers there are, Redis sees one connection and PostgreSQL one query per look.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import structlog

from api.relay import Outcome, Reader
from shared.adapters.redis_event_log import channel
from shared.adapters.redis_subscriber import Subscriber
from shared.database.reads import JobReads
from shared.database.views import Ending
from shared.domain.errors import NotFound, SmartSipError, TooManyStreams, Unavailable
from shared.domain.events import START, Cursor, Entry, decode_entries
from shared.domain.ids import JobId, OwnerId
from shared.ending import end
from shared.ports.event_log import EventLog
from shared.settings import Clocks, Limits

LOG_READS_AT_ONCE: Final = 32  # of all readers together: a reconnect sends every one of them to the log

_log = structlog.get_logger(__name__)


class _Feed:
    """One job's channel and those who read it; a message is decoded once for all of them."""

    def __init__(self) -> None:
        self.readers: list[Reader] = []
        self.subscription: asyncio.Task[bool] | None = None

    def on_message(self, message: bytes) -> None:
        entries = decode_entries(message)
        for reader in tuple(self.readers):
            reader.push(entries)


class StreamHub:
    """Makes readers and keeps them fed. `reader` and everything but the reads are calls that do not wait."""

    def __init__(
        self, *, events: EventLog, subscriber: Subscriber, reads: JobReads, prefix: str, clocks: Clocks, limits: Limits
    ) -> None:
        self._events = events
        self._subscriber = subscriber
        self._reads = reads
        self._prefix = prefix
        self._idle_look_s = clocks.idle_look.total_seconds()
        self._heartbeat_s = clocks.heartbeat.total_seconds()
        self._limits = limits
        self._feeds: dict[JobId, _Feed] = {}
        self._streams: Counter[OwnerId] = Counter()
        self._log_reads = asyncio.Semaphore(LOG_READS_AT_ONCE)
        self._subscribing: set[asyncio.Task[bool]] = set()
        self._hurry = asyncio.Event()
        self._hurried: set[JobId] = set()
        self._ticker: asyncio.Task[None] | None = None
        self.draining = asyncio.Event()

    async def start(self) -> None:
        """Begin to look at silent jobs."""
        self._subscriber.on_gap(self._suspect_gaps)
        self._ticker = asyncio.create_task(self._tick_forever(), name="stream-hub")

    async def close(self) -> None:
        """End every reader."""
        self.drain()
        tasks: list[asyncio.Task[Any]] = [*self._subscribing]  # Any: their results are not looked at
        if self._ticker is not None:
            tasks.append(self._ticker)
        await end(*tasks)

    def drain(self) -> None:
        """Send every reader away, to come back to another process; new ones are refused."""
        self.draining.set()
        for reader in self._readers():
            reader.close(Outcome.DRAINED)

    @property
    def is_draining(self) -> bool:
        """Whether the server is about to stop."""
        return self.draining.is_set()

    @property
    def open_readers(self) -> int:
        """How many readers there are."""
        return sum(len(feed.readers) for feed in self._feeds.values())

    def is_followed(self, job_id: JobId) -> bool:
        """Whether anyone reads this job here."""
        return job_id in self._feeds

    def claim_stream(self, owner_id: OwnerId) -> None:
        """Count an open stream of an owner; `release_stream` must follow.

        Raises:
            Unavailable: if the server is about to stop.
            TooManyStreams: if the owner has as many open here as allowed.
        """
        if self.is_draining:
            raise Unavailable("the server is restarting", retry_after_s=1)
        if self._streams[owner_id] >= self._limits.streams_per_owner:
            raise TooManyStreams(
                f"{self._limits.streams_per_owner} streams are open: close some, or follow many jobs over one"
                " WebSocket at /v2/ws",
                retry_after_s=5,
            )
        self._streams[owner_id] += 1

    def release_stream(self, owner_id: OwnerId) -> None:
        """Count a stream as closed."""
        self._streams[owner_id] -= 1
        if not self._streams[owner_id]:
            del self._streams[owner_id]

    def reader(self, job_id: JobId) -> Reader:
        """Return a new reader; the job's channel is being subscribed from now on. The reader must be closed."""
        feed = self._feeds.get(job_id)
        if feed is None:
            feed = self._feeds[job_id] = _Feed()
            feed.subscription = asyncio.create_task(self._subscribe(job_id, feed))
            self._subscribing.add(feed.subscription)
            feed.subscription.add_done_callback(self._subscribing.discard)
        reader = Reader(job_id, self, max_queue=self._limits.reader_queue, detach=self._detach)
        feed.readers.append(reader)
        return reader

    async def subscribed(self, job_id: JobId) -> bool:
        """Wait until messages of a job with a reader arrive; False if Redis is away, which the reader will survive."""
        feed = self._feeds.get(job_id)
        if feed is None or feed.subscription is None:
            return False
        return await asyncio.shield(feed.subscription)

    async def follow(self, job_id: JobId, after: Cursor = START) -> AsyncIterator[Entry]:
        """Give every entry after a place until the terminal one, or until the server drains.

        Raises:
            NotFound: if there is no such job.
            InvalidRequest: if there can be no such place.
        """
        reader = self.reader(job_id)
        try:
            await self._begin(reader, after)
            while (batch := await reader.next()) is not None:
                for entry in batch:
                    yield entry
        finally:
            reader.close(Outcome.LEFT)

    async def wait_for_end(self, job_id: JobId, within_s: float) -> Ending | None:
        """Return how a job ended, or None if it has not in time.

        Raises:
            NotFound: if there is no such job.
        """
        reader = self.reader(job_id)
        try:
            async with asyncio.timeout(within_s):
                await self._begin(reader, START)
                if await self.read_to_end(reader):
                    return reader.ending or await self.read_ending(job_id)
                return None
        except TimeoutError:
            return None
        finally:
            reader.close(Outcome.LEFT)

    async def read_to_end(self, reader: Reader) -> bool:
        """Read a reader that has begun to its end; False if it was closed before its job ended."""
        while await reader.next() is not None:
            pass
        return reader.outcome is Outcome.ENDED

    def look_soon(self, job_id: JobId) -> None:
        """Look at a job's row without waiting for the next tick, because it has just changed."""
        if job_id in self._feeds and self._ticker is not None:
            self._hurried.add(job_id)
            self._hurry.set()

    async def read_log(self, job_id: JobId, attempt: int, *, after_seq: int) -> list[Entry]:
        """Return entries from the log; a source of readers."""
        async with self._log_reads:
            return await self._events.read(job_id, attempt, after_seq=after_seq)

    async def read_ending(self, job_id: JobId) -> Ending | None:
        """Return how an ended job ended; a source of readers."""
        return await self._reads.ending(job_id)

    async def _begin(self, reader: Reader, after: Cursor) -> None:
        await self.subscribed(reader.job_id)
        row = (await self._reads.snapshots([reader.job_id])).get(reader.job_id)
        if row is None:
            raise NotFound("there is no such job")
        await reader.begin(after, row, queued=None)

    def _detach(self, reader: Reader) -> None:
        feed = self._feeds.get(reader.job_id)
        if feed is None or reader not in feed.readers:
            return
        feed.readers.remove(reader)
        if not feed.readers:
            del self._feeds[reader.job_id]
            self._subscriber.unsubscribe(channel(self._prefix, reader.job_id), feed.on_message)

    async def _subscribe(self, job_id: JobId, feed: _Feed) -> bool:
        name = channel(self._prefix, job_id)
        is_confirmed = await self._subscriber.subscribe(name, feed.on_message)
        if not feed.readers:  # they left before the subscription had begun
            self._subscriber.unsubscribe(name, feed.on_message)
        return is_confirmed

    def _readers(self) -> list[Reader]:
        return [reader for feed in self._feeds.values() for reader in feed.readers]

    def _suspect_gaps(self) -> None:
        for reader in self._readers():
            reader.suspect_gap()

    async def _tick_forever(self) -> None:
        loop = asyncio.get_running_loop()
        next_tick = loop.time() + self._idle_look_s
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_tick):
                    await self._hurry.wait()
            self._hurry.clear()
            is_tick = loop.time() >= next_tick
            if is_tick:
                next_tick = loop.time() + self._idle_look_s
                self._beat()
            try:
                await self._look(self._worth_a_look(is_tick=is_tick))
            except SmartSipError as error:
                _log.warning("jobs_unreadable", error=str(error))
            except Exception:  # noqa: BLE001 - logged; readers depend on the next look
                _log.exception("look_at_silent_jobs_failed")

    def _worth_a_look(self, *, is_tick: bool) -> list[Reader]:
        """Return readers whose job has changed by our own hand and, with a tick, those nothing was pushed to since."""
        hurried, self._hurried = self._hurried, set()
        readers = [reader for reader in self._readers() if reader.has_begun]
        chosen = [reader for reader in readers if reader.job_id in hurried or (is_tick and reader.is_silent)]
        if is_tick:
            for reader in readers:
                reader.is_silent = True
        return chosen

    async def _look(self, readers: Sequence[Reader]) -> None:
        if not readers:
            return
        rows = await self._reads.snapshots(list({reader.job_id for reader in readers}))
        for reader in readers:
            row = rows.get(reader.job_id)
            if row is None:
                reader.close(Outcome.GONE)
            else:
                reader.see_row(row)

    def _beat(self) -> None:
        """Ask for heartbeats that would be due before the next tick."""
        now = asyncio.get_running_loop().time()
        for reader in self._readers():
            if now + self._idle_look_s - reader.last_sent_at > self._heartbeat_s:
                reader.beat()
