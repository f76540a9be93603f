"""Jobs over WebSockets: one, many, cancelled from the client, and what ends a socket."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from api.scopes import Scope
from shared.domain.events import Cancelled, Completed, Text
from shared.settings import Settings
from tests.integration.api.job_runner import JobRunner
from tests.integration.api.jobs import submit
from tests.quick_settings import ADMIN_TOKEN
from tests.served import Served, bearer, served
from tests.stack import eventually


@asynccontextmanager
async def socket(
    api: Served, path: str = "/v2/ws", *, token: str = ADMIN_TOKEN, headers: dict[str, str] | None = None
) -> AsyncGenerator[ClientConnection]:
    """An open WebSocket."""
    url = api.url.replace("http://", "ws://") + path
    async with connect(url, additional_headers=bearer(token) | (headers or {}), proxy=None) as websocket:
        yield websocket


async def tell(websocket: ClientConnection, **message: Any) -> None:
    await websocket.send(json.dumps(message))


async def hear(websocket: ClientConnection) -> dict[str, Any]:  # JSON
    async with asyncio.timeout(5):
        return json.loads(await websocket.recv())


async def close_code(websocket: ClientConnection) -> int | None:
    """Wait until the server closes the socket."""
    async with asyncio.timeout(5):
        try:
            while True:
                await websocket.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


async def test_one_job_is_followed_to_its_end_and_the_socket_closes(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        async with socket(api, f"/v2/jobs/{job_id}/ws") as websocket:
            assert await hear(websocket) == {"job_id": job_id, "id": "0.1", "type": "queued", "position": 0}
            attempt = await runner.begin(job_id)
            await attempt.say(Text("ü\n\u2028"))
            await attempt.end(Completed("stop"))
            heard = [await hear(websocket) for _ in range(3)]
            assert heard == [
                {"job_id": job_id, "id": "1.1", "type": "started", "provider": "demo", "model": "demo"},
                {"job_id": job_id, "id": "1.2", "type": "text", "text": "ü\n\u2028"},
                {"job_id": job_id, "id": "1.3", "type": "completed", "finish_reason": "stop"},
            ]
            assert await close_code(websocket) == 1000
        async with socket(api, f"/v2/jobs/{job_id}/ws?after=1.2") as websocket:
            assert await hear(websocket) == heard[2]
        await eventually(lambda: has_readers(api, 0))


async def test_many_jobs_are_followed_over_one_socket(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner, socket(api) as websocket:
        jobs = [await submit(api) for _ in range(20)]
        attempts = [await runner.begin(job_id) for job_id in jobs]
        for job_id in jobs:
            await tell(websocket, type="follow", job_id=job_id)
        await asyncio.gather(*(attempt.say(Text(job_id)) for attempt, job_id in zip(attempts, jobs, strict=True)))
        for attempt in attempts:
            await attempt.end(Completed("stop"))
        heard: dict[str, list[str]] = {}
        for _ in range(3 * len(jobs)):
            message = await hear(websocket)
            heard.setdefault(message["job_id"], []).append(message["type"])
        assert heard == {job_id: ["started", "text", "completed"] for job_id in jobs}
        await tell(websocket, type="follow", job_id=jobs[0], after="1.2")
        assert await hear(websocket) == {
            "job_id": jobs[0],
            "id": "1.3",
            "type": "completed",
            "finish_reason": "stop",
        }
        await tell(websocket, type="follow", job_id=jobs[0], after="1.3")
        assert await hear(websocket) == {"type": "end", "job_id": jobs[0]}
        assert api.front.hub.open_readers == 0


async def test_a_job_is_cancelled_over_the_socket(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner, socket(api) as websocket:
        job_id = await submit(api)
        attempt = await runner.begin(job_id)
        await tell(websocket, type="follow", job_id=job_id)
        assert (await hear(websocket))["type"] == "started"
        await tell(websocket, type="cancel", job_id=job_id)

        async def is_asked() -> bool:
            return (await api.client.get(f"/v2/jobs/{job_id}")).json()["cancel_requested_at"] is not None

        await eventually(is_asked)
        await attempt.end(Cancelled(phase="streaming", provider_stops_billing="no"))
        messages = [await hear(websocket), await hear(websocket)]
        assert {"type": "cancel", "job_id": job_id, "state": "cancelled"} in messages
        assert {
            "job_id": job_id,
            "id": "1.2",
            "type": "cancelled",
            "phase": "streaming",
            "provider_stops_billing": "no",
        } in messages


async def test_unfollowing_ends_the_events_and_not_the_job(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner, socket(api) as websocket:
        job_id = await submit(api, on_disconnect="cancel")
        attempt = await runner.begin(job_id)
        await tell(websocket, type="follow", job_id=job_id)
        assert (await hear(websocket))["type"] == "started"
        await tell(websocket, type="unfollow", job_id=job_id)
        await eventually(lambda: has_readers(api, 0))
        await attempt.say(Text("unheard"))
        await attempt.end(Completed("stop"))
        await tell(websocket, type="follow", job_id=job_id, after="1.2")
        assert (await hear(websocket))["type"] == "completed"


async def test_what_cannot_be_understood_is_answered_and_the_socket_stays(settings: Settings):
    async with served(settings) as api, socket(api) as websocket:
        job_id = await submit(api)
        nobody = "0198f3b0-0000-7000-8000-000000000000"
        for message, code, field in (
            ("{", "malformed_request", None),
            ("{}", "invalid_request", "type"),
            ('{"type":"sing"}', "invalid_request", "type"),
            ('{"type":"follow"}', "invalid_request", "job_id"),
            ('{"type":"follow","job_id":"x"}', "invalid_request", "job_id"),
            (f'{{"type":"follow","job_id":"{nobody}"}}', "not_found", None),
            (f'{{"type":"cancel","job_id":"{nobody}"}}', "not_found", None),
            (f'{{"type":"unfollow","job_id":"{nobody}"}}', "not_found", "job_id"),
            (f'{{"type":"follow","job_id":"{job_id}","after":"x"}}', "invalid_request", "after"),
            (f'{{"type":"follow","job_id":"{job_id}","after":"9.9"}}', "invalid_request", "after"),
            (f'{{"type":"follow","job_id":"{job_id}","before":"1.1"}}', "invalid_request", "before"),
        ):
            await websocket.send(message)
            answer = await hear(websocket)
            assert answer["type"] == "error"
            assert (answer["problem"]["code"], answer["problem"].get("field")) == (code, field), message
        await tell(websocket, type="follow", job_id=job_id)
        assert (await hear(websocket))["type"] == "queued"
        await tell(websocket, type="follow", job_id=job_id)
        assert (await hear(websocket))["problem"]["code"] == "conflict"


async def test_another_owners_job_is_not_there(settings: Settings):
    async with served(settings) as api:
        new = await api.front.keys.create(
            owner_name="somebody", name="key", scopes=frozenset({Scope.JOBS}), expires_at=None
        )
        job_id = await submit(api)
        async with socket(api, token=new.secret) as websocket:
            for kind in ("follow", "cancel"):
                await tell(websocket, type=kind, job_id=job_id)
                assert (await hear(websocket))["problem"]["code"] == "not_found"
        with pytest.raises(InvalidStatus) as refusal:
            async with socket(api, f"/v2/jobs/{job_id}/ws", token=new.secret):
                pass
        assert refusal.value.response.status_code == 404


async def test_handshakes_are_refused_as_http(settings: Settings):
    async with served(settings) as api:
        job_id = await submit(api)
        for path, token, headers, status in (
            ("/v2/ws", "wrong", {}, 401),
            ("/v2/ws", ADMIN_TOKEN, {"Origin": "https://evil.example"}, 403),
            ("/v2/ws", ADMIN_TOKEN, {"Origin": "https://[evil"}, 403),
            ("/v2/ws?x=1", ADMIN_TOKEN, {}, 422),
            (f"/v2/jobs/{job_id}/ws?after=x", ADMIN_TOKEN, {}, 422),
            (f"/v2/jobs/{job_id}/ws?after=9.9", ADMIN_TOKEN, {}, 422),
            ("/v2/jobs/0198f3b0-0000-7000-8000-000000000000/ws", ADMIN_TOKEN, {}, 404),
        ):
            with pytest.raises(InvalidStatus) as refusal:
                async with socket(api, path, token=token, headers=headers):
                    pass
            assert refusal.value.response.status_code == status, path
        async with socket(api, headers={"Origin": api.url}) as websocket:
            await tell(websocket, type="follow", job_id=job_id)
            assert (await hear(websocket))["type"] == "queued"
        await eventually(lambda: has_readers(api, 0))


async def test_a_browser_brings_its_credential_as_a_subprotocol(settings: Settings):
    async with served(settings) as api:
        job_id = await submit(api)
        url = api.url.replace("http://", "ws://") + f"/v2/jobs/{job_id}/ws"
        offered = [Subprotocol("smartsip"), Subprotocol(f"bearer.{ADMIN_TOKEN}")]
        async with connect(url, subprotocols=offered, proxy=None) as websocket:
            assert websocket.subprotocol == "smartsip"
            assert (await hear(websocket))["type"] == "queued"


@pytest.mark.parametrize(("message", "code"), [(b"bytes", 1003), ("x" * 70_000, 1009)])
async def test_messages_of_the_wrong_kind_or_size_close_the_socket(settings: Settings, message: bytes | str, code: int):
    async with served(settings) as api, socket(api) as websocket:
        await websocket.send(message)
        assert await close_code(websocket) == code


async def test_a_server_that_drains_says_come_back(settings: Settings):
    async with served(settings) as api, socket(api) as websocket, socket(api) as idle:
        job_id = await submit(api, on_disconnect="cancel")
        await tell(websocket, type="follow", job_id=job_id)
        assert (await hear(websocket))["type"] == "queued"
        api.front.hub.drain()
        assert (await close_code(websocket), await close_code(idle)) == (1001, 1001)
        assert (await api.client.get(f"/v2/jobs/{job_id}")).json()["state"] == "queued"


async def test_a_socket_does_not_outlive_its_credential(settings: Settings):
    async with served(settings) as api:
        new = await api.front.keys.create(
            owner_name="somebody",
            name="key",
            scopes=frozenset({Scope.JOBS}),
            expires_at=datetime.now(UTC) + timedelta(seconds=0.5),
        )
        async with socket(api, token=new.secret) as websocket:
            assert await close_code(websocket) == 1008


async def test_a_job_whose_policy_is_cancel_is_cancelled_when_the_socket_goes(settings: Settings):
    async with served(settings) as api:
        for follows_many in (True, False):
            job_id = await submit(api, on_disconnect="cancel")
            async with socket(api, "/v2/ws" if follows_many else f"/v2/jobs/{job_id}/ws") as websocket:
                if follows_many:
                    await tell(websocket, type="follow", job_id=job_id)
                assert (await hear(websocket))["type"] == "queued"
            await eventually(lambda job_id=job_id: is_cancelled(api, job_id))
        assert api.front.subscriber.subscriptions == 0


async def is_cancelled(api: Served, job_id: str) -> bool:
    return (await api.client.get(f"/v2/jobs/{job_id}")).json()["state"] == "cancelled"


async def has_readers(api: Served, count: int) -> bool:
    return api.front.hub.open_readers == count
