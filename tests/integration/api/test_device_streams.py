"""A device that follows its job: events in its own form, over SSE and WebSocket, and of its own jobs only."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from shared.domain.errors import ProviderRejected
from shared.settings import Settings
from tests.images import photo
from tests.integration.api.devices import Registered, new_device
from tests.integration.api.jobs import Heard, read
from tests.integration.api.photo_device import JOBS, PhotoDevice, patient, readable, stored
from tests.integration.api.photo_runner import PhotoRunner
from tests.integration.api.test_websockets import close_code, hear, socket, tell
from tests.served import Served, served

STREAM = {"Accept": "text/event-stream"}
STARTED = {"type": "started", "provider": "demo", "model": "demo"}
COMPLETED = {"type": "completed", "finish_reason": "stop"}


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(patient(settings)) as running:
        yield running


@pytest.fixture
async def runner(api: Served) -> AsyncIterator[PhotoRunner]:
    async with PhotoRunner(api.front) as running:
        yield running


@pytest.fixture
async def device(api: Served) -> AsyncIterator[PhotoDevice]:
    registered = await new_device(api)
    async with api.client_with(registered.token) as client:
        yield PhotoDevice(api, registered, client)


def result(job_id: str, expires_at: str) -> dict[str, Any]:  # JSON
    return {
        "type": "result",
        "data": {
            "id": job_id,
            "state": "succeeded",
            "volume": 200,
            "degree": 80,
            "type": "cup",
            "expires_at": expires_at,
            "frames": [],
            "changed": [],
        },
    }


async def test_a_photo_is_answered_with_its_events(device: PhotoDevice, runner: PhotoRunner):
    answering = asyncio.create_task(runner.answer_next())
    async with device.client.stream("POST", JOBS, content=photo(), headers=STREAM, timeout=10) as response:
        heard = [event async for event in read(response)]
    job_id = str((await answering).id)
    expires_at = heard[2].data["data"]["expires_at"]
    assert (response.status_code, response.headers["location"]) == (200, f"{JOBS}/{job_id}")
    assert heard == [
        Heard("0.1", "queued", {"type": "queued"}),
        Heard("1.1", "started", STARTED),
        Heard("1.2", "result", result(job_id, expires_at)),
        Heard("1.3", "completed", COMPLETED),
    ]
    async with device.client.stream("POST", JOBS, content=photo(), headers=STREAM, timeout=10) as response:
        assert [event async for event in read(response)] == heard[1:]
    assert response.headers["idempotency-replayed"] == "true"
    assert await stored(device.api) == (1, 1)


async def test_a_job_is_followed_and_resumed(device: PhotoDevice, runner: PhotoRunner):
    job_id = await device.sent()
    await runner.answer_next()
    async with device.client.stream("GET", f"{JOBS}/{job_id}/events", timeout=10) as response:
        heard = [event async for event in read(response)]
    assert [event.type for event in heard] == ["started", "result", "completed"]
    async with device.client.stream("GET", f"{JOBS}/{job_id}/events?after=1.1", timeout=10) as response:
        assert [event async for event in read(response)] == heard[1:]
    last = {"Last-Event-ID": "1.3"}
    assert (await device.client.get(f"{JOBS}/{job_id}/events", headers=last)).status_code == 204
    assert device.api.front.subscriber.subscriptions == 0


async def test_a_failure_is_told_without_the_providers_words(device: PhotoDevice, runner: PhotoRunner):
    job_id = await device.sent()
    await runner.fail_next(ProviderRejected("volume 500, key sk-123").info())
    async with device.client.stream("GET", f"{JOBS}/{job_id}/events", timeout=10) as response:
        heard = [event async for event in read(response)]
    error = {"code": "provider_rejected", "title": "The provider rejected the request", "status": 422}
    assert heard[-1] == Heard("1.2", "failed", {"type": "failed", "error": error})


async def test_a_job_is_followed_over_a_websocket(device: PhotoDevice, runner: PhotoRunner):
    job_id = await device.sent()
    async with socket(device.api, f"{JOBS}/{job_id}/ws", token=device.registered.token) as websocket:
        assert await hear(websocket) == {"job_id": job_id, "id": "0.1", "type": "queued", "position": 0}
        await runner.answer_next()
        started, command, completed = [await hear(websocket) for _ in range(3)]
        assert started == {"job_id": job_id, "id": "1.1"} | STARTED
        expires_at = command["data"]["expires_at"]
        assert command == {"job_id": job_id, "id": "1.2"} | result(job_id, expires_at)
        assert completed == {"job_id": job_id, "id": "1.3"} | COMPLETED
        assert await close_code(websocket) == 1000


async def test_a_job_is_cancelled_over_its_websocket(device: PhotoDevice):
    job_id = await device.sent()
    async with socket(device.api, f"{JOBS}/{job_id}/ws", token=device.registered.token) as websocket:
        await hear(websocket)
        await tell(websocket, type="cancel", job_id=job_id)
        messages = [await hear(websocket), await hear(websocket)]
    assert {message["type"] for message in messages} == {"cancel", "cancelled"}
    assert (await device.get(job_id)).json()["state"] == "cancelled"


async def other_devices(api: Served) -> dict[str, Registered]:
    return {"the same owner's": await new_device(api), "another owner's": await new_device(api, owner_name="boris")}


async def test_another_devices_job_is_not_found(device: PhotoDevice):
    api, job_id = device.api, await device.sent()
    for other in (await other_devices(api)).values():
        async with api.client_with(other.token) as client:
            answers = [
                readable(await client.get(f"{JOBS}/{job_id}")),
                readable(await client.get(f"{JOBS}/{job_id}?wait=5")),
                readable(await client.get(f"{JOBS}/{job_id}/events")),
                readable(await client.post(f"{JOBS}/{job_id}/cancel")),
            ]
        assert [answer.status_code for answer in answers] == [404] * 4
        with pytest.raises(InvalidStatus) as refused:
            async with socket(api, f"{JOBS}/{job_id}/ws", token=other.token):
                pass
        assert refused.value.response.status_code == 404
    assert (await device.get(job_id)).json()["state"] == "queued"


async def test_its_owners_other_jobs_are_not_a_devices(device: PhotoDevice):
    job = {"kind": "chat", "input": {"messages": [{"role": "user", "content": "Hello"}]}}
    job_id = (await device.api.client.post("/v2/jobs", json=job)).json()["id"]
    assert (await device.get(job_id)).status_code == 404


async def test_its_owner_sees_a_devices_job_and_others_do_not(device: PhotoDevice):
    job_id = await device.sent()
    assert (await device.api.client.get(f"/v2/jobs/{job_id}")).json()["kind"] == "vision"
    made = await device.api.client.post("/v2/keys", json={"name": "x", "scopes": ["jobs"], "owner": "boris"})
    async with device.api.client_with(made.json()["secret"]) as boris:
        assert (await boris.get(f"/v2/jobs/{job_id}")).status_code == 404
