"""Promises to users, kept by the whole system while its parts are killed, restarted and flushed under load."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from compose.processes import free_port
from shared.adapters.redis_connection import connect
from shared.domain.events import Cancelled, Completed, Restarted, Started
from shared.settings import Redis as RedisSettings
from tests.e2e.system import (
    ConnectionBroke,
    Received,
    System,
    all_end,
    follow,
    listen,
    state_of,
    submit,
    whole_system,
)
from tests.firmware import Device
from tests.images import photo
from tests.scripted_provider import ScriptedProvider, openai_stream
from tests.stack import TestStack, eventually, private_stack

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
COMMAND = '{"volume":"200","degree":"80","type":"cup"}'


@pytest.fixture
def provider() -> Generator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        provider.play(openai_stream(WORDS).paced(30))
        yield provider


@pytest.fixture(scope="module")
def servers() -> Generator[TestStack]:
    """Servers that these tests may kill; each test has a database of its own on them."""
    servers = private_stack()
    yield servers
    servers.stop()


@pytest.fixture
async def system(servers: TestStack, provider: ScriptedProvider, tmp_path: Path) -> AsyncGenerator[System]:
    async with whole_system(servers, provider, tmp_path / "system.log", **OPTIONS) as system:
        await system.worker()
        yield system


@pytest.fixture
async def client(system: System) -> AsyncGenerator[httpx.AsyncClient]:
    async with system.client() as client:
        yield client


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


async def test_a_flush_in_mid_stream_loses_no_job_and_no_event(system: System, client: httpx.AsyncClient) -> None:
    for received in await under_load(client, lambda: Flush(system.stack)):
        assert_whole(received)
        assert not any(isinstance(event, Restarted) for event in received.events)


async def test_valkey_killed_and_restarted_loses_no_job_and_no_event(system: System, client: httpx.AsyncClient) -> None:
    for received in await under_load(client, lambda: ValkeyAway(system.stack)):
        assert_whole(received)


async def test_postgresql_restarted_loses_no_job_and_splices_nothing(system: System, client: httpx.AsyncClient) -> None:
    for received in await under_load(client, lambda: PostgresAway(system.stack)):
        assert_whole(received)


async def test_a_killed_worker_loses_no_job_and_splices_nothing(
    system: System, client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    doomed = system.processes[-1]
    provider.play(openai_stream(WORDS).paced(10))  # none ends before the last has begun, on a busy machine either
    jobs = [await submit(client) for _ in range(STREAMS)]
    readers = [asyncio.create_task(follow(client, job_id)) for job_id in jobs]
    await listen(client, Received(jobs[-1]), at_most=8)
    assert {await state_of(client, job_id) for job_id in jobs} == {"running"}
    asked = len(provider.exchanges)
    killed_at = time.monotonic()
    doomed.send_signal(signal.SIGKILL)
    await system.worker()
    await provider.until(lambda: len(provider.exchanges) >= asked + STREAMS, timeout_s=12)
    assert time.monotonic() - killed_at < 1.5 + 10  # the lease, and ten seconds
    for reader in readers:
        received = await reader
        assert_whole(received)
        assert sum(isinstance(event, Restarted) for event in received.events) == 1


async def test_a_stopped_worker_that_goes_on_changes_nothing(system: System, client: httpx.AsyncClient) -> None:
    zombie = system.processes[-1]
    jobs = [await submit(client) for _ in range(STREAMS)]
    readers = [asyncio.create_task(follow(client, job_id)) for job_id in jobs]
    await listen(client, Received(jobs[-1]), at_most=8)
    zombie.send_signal(signal.SIGSTOP)
    await system.worker()
    restarted = Received(jobs[-1])

    async def has_restarted() -> bool:
        restarted.ids.clear()
        restarted.events.clear()
        await listen(client, restarted, at_most=1)
        return isinstance(restarted.events[0], Restarted)

    await eventually(has_restarted, within=12, expecting="another attempt at a frozen worker's job")
    zombie.send_signal(signal.SIGCONT)
    for reader in readers:
        assert_whole(await reader)


async def test_two_hundred_disconnects_and_resumes_give_the_same_bytes(
    system: System, client: httpx.AsyncClient
) -> None:
    seed = int.from_bytes(os.urandom(4))
    chance = random.Random(seed)
    jobs = [await submit(client) for _ in range(10)]
    early = [asyncio.create_task(follow(client, job_id)) for job_id in jobs]
    wanderers = [Received(job_id) for job_id in jobs for _ in range(4)]
    breaks = 0
    while not all(wanderer.has_ended for wanderer in wanderers):
        for wanderer in wanderers:
            if not wanderer.has_ended:
                await listen(client, wanderer, at_most=chance.randint(1, 5))
                breaks += 1
    assert breaks >= 200, f"seed {seed}"
    by_job = {received.job_id: received for received in [await task for task in early]}
    for wanderer in wanderers:
        assert_whole(wanderer)
        # Someone who comes later may find `queued` gone, which is told only before the first attempt.
        assert wanderer.ids[-10:] == by_job[wanderer.job_id].ids[-10:], f"seed {seed}"
        assert wanderer.reply == by_job[wanderer.job_id].reply, f"seed {seed}"


async def test_a_reader_of_a_killed_api_goes_on_at_another_with_nothing_missing_or_doubled(
    system: System,
) -> None:
    port = free_port()
    doomed = await system.api(port)
    async with system.client(port=port) as near, system.client() as far:
        chat = (await near.post("/v2/chats", json={"title": "Tea"})).json()
        asked = await near.post(f"/v2/chats/{chat['id']}/messages", json={"text": "Which tea?"})
        received = Received(asked.json()["id"])
        reading = asyncio.create_task(listen(near, received))
        await eventually(lambda: _has(received, 8), within=20, expecting="the middle of the stream")
        doomed.kill()
        with pytest.raises(ConnectionBroke):
            await reading
        assert not received.has_ended
        while not received.has_ended:
            await listen(far, received)
        assert_whole(received)
        assert [type(event) for event in received.events].count(Restarted) == 0
        messages = (await far.get(f"/v2/chats/{chat['id']}/messages")).json()["messages"]
        assert [(message["role"], message["text"]) for message in messages] == [
            ("user", "Which tea?"),
            ("assistant", WHOLE),
        ]


async def _has(received: Received, count: int) -> bool:
    return len(received.events) >= count


async def test_a_cancel_reaches_the_provider_within_half_a_second(
    system: System, client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    job_id = await submit(client)
    received = Received(job_id)
    await listen(client, received, at_most=5)
    asked_at = time.monotonic()
    answer = await client.post(f"/v2/jobs/{job_id}/cancel")
    assert await provider.wait_closed() - asked_at < 0.5
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    await listen(client, received)
    assert isinstance(received.events[-1], Cancelled)
    assert (received.events[-1].phase, received.events[-1].provider_stops_billing) == ("streaming", "yes")
    again = await client.post(f"/v2/jobs/{job_id}/cancel")
    assert (again.status_code, again.json()) == (200, answer.json())


async def test_the_fielded_firmware_gets_its_command_at_once_and_after_twelve_seconds(
    system: System, provider: ScriptedProvider
) -> None:
    device = Device(system.url)
    provider.play(openai_stream([COMMAND]), openai_stream([COMMAND]).delayed(12))
    quick = await device.touch("image_20241116_141107.jpg", photo())
    assert (quick.status, quick.body.decode()) == (200, COMMAND)
    assert [frame.hex() for frame in quick.frames] == ["69995e130a"]
    slow = await device.touch("image_20241116_141108.jpg", photo(seed=2))
    assert slow.headers["transfer-encoding"] == "chunked"
    assert slow.body.decode().lstrip(" ") == COMMAND
    assert [frame.hex() for frame in slow.frames] == ["69995e130a"]


async def test_rolling_every_worker_under_load_costs_no_job(system: System, client: httpx.AsyncClient) -> None:
    jobs = [await submit(client) for _ in range(STREAMS)]
    readers = [asyncio.create_task(follow(client, job_id)) for job_id in jobs]
    await listen(client, Received(jobs[-1]), at_most=5)
    old = system.processes[-1]
    old.send_signal(signal.SIGTERM)
    await system.worker()
    assert await asyncio.to_thread(old.wait, 15) == 0
    for reader in readers:
        assert_whole(await reader)


async def read_all(client: httpx.AsyncClient, job_id: str) -> Received:
    """Read a finished job from its archive."""
    received = Received(job_id)
    try:
        await listen(client, received)
    except ConnectionBroke as error:
        raise AssertionError("the archive is not whole") from error
    return received


async def test_a_finished_stream_replays_after_redis_forgot_it(system: System, client: httpx.AsyncClient) -> None:
    job_id = await submit(client)
    live = await follow(client, job_id)
    async with Flush(system.stack):  # pyright: ignore[reportGeneralTypeIssues]
        replayed = await read_all(client, job_id)
    first = next(index for index, event in enumerate(live.events) if isinstance(event, Started))
    assert (replayed.ids, replayed.events) == (live.ids[first:], live.events[first:])
