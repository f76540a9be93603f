"""Promises to users, kept by one whole system that is never broken for good: all of these tests use the same."""

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio

from compose.processes import free_port
from shared.domain.events import Cancelled, Restarted, Started
from tests.e2e.system import ConnectionBroke, Received, System, follow, listen, submit, whole_system
from tests.e2e.trouble import OPTIONS, WHOLE, Flush, assert_whole, long_answer, under_load
from tests.firmware import Device
from tests.images import photo
from tests.scripted_provider import ScriptedProvider, openai_stream
from tests.stack import eventually, private_stack

COMMAND = '{"volume":"200","degree":"80","type":"cup"}'

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    log_file = tmp_path_factory.mktemp("steady") / "system.log"
    servers = private_stack()
    try:
        with ScriptedProvider() as provider:
            async with whole_system(servers, provider, log_file, **OPTIONS) as system:
                await system.worker()
                yield system
    finally:
        servers.stop()


@pytest.fixture
def system(lasting: System) -> System:
    lasting.provider.exchanges.clear()
    lasting.provider.play(long_answer())
    return lasting


@pytest.fixture
def provider(system: System) -> ScriptedProvider:
    return system.provider


@pytest_asyncio.fixture(loop_scope="module")
async def client(system: System) -> AsyncGenerator[httpx.AsyncClient]:
    async with system.client() as client:
        yield client


async def test_a_flush_in_mid_stream_loses_no_job_and_no_event(system: System, client: httpx.AsyncClient) -> None:
    for received in await under_load(client, lambda: Flush(system.stack)):
        assert_whole(received)
        assert not any(isinstance(event, Restarted) for event in received.events)


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
    assert (quick.status, quick.body.lstrip(b" ").decode()) == (200, COMMAND)
    assert [frame.hex() for frame in quick.frames] == ["69995e130a"]
    slow = await device.touch("image_20241116_141108.jpg", photo(seed=2))
    assert slow.headers["transfer-encoding"] == "chunked"
    assert slow.body.decode().lstrip(" ") == COMMAND
    assert [frame.hex() for frame in slow.frames] == ["69995e130a"]


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
