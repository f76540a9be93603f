"""The publisher and the attempts' logs: dense, in order, merged, and whole again after whatever happens to Redis."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import cast
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import BadOutput, Unavailable
from shared.domain.events import Completed, Entry, Event, Reasoning, Started, Text, ToolCall, Usage, encode_entry, fold
from shared.domain.ids import JobId, uuid7
from shared.ports.event_log import Append
from workers.attempt_log import MAX_ATTEMPT_BYTES, MAX_FRAGMENT_CHARS, AttemptLog
from workers.publisher import Publisher

JOB = JobId(uuid7())
STARTED = Started("demo", "demo")


class MemoryLog:
    """An event log in memory that can be away, lose everything, or write without answering."""

    def __init__(self) -> None:
        self.kept: dict[tuple[UUID, int], list[Entry]] = {}
        self.announced: list[Entry] = []
        self.writes: list[list[Append]] = []
        self.rewrites = 0
        self.is_away = False
        self.loses_answers = False
        self.hold = asyncio.Event()
        self.hold.set()

    def lose_everything(self) -> None:
        self.kept.clear()

    async def append(self, appends: Sequence[Append]) -> list[bool]:
        await self.hold.wait()
        if self.is_away:
            raise Unavailable("away")
        self.writes.append(list(appends))
        answers = [self._append(append) for append in appends]
        if self.loses_answers:
            raise Unavailable("the answer was lost")
        return answers

    def _append(self, append: Append) -> bool:
        kept = self.kept.setdefault((append.job_id, append.attempt), [])
        if len(kept) != append.first_seq - 1:
            return False
        for entry in append.entries:
            assert len(encode_entry(entry)) <= 64 * 1024
        kept.extend(append.entries)
        self.announced.extend(append.entries)
        return True

    async def rewrite(self, job_id: UUID, attempt: int, entries: Sequence[Entry], *, announce_from: int) -> None:
        if self.is_away:
            raise Unavailable("away")
        self.rewrites += 1
        self.kept[job_id, attempt] = list(entries)
        self.announced.extend(entry for entry in entries if entry.seq >= announce_from)

    async def read(self, job_id: UUID, attempt: int, *, after_seq: int = 0) -> list[Entry]:
        return self.kept.get((job_id, attempt), [])[after_seq:]

    async def forget(self, attempts: Mapping[UUID, int]) -> None:
        for log in attempts.items():
            self.kept.pop(log, None)


@asynccontextmanager
async def publishing(events: MemoryLog, *, gap_ms: float = 0) -> AsyncGenerator[Publisher]:
    publisher = Publisher(events, gap=timedelta(milliseconds=gap_ms))
    running = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def settled(publisher: Publisher) -> None:
    async with asyncio.timeout(5):
        await publisher.settled()


def is_dense(entries: Sequence[Entry]) -> bool:
    return [entry.seq for entry in entries] == list(range(1, len(entries) + 1))


async def test_fragments_that_wait_together_become_one_event() -> None:
    events = MemoryLog()
    events.hold.clear()
    async with publishing(events) as publisher:
        log = publisher.open(JOB, 1)
        log.append(STARTED)
        await asyncio.sleep(0)  # the first write is in flight, and held
        await asyncio.sleep(0)
        for piece in ("Hel", "lo", "", " you"):
            log.append(Text(piece))
        log.append(Reasoning("hm"))
        log.append(Reasoning("m"))
        log.append(Text("!"))
        events.hold.set()
        await settled(publisher)
    assert [entry.event for entry in events.kept[JOB, 1]] == [STARTED, Text("Hello you"), Reasoning("hmm"), Text("!")]
    assert is_dense(events.kept[JOB, 1])
    assert len(events.writes) == 2


async def test_events_of_many_attempts_go_out_in_one_write() -> None:
    events = MemoryLog()
    events.hold.clear()
    async with publishing(events) as publisher:
        publisher.open(JOB, 1).append(STARTED)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for attempt in range(2, 52):
            publisher.open(JOB, attempt).append(STARTED)
        events.hold.set()
        await settled(publisher)
    assert [len(write) for write in events.writes] == [1, 50]


async def test_the_first_delta_and_the_end_do_not_wait_for_the_gap() -> None:
    events = MemoryLog()
    async with publishing(events, gap_ms=60_000) as publisher:
        log = publisher.open(JOB, 1)
        log.append(STARTED)
        await settled(publisher)
        log.append(Text("first"))
        await settled(publisher)
        log.append(Text("waits"))
        log.seal(Completed("stop"))
        log.release()
        await settled(publisher)
    assert [entry.event for entry in events.kept[JOB, 1]] == [
        STARTED,
        Text("first"),
        Text("waits"),
        Completed("stop"),
    ]


async def test_a_sealed_end_stays_unpublished_until_it_is_released() -> None:
    events = MemoryLog()
    async with publishing(events) as publisher:
        log = publisher.open(JOB, 1)
        log.append(STARTED)
        log.append(Text("all"))
        entries = log.seal(Completed("stop"))
        await settled(publisher)
        assert [entry.event for entry in events.announced] == [STARTED, Text("all")]
        log.release()
        await settled(publisher)
    assert entries == events.kept[JOB, 1] == events.announced


async def test_nothing_more_of_a_forgotten_attempt_is_published() -> None:
    events = MemoryLog()
    async with publishing(events) as publisher:
        log = publisher.open(JOB, 1)
        log.append(STARTED)
        publisher.forget(log)
        with pytest.raises(ValueError, match="ends by seal"):
            log.append(Text("late"))
        await settled(publisher)
    assert events.announced == []


async def test_a_lost_log_is_written_again_whole_and_readers_hear_only_what_is_new() -> None:
    events = MemoryLog()
    async with publishing(events) as publisher:
        log = publisher.open(JOB, 1)
        log.append(STARTED)
        log.append(Text("before"))
        await settled(publisher)
        events.lose_everything()
        log.append(Text(" and after"))
        await settled(publisher)
    assert [entry.event for entry in events.kept[JOB, 1]] == [STARTED, Text("before"), Text(" and after")]
    assert events.announced == events.kept[JOB, 1]
    assert events.rewrites == 1


async def test_while_redis_is_away_events_wait_and_come_through_afterwards() -> None:
    events = MemoryLog()
    events.is_away = True
    async with publishing(events) as publisher:
        log = publisher.open(JOB, 1)
        log.append(STARTED)
        for number in range(100):
            log.append(Text(f"{number} "))
            await asyncio.sleep(0)
        events.is_away = False
        await settled(publisher)
    assert fold(entry.event for entry in events.kept[JOB, 1]).text == "".join(f"{number} " for number in range(100))
    assert is_dense(events.kept[JOB, 1])


async def test_the_end_of_a_job_is_not_kept_for_a_redis_that_is_away() -> None:
    events = MemoryLog()
    events.is_away = True
    async with publishing(events) as publisher:
        log = publisher.open(JOB, 1)
        log.append(STARTED)
        log.seal(Completed("stop"))
        log.release()
        await settled(publisher)
    assert events.announced == []


async def test_an_attempt_that_says_too_much_is_refused() -> None:
    log = AttemptLog(JOB, 1, notify=lambda _log, _urgent: None)
    log.append(Text("x" * (MAX_ATTEMPT_BYTES * 9 // 10)))
    with pytest.raises(BadOutput, match="longer than 8 MB"):
        log.append(Text("x" * (MAX_ATTEMPT_BYTES // 10)))


def test_long_fragments_are_cut_and_halves_of_surrogate_pairs_are_joined() -> None:
    log = AttemptLog(JOB, 1, notify=lambda _log, _urgent: None)
    log.append(Text("é" * (MAX_FRAGMENT_CHARS + 1)))
    log.append(Text("\ud83d"))
    log.append(Text("\ude00"))
    log.append(Reasoning("\ud83d alone"))
    texts = [cast("Text | Reasoning", entry.event).text for entry in log.seal(Completed("stop"))[:-1]]
    assert texts == ["é" * MAX_FRAGMENT_CHARS, "é😀", "\ufffd alone"]


pieces = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
steps = st.one_of(
    st.builds(Text, pieces),
    st.builds(Reasoning, pieces),
    st.builds(ToolCall, index=st.integers(0, 2), arguments=pieces),
    st.builds(Usage, st.integers(0, 9), st.integers(0, 9)),
    st.sampled_from(["yield", "lose", "go away", "come back", "lose answers", "settle"]),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(steps, max_size=40), st.sampled_from([0.0, 0.2]))
def test_whatever_happens_the_log_is_dense_and_says_what_was_said(script: list[Event | str], gap_ms: float) -> None:
    asyncio.run(_play(script, gap_ms))


async def _play(script: Sequence[Event | str], gap_ms: float) -> None:
    events = MemoryLog()
    said: list[Event] = [STARTED]
    async with publishing(events, gap_ms=gap_ms) as publisher:
        log = publisher.open(JOB, 1)
        log.append(STARTED)
        for step in script:
            if isinstance(step, str):
                await _interfere(step, events, publisher)
            else:
                said.append(step)
                log.append(step)
        events.is_away = events.loses_answers = False
        await settled(publisher)
        entries = log.seal(Completed("stop"))
        log.release()
        await settled(publisher)
    kept = events.kept[JOB, 1]
    assert is_dense(kept)
    assert fold(entry.event for entry in kept) == fold([*said, Completed("stop")])
    assert entries == kept
    # Readers drop what they have already seen, and miss nothing.
    assert sorted({entry.seq: entry for entry in events.announced}.values(), key=lambda entry: entry.seq) == kept


async def _interfere(step: str, events: MemoryLog, publisher: Publisher) -> None:
    match step:
        case "lose":
            events.lose_everything()
        case "go away":
            events.is_away = True
        case "come back":
            events.is_away = events.loses_answers = False
        case "lose answers":
            events.loses_answers = True
        case "settle" if not (events.is_away or events.loses_answers):
            await settled(publisher)
        case _:
            for _ in range(3):
                await asyncio.sleep(0)
