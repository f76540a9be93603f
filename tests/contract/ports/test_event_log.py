"""The port `EventLog`, over Redis: what runners and readers may rely on."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from shared.adapters.redis_connection import connect
from shared.adapters.redis_event_log import MAX_ANNOUNCED_BYTES, RedisEventLog, channel, log_key
from shared.adapters.redis_subscriber import Subscriber
from shared.domain.errors import Unavailable
from shared.domain.events import Completed, Entry, Event, Started, Text, decode_entries
from shared.domain.ids import JobId, new_job_id
from shared.ports.event_log import Append
from shared.settings import Settings
from tests.stack import eventually


def log_of(attempt: int, *events: Event, first_seq: int = 1) -> list[Entry]:
    return [Entry(attempt, seq, 1_700_000_000_000 + seq, event) for seq, event in enumerate(events, first_seq)]


def append_of(job_id: JobId, entries: list[Entry]) -> Append:
    return Append(job_id, entries[0].attempt, entries[0].seq, entries)


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    client = connect(settings.redis)
    yield client
    await client.aclose()


@pytest.fixture
async def log(redis: Redis, settings: Settings) -> RedisEventLog:
    return RedisEventLog(redis, settings.redis.prefix, settings.clocks)


@pytest.fixture
async def subscriber(redis: Redis) -> AsyncIterator[Subscriber]:
    subscriber = Subscriber(redis)
    await subscriber.start()
    yield subscriber
    await subscriber.close()


async def test_what_was_appended_is_read_in_order_from_any_place(log: RedisEventLog):
    job_id = new_job_id()
    first, second = log_of(1, Started("demo", "demo"), Text("a")), log_of(1, Text("b"), first_seq=3)
    assert await log.append([append_of(job_id, first)]) == [True]
    assert await log.append([append_of(job_id, second)]) == [True]
    assert await log.read(job_id, 1) == [*first, *second]
    assert await log.read(job_id, 1, after_seq=2) == second
    assert await log.read(job_id, 1, after_seq=3) == []
    assert await log.read(job_id, 2) == []


async def test_many_logs_are_appended_to_in_one_call_and_each_has_its_answer(log: RedisEventLog):
    present, lost, fresh = new_job_id(), new_job_id(), new_job_id()
    await log.append([append_of(present, log_of(1, Started("demo", "demo")))])
    answers = await log.append(
        [
            append_of(present, log_of(1, Text("on"), first_seq=2)),
            append_of(lost, log_of(1, Text("gone"), first_seq=2)),
            append_of(fresh, log_of(3, Started("demo", "demo"))),
        ]
    )
    assert answers == [True, False, True]
    assert [len(await log.read(job_id, attempt)) for job_id, attempt in ((present, 1), (lost, 1), (fresh, 3))] == [
        2,
        0,
        1,
    ]


async def test_a_doubled_append_changes_nothing(log: RedisEventLog):
    job_id = new_job_id()
    entries = log_of(1, Started("demo", "demo"), Text("once"))
    assert await log.append([append_of(job_id, entries)]) == [True]
    assert await log.append([append_of(job_id, entries)]) == [False]
    assert await log.read(job_id, 1) == entries


async def test_an_append_is_announced_whole_and_a_refused_one_is_not(
    log: RedisEventLog, subscriber: Subscriber, settings: Settings
):
    job_id = new_job_id()
    heard: list[bytes] = []
    assert await subscriber.subscribe(channel(settings.redis.prefix, job_id), heard.append)
    entries = log_of(1, Started("demo", "demo"), Text("ü\n\u2028"))
    await log.append([append_of(job_id, log_of(1, Text("too early"), first_seq=7))])
    await log.append([append_of(job_id, entries)])
    await eventually(lambda: _are(heard, 1))
    assert decode_entries(heard[0]) == entries


async def test_a_rewritten_log_is_whole_and_only_what_is_new_is_announced(
    log: RedisEventLog, subscriber: Subscriber, redis: Redis, settings: Settings
):
    job_id = new_job_id()
    heard: list[bytes] = []
    entries = log_of(2, Started("demo", "demo"), Text("a"), Text("b"), Text("c"))
    await log.append([append_of(job_id, entries[:2])])
    await redis.delete(log_key(settings.redis.prefix, job_id, 2))
    assert await log.append([append_of(job_id, entries[2:])]) == [False]
    await subscriber.subscribe(channel(settings.redis.prefix, job_id), heard.append)
    await log.rewrite(job_id, 2, entries, announce_from=3)
    await eventually(lambda: _are(heard, 1))
    assert decode_entries(heard[0]) == entries[2:]
    assert await log.read(job_id, 2) == entries


async def test_long_logs_survive_the_limits_of_scripts_and_channels(
    log: RedisEventLog, subscriber: Subscriber, settings: Settings
):
    job_id = new_job_id()
    heard: list[bytes] = []
    await subscriber.subscribe(channel(settings.redis.prefix, job_id), heard.append)
    entries = log_of(1, Started("demo", "demo"), *(Text("x" * 100) for _ in range(20_000)), Completed("stop"))
    await log.rewrite(job_id, 1, entries, announce_from=1)
    assert await log.read(job_id, 1) == entries
    await eventually(lambda: _have(heard, len(entries)))
    assert [entry for message in heard for entry in decode_entries(message)] == entries
    assert max(map(len, heard)) < MAX_ANNOUNCED_BYTES + 1024


async def test_a_log_lives_longer_while_it_grows_and_a_finished_one_goes_soon(redis: Redis, settings: Settings):
    clocks = settings.clocks.model_copy(
        update={"log_ttl": timedelta(minutes=30), "ended_log_ttl": timedelta(seconds=30)}
    )
    log, job_id = RedisEventLog(redis, settings.redis.prefix, clocks), new_job_id()
    key = log_key(settings.redis.prefix, job_id, 1)
    await log.append([append_of(job_id, log_of(1, Started("demo", "demo")))])
    assert 29 * 60 < await redis.ttl(key) <= 30 * 60
    await log.append([append_of(job_id, log_of(1, Completed("stop"), first_seq=2))])
    assert 0 < await redis.ttl(key) <= 30


async def test_a_forgotten_job_has_no_log_of_any_attempt_and_others_keep_theirs(log: RedisEventLog):
    gone, kept = new_job_id(), new_job_id()
    for job_id in (gone, kept):
        for attempt in (1, 2, 3):
            await log.append([append_of(job_id, log_of(attempt, Started("demo", "demo")))])
    await log.forget({gone: 3, new_job_id(): 2})
    await log.forget({gone: 3})
    await log.forget({})
    assert [await log.read(gone, attempt) for attempt in (1, 2, 3)] == [[], [], []]
    assert [len(await log.read(kept, attempt)) for attempt in (1, 2, 3)] == [1, 1, 1]


async def test_a_redis_that_is_away_is_told_as_unavailable(settings: Settings):
    nowhere = settings.redis.model_copy(update={"url": type(settings.redis.url)("redis://127.0.0.1:1/0")})
    client = connect(nowhere)
    log = RedisEventLog(client, "t:", settings.clocks)
    for work in (
        log.append([append_of(new_job_id(), log_of(1, Text("x")))]),
        log.read(new_job_id(), 1),
        log.rewrite(new_job_id(), 1, log_of(1, Text("x")), announce_from=1),
        log.forget({new_job_id(): 1}),
    ):
        with pytest.raises(Unavailable):
            await work
    await client.aclose()


async def test_the_script_is_sent_again_to_a_server_that_forgot_it(log: RedisEventLog, redis: Redis):
    job_id = new_job_id()
    await log.append([append_of(job_id, log_of(1, Started("demo", "demo")))])
    await redis.script_flush()
    assert await log.append([append_of(job_id, log_of(1, Text("on"), first_seq=2))]) == [True]


@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 5), min_size=1, max_size=8), texts=st.lists(st.text(), min_size=8, max_size=40))
async def test_however_a_log_is_cut_into_appends_it_reads_the_same(
    log: RedisEventLog, cuts: list[int], texts: list[str]
):
    job_id = new_job_id()
    entries = log_of(1, *(Text(text) for text in texts))
    at = 0
    for cut in [*cuts, len(entries)]:
        if part := entries[at : at + cut]:
            assert await log.append([append_of(job_id, part)]) == [True]
        at += len(part)
    assert await log.read(job_id, 1) == entries


async def _are(heard: list[bytes], count: int) -> bool:
    return len(heard) == count


async def _have(heard: list[bytes], count: int) -> bool:
    return sum(len(decode_entries(message)) for message in heard) == count
