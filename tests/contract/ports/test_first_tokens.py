"""What `FirstTokenCounts` keeps: sums of many writers over the last hour, and nothing older."""

import socket
from collections.abc import AsyncIterator
from functools import partial

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from shared import settings as all_settings
from shared.adapters.redis_connection import connect
from shared.adapters.redis_first_tokens import LIVES_S, RedisFirstTokens
from shared.domain.errors import Unavailable
from shared.domain.first_tokens import Noted
from shared.settings import Settings

NOW_MINUTE = 29_000_000


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Redis]:
    client = connect(settings.redis)
    yield client
    await client.aclose()


async def test_counts_of_all_writers_are_added_up_for_an_hour(client: Redis, redis_prefix: str) -> None:
    writers = [RedisFirstTokens(client, redis_prefix) for _ in range(2)]
    reader = RedisFirstTokens(client, redis_prefix, now=partial(float, NOW_MINUTE * 60 + 59))
    assert await reader.of_last_hour() == {}
    for writer in writers:
        await writer.add({Noted(NOW_MINUTE, "groq/a", 3): 2, Noted(NOW_MINUTE - 60, "groq/a", 3): 1})
        await writer.add({Noted(NOW_MINUTE, "groq/a b/ü:7", 0): 1, Noted(NOW_MINUTE - 61, "groq/old", 3): 9})
    assert await reader.of_last_hour() == {"groq/a": {3: 6}, "groq/a b/ü:7": {0: 2}}
    left_s = await client.ttl(f"{redis_prefix}first_tokens:{NOW_MINUTE}")
    assert LIVES_S - 60 < left_s <= LIVES_S


async def test_a_store_that_is_away_is_unavailable(redis_prefix: str) -> None:
    with socket.socket() as nobody:  # bound and not listening: connections are refused
        nobody.bind(("127.0.0.1", 0))
        url = SecretStr(f"redis://127.0.0.1:{nobody.getsockname()[1]}")
        away = connect(all_settings.Redis(url=url, prefix=redis_prefix))
        counts = RedisFirstTokens(away, redis_prefix)
        with pytest.raises(Unavailable):
            await counts.add({Noted(1, "groq/a", 3): 1})
        with pytest.raises(Unavailable):
            await counts.of_last_hour()
        await away.aclose()
