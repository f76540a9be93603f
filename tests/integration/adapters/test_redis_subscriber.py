"""One subscriber connection, and what becomes of it when Redis does not behave."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from shared.adapters.redis_connection import connect
from shared.adapters.redis_subscriber import Subscriber
from shared.settings import Redis as RedisSettings
from shared.settings import Settings
from tests.stack import TestStack, eventually


def settings_at(stack: TestStack) -> RedisSettings:
    return RedisSettings(url=SecretStr(stack.redis_url), prefix="t:")


async def publish(redis: Redis, channel: str, message: bytes) -> int:
    return await redis.publish(channel, message)  # pyright: ignore[reportUnknownMemberType]


async def test_every_listener_of_a_channel_hears_and_the_last_to_leave_ends_the_subscription(settings: Settings):
    redis = connect(settings.redis)
    subscriber = Subscriber(redis)
    await subscriber.start()
    name = f"{settings.redis.prefix}a"
    first: list[bytes] = []
    second: list[bytes] = []
    assert await subscriber.subscribe(name, first.append)
    assert await subscriber.subscribe(name, second.append)
    assert subscriber.subscriptions == 1
    assert await publish(redis, name, b"1") == 1
    await eventually(lambda: _equal((first, second), ([b"1"], [b"1"])))
    subscriber.unsubscribe(name, first.append)
    assert await publish(redis, name, b"2") == 1
    await eventually(lambda: _equal(second, [b"1", b"2"]))
    subscriber.unsubscribe(name, second.append)
    assert subscriber.subscriptions == 0
    await eventually(lambda: _nobody_hears(redis, name))
    assert first == [b"1"]
    await subscriber.close()
    await redis.aclose()


async def test_leaving_and_coming_back_at_once_loses_nothing_after_the_confirmation(settings: Settings):
    redis = connect(settings.redis)
    subscriber = Subscriber(redis)
    await subscriber.start()
    name = f"{settings.redis.prefix}b"

    for number in range(200):
        heard: list[bytes] = []
        assert await subscriber.subscribe(name, heard.append)
        subscriber.unsubscribe(name, heard.append)
        assert await subscriber.subscribe(name, heard.append)
        await publish(redis, name, b"%d" % number)
        await eventually(lambda heard=heard, number=number: _equal(heard, [b"%d" % number]))
        subscriber.unsubscribe(name, heard.append)
    await subscriber.close()
    await redis.aclose()


async def test_a_listener_that_fails_harms_no_other(settings: Settings):
    redis = connect(settings.redis)
    subscriber = Subscriber(redis)
    await subscriber.start()
    name = f"{settings.redis.prefix}c"
    heard: list[bytes] = []

    def fail(_: bytes) -> None:
        raise LookupError("a fault of this listener's")

    await subscriber.subscribe(name, fail)
    await subscriber.subscribe(name, heard.append)
    await publish(redis, name, b"1")
    await publish(redis, name, b"2")
    await eventually(lambda: _equal(heard, [b"1", b"2"]))
    await subscriber.close()
    await redis.aclose()


async def test_after_a_restart_of_redis_everything_is_heard_again_and_the_gap_is_told(
    private_stack: Callable[[], TestStack],
):
    stack = private_stack()
    redis = connect(settings_at(stack))
    subscriber = Subscriber(redis)
    await subscriber.start()
    gaps: list[int] = []
    heard: list[bytes] = []
    subscriber.on_gap(lambda: gaps.append(1))
    for number in range(50):
        assert await subscriber.subscribe(f"t:{number}", heard.append)
    await stack.restart_valkey()
    await eventually(lambda: _equal(bool(gaps), True), within=10)
    for number in range(50):
        assert await publish(redis, f"t:{number}", b"%d" % number) == 1
    await eventually(lambda: _equal(len(heard), 50))
    await subscriber.close()
    await redis.aclose()


async def test_without_redis_a_subscription_is_kept_and_works_once_redis_comes(
    private_stack: Callable[[], TestStack],
):
    stack = private_stack()
    await stack.kill_valkey()
    redis = connect(settings_at(stack))
    subscriber = Subscriber(redis)
    await subscriber.start()
    gaps: list[int] = []
    heard: list[bytes] = []
    subscriber.on_gap(lambda: gaps.append(1))
    assert not await subscriber.subscribe("t:late", heard.append)
    await stack.start_valkey()
    await eventually(lambda: _equal(bool(gaps), True), within=10)
    await publish(redis, "t:late", b"1")
    await eventually(lambda: _equal(heard, [b"1"]))
    await subscriber.close()
    await redis.aclose()


async def test_a_cut_connection_is_replaced(settings: Settings):
    redis = connect(settings.redis)
    subscriber = Subscriber(redis)
    await subscriber.start()
    name = f"{settings.redis.prefix}d"
    gaps: list[int] = []
    heard: list[bytes] = []
    subscriber.on_gap(lambda: gaps.append(1))
    await subscriber.subscribe(name, heard.append)
    await redis.client_kill_filter(_type="pubsub", skipme=True)  # pyright: ignore[reportUnknownMemberType]
    await eventually(lambda: _equal(bool(gaps), True))
    await publish(redis, name, b"1")
    await eventually(lambda: _equal(heard, [b"1"]))
    await subscriber.close()
    await redis.aclose()


async def test_a_cancelled_command_is_cancelled_always(settings: Settings):
    redis = connect(settings.redis)
    await redis.ping()  # pyright: ignore[reportUnknownMemberType]
    for turns in range(60):
        task: asyncio.Future[Any] = asyncio.ensure_future(redis.blpop([f"{settings.redis.prefix}nothing"], timeout=30))
        for _ in range(turns % 6):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=2)
        assert task.cancelled()
    await redis.aclose()


@pytest.mark.parametrize(
    ("url", "master"),
    [
        ("redis+sentinel://user:p%40ss@one:26379,two/main/3?sentinel_password=s", "main"),
        ("rediss+sentinel://one:1/other/0", "other"),
    ],
)
async def test_sentinel_urls_are_understood(url: str, master: str):
    client = connect(RedisSettings(url=SecretStr(url), prefix="t:"))
    pool: Any = client.connection_pool  # a pool of sentinels, which redis-py does not say
    assert pool.service_name == master
    await client.aclose()


@pytest.mark.parametrize("url", ["redis+sentinel://secret@one:26379", "redis+sentinel://one:x/secret/0"])
def test_a_url_that_cannot_be_used_is_refused_without_being_shown(url: str):
    with pytest.raises(ValueError) as refusal:
        connect(RedisSettings(url=SecretStr(url), prefix="t:"))
    assert "secret" not in str(refusal.value)


async def _equal(one: object, other: object) -> bool:
    await asyncio.sleep(0)
    return one == other


async def _nobody_hears(redis: Redis, name: str) -> bool:
    return await publish(redis, name, b"?") == 0
