"""Readers against sources that lose, double and reorder: every entry in order, once, and one terminal entry."""

import asyncio
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.relay import Outcome, Playhead, Reader, queued_entry
from shared.database.views import Ending, Snapshot
from shared.domain.errors import InvalidRequest, Unavailable
from shared.domain.events import QUEUED, START, Completed, Cursor, Entry, Event, Restarted, Started, Text, fold
from shared.domain.ids import JobId, new_job_id
from shared.domain.jobs import State
from tests.stack import eventually


def log_of(attempt: int, words: int, *, is_ended: bool = False) -> list[Entry]:
    first = Started("demo", "demo") if attempt == 1 else Restarted("demo", "demo", "worker_lost")
    events: list[Event] = [first, *(Text(f"{attempt}-{number}") for number in range(words))]
    if is_ended:
        events.append(Completed("stop"))
    return [Entry(attempt, seq, 0, event) for seq, event in enumerate(events, 1)]


class World:
    """A job as its writers leave it behind: rows, a log that may be lost, and messages that may be."""

    def __init__(self) -> None:
        self.row = Snapshot(State.QUEUED, 0, None)
        self.logs: dict[int, list[Entry]] = {}
        self.archive: list[Entry] = []
        self.is_redis_away = False
        self.is_postgres_away = False
        self.endings_asked_for = 0

    async def read_log(self, job_id: JobId, attempt: int, *, after_seq: int) -> list[Entry]:
        await asyncio.sleep(0)
        if self.is_redis_away:
            raise Unavailable("Redis is away")
        return self.logs.get(attempt, [])[after_seq:]

    async def read_ending(self, job_id: JobId) -> Ending | None:
        await asyncio.sleep(0)
        self.endings_asked_for += 1
        if self.is_postgres_away:
            raise Unavailable("PostgreSQL is away")
        if self.row.state is not State.SUCCEEDED:
            return None
        return Ending(self.row.state, self.row.fence, fold(entry.event for entry in self.archive), self.archive)


def reader_of(world: World, *, max_queue: int = 3) -> Reader:
    return Reader(new_job_id(), world, max_queue=max_queue, detach=lambda _: None)


async def batch_of(reader: Reader) -> list[Entry] | None:
    """Return what a reader gives out next; it must not keep anyone waiting."""
    async with asyncio.timeout(5):
        return await reader.next()


def test_a_playhead_takes_each_entry_once_and_stops_at_gaps():
    log = log_of(1, 5)
    playhead = Playhead()
    playhead.move_to(1)
    assert playhead.take(log[:2]) == log[:2]
    assert playhead.take(log[:3]) == log[2:3]
    assert not playhead.has_gap
    assert playhead.take(log[4:]) == []
    assert playhead.has_gap
    assert playhead.take(log_of(2, 1)) == log_of(2, 1)
    assert playhead.take(log) == []


def test_a_playhead_goes_to_the_beginning_of_a_newer_attempt_it_heard_the_middle_of():
    playhead = Playhead(Cursor(1, 3))
    assert playhead.take(log_of(2, 5)[3:]) == []
    assert (playhead.attempt, playhead.seq, playhead.has_gap) == (2, 0, True)


def test_the_end_of_an_attempt_before_a_replay_is_passed_over():
    playhead = Playhead()
    playhead.void_ends_until(1)
    assert playhead.take(log_of(1, 1, is_ended=True)) == log_of(1, 1)
    assert playhead.take(log_of(2, 1, is_ended=True)) == log_of(2, 1, is_ended=True)


class Writer:
    """Writes a job's attempts in pieces, while messages get lost or doubled and the log is lost and written again."""

    def __init__(self, world: World, reader: Reader, seed: int, loss: float) -> None:
        self.chance = random.Random(seed)
        self._world, self._reader, self._loss = world, reader, loss

    def happens(self, probability: float) -> bool:
        return self.chance.random() < probability

    async def pause(self) -> None:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)

    async def write(self, log: list[Entry]) -> None:
        attempt, at = log[0].attempt, 0
        self._world.row = Snapshot(State.RUNNING, attempt, None)
        while at < len(log):
            piece = log[at : at + self.chance.randrange(1, 4)]
            at += len(piece)
            self._world.logs[attempt] = [] if self.happens(0.1) else log[:at]
            self._announce(piece)
            self._world.is_redis_away = self.happens(0.1)
            if self.happens(0.2):
                self._reader.see_row(self._world.row)
            if self.happens(0.1):
                self._reader.suspect_gap()
            await self.pause()

    async def end(self, log: list[Entry]) -> None:
        self._world.archive = log
        self._world.row = Snapshot(State.SUCCEEDED, log[-1].attempt, None)
        self._announce(log[-1:])
        await self.pause()
        self._reader.see_row(self._world.row)  # the hub's look at a silent job, which always comes

    def _announce(self, entries: list[Entry]) -> None:
        if not self.happens(self._loss):
            self._reader.push(entries)
            if self.happens(0.1):
                self._reader.push(entries)


