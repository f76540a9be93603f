"""Promises to users, kept by the whole system while its parts are killed, restarted and flushed under load."""

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import httpx
import pytest

from shared.domain.events import Restarted
from tests.e2e.system import (
    Received,
    System,
    follow,
    listen,
    state_of,
    submit,
    whole_system,
)
from tests.e2e.trouble import OPTIONS, STREAMS, WORDS, PostgresAway, ValkeyAway, assert_whole, long_answer, under_load
from tests.scripted_provider import ScriptedProvider, openai_stream
from tests.stack import TestStack, eventually, private_stack


@pytest.fixture
def provider() -> Generator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        provider.play(long_answer())
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
