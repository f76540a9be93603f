"""A batch over the whole system while workers and the api are killed: every photo gets one result per variant."""

import asyncio
import json
import random
import signal
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.e2e.system import System, whole_system
from tests.e2e.trouble import OPTIONS
from tests.images import photo
from tests.scripted_provider import Exchange, Reply, ScriptedProvider, answer, openai_stream
from tests.stack import TestStack, eventually

PHOTOS = 100
KILLS = 3
STEADY, SHAKY = "openai/steady", "openai/shaky"
MEANT = {
    "volume": 200,
    "degree": 60,
    "container": "cup",
    "contents": "tea",
    "receivable": True,
    "child_present": False,
    "fill_level": 0.1,
    "confidence": 0.9,
}
RESULTS = """
select item.variant, item.position, item.state, item.receivable, job.state,
    (select count(*) from finding where finding.job_id = item.job_id)
from batch_item as item join job on job.id = item.job_id order by item.variant, item.position
"""
ENDED_JOBS = """
select labels->>'variant', state, count(*) from job join job_body using (id)
where queue = 'batch' group by 1, 2 order by 1, 2
"""


def said(*, receivable: bool) -> Reply:
    meant = MEANT | {"receivable": receivable, "volume": 200 if receivable else 0}
    return openai_stream([json.dumps(meant)]).delayed(0.15)


@pytest.fixture
def provider() -> Generator[ScriptedProvider]:
    """Two models that disagree; one of them fails at every second call."""
    calls = iter(range(1_000_000))

    def shaky(_: Exchange) -> Reply:
        failed = answer({"error": {"message": "overloaded"}}, status=503)
        return failed if next(calls) % 2 else said(receivable=False)

    with ScriptedProvider() as provider:
        provider.play(said(receivable=True), model="steady")
        provider.play_with(shaky, model="shaky")
        yield provider


@pytest.fixture
async def system(stack: TestStack, provider: ScriptedProvider, tmp_path: Path) -> AsyncGenerator[System]:
    async with whole_system(
        stack, provider, tmp_path / "system.log", **OPTIONS, SMARTSIP_CLOCKS__BATCH_EVERY="0.2"
    ) as system:
        await system.worker(slots=20)
        yield system


async def upload(client: httpx.AsyncClient) -> None:
    async def one(seed: int) -> None:
        taken = await client.post("/v2/images", content=photo(24, 24, seed=seed))
        assert taken.status_code == 201, taken.text

    await asyncio.gather(*(one(seed) for seed in range(PHOTOS)))

    async def are_ready() -> bool:
        page = (await client.get("/v2/images", params={"state": "pending", "limit": 1})).json()
        return page["images"] == []

    await eventually(are_ready, within=30, expecting="the photos to be opened")


async def look(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """The batch, or nothing while the api is away."""
    try:
        return (await client.get(path)).json()
    except httpx.TransportError:
        return {}


async def ended(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    async def is_over() -> bool:
        return (await look(client, path)).get("ended_at") is not None

    await eventually(is_over, within=90, expecting="the end of the batch")
    return await look(client, path)


async def failures(client: httpx.AsyncClient, batch: dict[str, Any]) -> list[dict[str, Any]]:
    return (await client.get(batch["links"]["items"], params={"state": "failed", "limit": 1000})).json()["items"]


async def rows(system: System, statement: str) -> list[tuple[Any, ...]]:
    async with await psycopg.AsyncConnection.connect(system.environment["DATABASE_URL"]) as connection:
        return await (await connection.execute(statement.encode())).fetchall()


async def test_however_often_workers_die_every_photo_gets_one_result_per_variant(system: System) -> None:
    async with system.client() as client:
        await upload(client)
        wanted: dict[str, Any] = {"selection": {"filter": {}}, "variants": [{"model": STEADY}, {"model": SHAKY}]}
        batch = (await client.post("/v2/batches", json=wanted)).json()
        path = batch["links"]["self"]
        api, workers = system.processes[-2], [system.processes[-1]]

        for kill in range(1, KILLS + 1):

            async def is_on(part: int = kill) -> bool:
                progress = (await look(client, path)).get("progress", {})
                return progress.get("succeeded", 0) >= 2 * PHOTOS * part / (KILLS + 2)

            await eventually(is_on, within=60, expecting="the batch to go on")
            doomed = random.choice(workers)
            workers.remove(doomed)
            doomed.send_signal(signal.SIGKILL)
            if kill == 2:
                api.send_signal(signal.SIGKILL)
                api.wait(10)
                await system.api(system.port)
            workers.append(await system.worker(slots=20))

        batch = await ended(client, path)
        while batch["progress"]["failed"]:  # three times in a row the shaky one failed: as often as a job is tried
            assert {item["error"]["code"] for item in await failures(client, batch)} == {"provider_overloaded"}
            assert (await client.post(f"{path}/retry")).status_code == 200
            batch = await ended(client, path)

    assert batch["state"] == "completed"
    succeeded = {"photos": PHOTOS, "succeeded": PHOTOS, "failed": 0, "cancelled": 0, "deleted": 0, "pending": 0}
    for variant in batch["variants"]:
        assert {name: variant["progress"][name] for name in succeeded} == succeeded
    assert await rows(system, RESULTS) == [
        (variant, position, 2, receivable, 3, 1)
        for variant, receivable in ((1, True), (2, False))
        for position in range(PHOTOS)
    ]
    ended_well = [row for row in await rows(system, ENDED_JOBS) if row[1] == 3]
    assert ended_well == [("1", 3, PHOTOS), ("2", 3, PHOTOS)]
