"""The servers tests run on: that they are real, separate and come back."""

from collections.abc import Callable

import psycopg
from redis.asyncio import Redis

from shared.settings import Settings
from tests.stack import TestStack


def test_each_test_has_a_migrated_database_of_its_own(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "select count(*) from information_schema.tables where table_name = 'job'"
        ).fetchone()
        connection.execute("create table only_here (id int)")
    assert tables == (1,)


def test_settings_name_the_shared_servers(settings: Settings, stack: TestStack, redis_prefix: str) -> None:
    assert (settings.redis.url.get_secret_value(), settings.redis.prefix) == (stack.redis_url, redis_prefix)


async def test_killed_servers_come_back_at_the_same_address_with_their_data(
    private_stack: Callable[[], TestStack],
) -> None:
    stack = private_stack()
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute("create table kept (id int)")
    async with _client(stack) as client:
        await client.set("kept", "yes")
    await stack.restart_valkey()
    await stack.restart_postgres()
    async with _client(stack) as client:
        assert await client.get("kept") == b"yes"
    with psycopg.connect(stack.database_url) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (0,)


def _client(stack: TestStack) -> Redis:
    return Redis.from_url(stack.redis_url)  # pyright: ignore[reportUnknownMemberType]