@given(
    seed=st.integers(0, 2**32),
    attempts=st.integers(1, 3),
    words=st.integers(0, 12),
    loss=st.sampled_from([0.0, 0.3, 1.0]),
)
async def test_whatever_is_lost_a_reader_ends_with_the_answer(seed: int, attempts: int, words: int, loss: float):
    world = World()
    reader = reader_of(world)
    writer = Writer(world, reader, seed, loss)
    await reader.begin(START, world.row, queued=None)
    given_out: list[Entry] = []

    async def consume() -> None:
        while (batch := await batch_of(reader)) is not None:
            given_out.extend(batch)
            await writer.pause()

    consuming = asyncio.create_task(consume())
    for attempt in range(1, attempts):
        await writer.write(log_of(attempt, words))
        world.row = Snapshot(State.QUEUED, attempt, None)
    final = log_of(attempts, words, is_ended=True)
    await writer.write(final[:-1])
    await writer.end(final)
    await asyncio.wait_for(consuming, 5)

    assert reader.outcome is Outcome.ENDED
    assert [entry for entry in given_out if entry.attempt == attempts] == final
    for attempt in range(1, attempts):
        seen = [entry for entry in given_out if entry.attempt == attempt]
        assert seen == log_of(attempt, words)[: len(seen)]
    assert [entry.cursor for entry in given_out] == sorted(entry.cursor for entry in given_out)


@given(words=st.integers(0, 10), cut=st.integers(0, 12))
async def test_any_cut_and_resume_of_an_ended_job_gives_the_same_events(words: int, cut: int):
    world = World()
    world.archive = log_of(2, words, is_ended=True)
    world.row = Snapshot(State.SUCCEEDED, 2, None)
    seen = world.archive[: cut % (len(world.archive) + 1)]
    reader = reader_of(world)
    await reader.begin(seen[-1].cursor if seen else START, world.row, queued=None)
    assert reader.is_over == (seen == world.archive)
    while (batch := await batch_of(reader)) is not None:
        seen = seen + batch
    assert seen == world.archive


@pytest.mark.parametrize(
    ("row", "after"),
    [
        (Snapshot(State.RUNNING, 1, None), Cursor(2, 0)),
        (Snapshot(State.QUEUED, 0, None), Cursor(1, 1)),
        (Snapshot(State.QUEUED, 0, None), Cursor(0, 2)),
        (Snapshot(State.SUCCEEDED, 1, None), Cursor(1, 9)),
    ],
)
async def test_a_place_that_cannot_be_is_refused(row: Snapshot, after: Cursor):
    world = World()
    world.row, world.archive = row, log_of(1, 1, is_ended=True)
    with pytest.raises(InvalidRequest) as refusal:
        await reader_of(world).begin(after, row, queued=None)
    assert refusal.value.field == "after"


async def test_a_job_nobody_has_claimed_is_told_as_queued_to_who_starts_at_the_beginning():
    world = World()
    told = queued_entry(datetime(2026, 11, 21, tzinfo=UTC))
    for after, expected in ((START, [told]), (QUEUED, [])):
        reader = reader_of(world)
        await reader.begin(after, world.row, queued=told, nothing_missed=True)
        reader.beat()
        assert await batch_of(reader) == expected


async def test_an_end_that_cannot_be_read_is_read_at_the_next_look():
    world = World()
    reader = reader_of(world)
    await reader.begin(START, Snapshot(State.RUNNING, 1, None), queued=None)
    world.archive, world.row = log_of(1, 1, is_ended=True), Snapshot(State.SUCCEEDED, 1, None)
    world.is_postgres_away = True
    reader.see_row(world.row)
    consuming = asyncio.create_task(reader.next())
    await eventually(lambda: _has_asked(world))
    assert not consuming.done()
    world.is_postgres_away = False
    reader.see_row(world.row)
    assert await asyncio.wait_for(consuming, 5) == world.archive
    assert await batch_of(reader) is None


async def _has_asked(world: World) -> bool:
    return world.endings_asked_for > 0


async def test_a_look_at_the_row_sends_a_silent_reader_to_the_attempt_that_runs_now():
    world = World()
    reader = reader_of(world)
    await reader.begin(START, Snapshot(State.RUNNING, 1, None), queued=None)
    world.logs = {1: log_of(1, 1), 2: log_of(2, 2)}
    assert await batch_of(reader) == log_of(1, 1)
    reader.see_row(Snapshot(State.RUNNING, 2, None))
    assert await batch_of(reader) == log_of(2, 2)


async def test_a_log_that_could_not_be_read_is_read_at_the_next_look():
    world = World()
    reader = reader_of(world)
    world.is_redis_away = True
    world.logs = {1: log_of(1, 1)}
    running = Snapshot(State.RUNNING, 1, None)
    await reader.begin(START, running, queued=None)
    reader.beat()
    assert await batch_of(reader) == []
    world.is_redis_away = False
    reader.see_row(running)
    assert await batch_of(reader) == log_of(1, 1)


async def test_a_reader_that_lags_holds_no_more_than_its_queue_and_catches_up_from_the_log():
    world = World()
    log = log_of(1, 10)
    reader = reader_of(world, max_queue=3)
    await reader.begin(START, Snapshot(State.RUNNING, 1, None), queued=None, nothing_missed=True)
    for entry in log[:4]:
        reader.push([entry])
    world.logs = {1: log}
    for entry in log[4:7]:
        reader.push([entry])
    assert await batch_of(reader) == log
    reader.beat()
    assert await batch_of(reader) == []


async def test_a_late_reader_reads_the_log_at_once():
    world = World()
    world.logs = {1: log_of(1, 3)}
    reader = reader_of(world)
    await reader.begin(Cursor(1, 2), Snapshot(State.RUNNING, 1, None), queued=None)
    assert await batch_of(reader) == log_of(1, 3)[2:]


async def test_a_reader_that_is_closed_gives_out_nothing_more():
    reader = reader_of(World())
    await reader.begin(START, Snapshot(State.RUNNING, 1, None), queued=None)
    reader.push(log_of(1, 1))
    reader.close(Outcome.DRAINED)
    assert await batch_of(reader) is None
    reader.close(Outcome.LEFT)
    assert reader.outcome is Outcome.DRAINED
