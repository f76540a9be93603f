"""Limits that all processes keep together, on a real Valkey: never exceeded, never lost, in the order of arrival."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr
from redis.asyncio import Redis

from shared.adapters.redis_connection import connect
from shared.adapters.redis_limits import RedisProviderLimits
from shared.domain.errors import Unavailable
from shared.domain.ids import new_job_id
from shared.ports.provider_limits import Entry, Limit, NoPlace, Place
from shared.settings import Redis as RedisSettings
from tests.stack import TestStack, eventually

LEASE = timedelta(seconds=5)


@pytest.fixture
async def redis(stack: TestStack) -> AsyncGenerator[Redis]:
    client = connect(RedisSettings(url=SecretStr(stack.redis_url)))
    yield client
    await client.aclose()


@pytest.fixture
def limits(redis: Redis, redis_prefix: str) -> RedisProviderLimits:
    return RedisProviderLimits(redis, redis_prefix, lease=LEASE)


def an_entry(
    limit: Limit,
    *,
    share: Limit | None = None,
    is_batch: bool = False,
    rank: float = 0,
    tokens: int = 0,
    account: str = "openai:none",
) -> Entry:
    return Entry(
        account=account,
        holder=str(new_job_id()),
        is_batch=is_batch,
        rank=rank,
        tokens=tokens,
        limit=limit,
        for_batches=share or limit,
    )


def places(found: list[Place | NoPlace]) -> list[Place]:
    return [one for one in found if isinstance(one, Place)]


@given(limit=st.integers(1, 8), jobs=st.integers(1, 30))
@hypothesis_settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_two_processes_with_many_jobs_never_hold_more_places_than_there_are(
    limit: int, jobs: int, redis: Redis, redis_prefix: str
) -> None:
    prefix = f"{redis_prefix}{new_job_id()}:"
    processes = [RedisProviderLimits(redis, prefix, lease=LEASE) for _ in range(2)]
    held = most = done = 0

    async def job(number: int) -> None:
        nonlocal held, most, done
        process, entry = processes[number % 2], an_entry(Limit(concurrency=limit), rank=number)
        while not isinstance(place := await process.enter(entry), Place):
            pass  # asking is a round trip, in which the others go on
        held += 1
        most = max(most, held)
        await process.keep([place])
        held -= 1
        done += 1
        await process.leave(place, used_tokens=0)

    async with asyncio.timeout(20):
        await asyncio.gather(*map(job, range(jobs)))
    assert (done, most <= limit) == (jobs, True)


async def test_a_place_that_is_given_back_goes_to_who_waits_longest_and_to_nobody_who_comes_between(
    limits: RedisProviderLimits,
) -> None:
    limit = Limit(concurrency=1)
    holder = await limits.enter(an_entry(limit))
    later, sooner = an_entry(limit, rank=2), an_entry(limit, rank=1)
    assert [await limits.enter(entry) for entry in (later, sooner)] == [NoPlace(0, 0), NoPlace(0, 0)]
    assert isinstance(holder, Place)
    following = await limits.leave(holder, used_tokens=0)
    assert following is not None
    assert following.entry.holder == sooner.holder
    assert await limits.enter(an_entry(limit, rank=0)) == NoPlace(0, 0)  # it is kept for the one that was named
    assert await limits.enter(later) == NoPlace(0, 1)
    assert isinstance(await limits.enter(sooner), Place)


async def test_a_holder_has_one_place_however_often_it_asks(limits: RedisProviderLimits) -> None:
    limit = Limit(concurrency=2)
    entry = an_entry(limit)
    assert len(places([await limits.enter(entry) for _ in range(3)])) == 3
    assert isinstance(await limits.enter(an_entry(limit)), Place)
    assert isinstance(await limits.enter(an_entry(limit)), NoPlace)


async def test_the_place_of_a_holder_that_died_returns_and_that_of_one_that_lives_does_not(
    redis: Redis, redis_prefix: str
) -> None:
    limits = RedisProviderLimits(redis, redis_prefix, lease=timedelta(seconds=0.3))
    limit = Limit(concurrency=2)
    dead, living = [await limits.enter(an_entry(limit)) for _ in range(2)]
    assert isinstance(dead, Place)
    assert isinstance(living, Place)
    newcomer = an_entry(limit)

    async def has_entered() -> bool:
        await limits.keep([living])
        return isinstance(await limits.enter(newcomer), Place)

    assert not await has_entered()
    await eventually(has_entered, expecting="the place of the dead")
    assert isinstance(await limits.enter(an_entry(limit)), NoPlace)


async def test_after_a_flush_held_places_are_held_again_with_the_next_word_of_them(
    limits: RedisProviderLimits, redis: Redis, redis_prefix: str
) -> None:
    limit = Limit(concurrency=1)
    held = await limits.enter(an_entry(limit))
    assert isinstance(held, Place)
    client: Any = redis  # its stubs leave much unknown
    await client.delete(*[key async for key in client.scan_iter(f"{redis_prefix}*")])
    await limits.keep([held])
    assert isinstance(await limits.enter(an_entry(limit)), NoPlace)


async def test_a_batch_has_its_share_and_leaves_the_rest(limits: RedisProviderLimits) -> None:
    limit, share = Limit(concurrency=4), Limit(concurrency=2)
    batch = [await limits.enter(an_entry(limit, share=share, is_batch=True, rank=5)) for _ in range(5)]
    others = [await limits.enter(an_entry(limit, share=share, rank=1)) for _ in range(5)]
    assert (len(places(batch)), len(places(others))) == (2, 2)
    following = await limits.leave(places(batch)[0], used_tokens=0)
    assert following is not None
    assert not following.entry.is_batch  # batches wait until nobody else does


@pytest.mark.parametrize(
    ("limit", "share"), [(Limit(requests=10), Limit(requests=4)), (Limit(tokens=100), Limit(tokens=40))]
)
async def test_rates_are_never_exceeded_and_a_batch_has_its_share_of_them(
    limits: RedisProviderLimits, limit: Limit, share: Limit
) -> None:
    batch = await asyncio.gather(
        *(limits.enter(an_entry(limit, share=share, is_batch=True, tokens=10)) for _ in range(12))
    )
    others = await asyncio.gather(*(limits.enter(an_entry(limit, share=share, tokens=10)) for _ in range(12)))
    assert (len(places(batch)), len(places(others))) == (4, 6)
    for refused in (one for one in [*batch, *others] if isinstance(one, NoPlace)):
        assert 58 < refused.wait_s <= 61


async def test_what_was_asked_longer_ago_than_a_window_counts_no_more(redis: Redis, redis_prefix: str) -> None:
    limits = RedisProviderLimits(redis, redis_prefix, lease=LEASE, window=timedelta(seconds=0.5))
    limit = Limit(requests=3)
    assert len(places([await limits.enter(an_entry(limit)) for _ in range(4)])) == 3
    refused = await limits.enter(an_entry(limit))
    assert isinstance(refused, NoPlace)
    assert 0 < refused.wait_s <= 0.52

    async def has_entered() -> bool:
        return isinstance(await limits.enter(an_entry(limit)), Place)

    await eventually(has_entered, expecting="the end of the window")


async def test_tokens_are_estimated_before_and_counted_after(limits: RedisProviderLimits) -> None:
    limit = Limit(tokens=100)
    first = await limits.enter(an_entry(limit, tokens=90))
    assert isinstance(first, Place)
    assert isinstance(await limits.enter(an_entry(limit, tokens=20)), NoPlace)
    await limits.leave(first, used_tokens=75)
    assert isinstance(await limits.enter(an_entry(limit, tokens=20)), Place)
    assert isinstance(await limits.enter(an_entry(limit, tokens=20)), NoPlace)


async def test_a_call_that_is_larger_than_the_limit_is_made_when_nothing_else_was(limits: RedisProviderLimits) -> None:
    limit = Limit(tokens=100)
    assert isinstance(await limits.enter(an_entry(limit, tokens=5000)), Place)
    assert isinstance(await limits.enter(an_entry(limit, tokens=1)), NoPlace)


async def test_accounts_have_limits_of_their_own(limits: RedisProviderLimits) -> None:
    limit = Limit(concurrency=1)
    assert len(places([await limits.enter(an_entry(limit, account=name)) for name in ("a:1", "a:2", "b:1")])) == 3


async def test_cooldowns_are_known_to_all_the_longer_one_stands_and_they_end(
    limits: RedisProviderLimits, redis: Redis, redis_prefix: str
) -> None:
    other = RedisProviderLimits(redis, redis_prefix, lease=LEASE)
    await limits.cool("live:openai:none/m", for_s=30)
    await other.cool("live:openai:none/m", for_s=3)
    await other.cool("short", for_s=0.05)

    async def only_the_long_one_is_left() -> bool:
        return set(await other.cooling()) == {"live:openai:none/m"}

    await eventually(only_the_long_one_is_left)
    assert 28 < (await limits.cooling())["live:openai:none/m"] <= 30


async def test_a_redis_that_is_away_is_unavailable(redis_prefix: str) -> None:
    nowhere = connect(RedisSettings(url=SecretStr("redis://127.0.0.1:1/0")))
    limits = RedisProviderLimits(nowhere, redis_prefix, lease=LEASE)
    place = Place(entry=an_entry(Limit(concurrency=1)))
    for question in (
        limits.enter(place.entry),
        limits.leave(place, used_tokens=0),
        limits.keep([place]),
        limits.cool("a", for_s=1),
        limits.cooling(),
    ):
        with pytest.raises(Unavailable):
            await question
    await nowhere.aclose()
