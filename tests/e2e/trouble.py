"""A stream long enough to be interrupted, the clocks it wants, and what may befall the servers meanwhile."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpx
from pydantic import SecretStr

from shared.adapters.redis_connection import connect
from shared.domain.events import Completed, Restarted, Started
from shared.settings import Redis as RedisSettings
from tests.e2e.system import Received, all_end, follow, listen, submit
from tests.scripted_provider import Reply, openai_stream
from tests.stack import TestStack

WORDS = [f"w{number} " for number in range(60)]
WHOLE = "".join(WORDS)
STREAMS = 20
OPTIONS = {
    # The fielded firmware's clocks are real ones here, and so is a provider that thinks for twelve seconds.
    "SMARTSIP_CLOCKS__FIRMWARE_ANSWER": "4",
    "SMARTSIP_CLOCKS__FIRMWARE_SPACE": "2",
    "SMARTSIP_CLOCKS__FIRMWARE_GIVE_UP": "15",
    "SMARTSIP_CLOCKS__PROVIDER_FIRST_DELTA": "20",
    # The provider is a thread of the test's own process, which stands still while that starts servers: a second of
    # silence, a test's clock for a provider that has died, would not be the system's doing.
    "SMARTSIP_CLOCKS__PROVIDER_IDLE": "10",
    # A worker that comes back after a kill of Valkey hears again within this.
    "SMARTSIP_CLOCKS__RING_AGAIN_AFTER": "1",
}


def long_answer() -> Reply:
    """Two seconds of words."""
    return openai_stream(WORDS).paced(30)


def assert_whole(received: Received) -> None:
    """Check that a reader has one attempt's every event, in order, and the whole text."""
    last = max(index for index, event in enumerate(received.events) if isinstance(event, Started | Restarted))
    ids = received.ids[last:]
    attempt = ids[0].partition(".")[0]
    assert ids == [f"{attempt}.{seq}" for seq in range(1, len(ids) + 1)]
    assert [type(event) for event in received.events].count(Completed) == 1
    assert isinstance(received.events[-1], Completed)
    assert received.reply.text == WHOLE


async def under_load(
    client: httpx.AsyncClient, trouble: Callable[[], AbstractAsyncContextManager[None]]
) -> list[Received]:
    """Run streams, with trouble in the middle and further submissions during it; return what every reader has."""
    first = [await submit(client, f"early {number}") for number in range(STREAMS)]
    readers = [asyncio.create_task(follow(client, job_id)) for job_id in first]
    received = Received(first[0])
    await listen(client, received, at_most=8)  # well in mid-stream
    async with trouble():
        during = [asyncio.create_task(submit(client, f"during {number}")) for number in range(STREAMS)]
        await asyncio.wait(during, timeout=1)
    later = [await task for task in during]
    readers += [asyncio.create_task(follow(client, job_id)) for job_id in later]
    assert await all_end(client, [*first, *later]) == ["succeeded"] * (2 * STREAMS)
    return [await reader for reader in readers]


class Flush:
    """Valkey forgets everything."""

    def __init__(self, stack: TestStack) -> None:
        self._stack = stack

    async def __aenter__(self) -> None:
        redis = connect(RedisSettings(url=SecretStr(self._stack.redis_url)))
        await redis.execute_command("FLUSHALL")  # pyright: ignore[reportUnknownMemberType]
        await redis.aclose()

    async def __aexit__(self, *exc: object) -> None:
        return None


class ValkeyAway:
    """Valkey is killed, and started again when the context is left."""

    def __init__(self, stack: TestStack) -> None:
        self._stack = stack

    async def __aenter__(self) -> None:
        await self._stack.kill_valkey()

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.start_valkey()


class PostgresAway:
    """PostgreSQL is stopped, and started again when the context is left."""

    def __init__(self, stack: TestStack) -> None:
        self._stack = stack

    async def __aenter__(self) -> None:
        await self._stack.stop_postgres()

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.start_postgres()
