"""Tickets: they open one thing, for a while, and nothing else."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from shared.domain.events import Completed, Text
from shared.redaction import redact_text
from shared.settings import Settings
from tests.integration.api.accounts import new_user
from tests.integration.api.job_runner import JobRunner
from tests.integration.api.jobs import read, submit
from tests.served import Served, served
from tests.stack import eventually


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


async def handshake(api: Served, path: str, *, origin: str | None = None) -> int:
    """What a browser's WebSocket gets at a path."""
    url = api.url.replace("http", "ws", 1) + path
    try:
        async with connect(url, origin=None if origin is None else Origin(origin), proxy=None):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_a_ticket_opens_its_jobs_events_for_who_has_no_other_credential(api: Served):
    user = await new_user(api)
    async with JobRunner(api.front) as runner, api.client_with(user.token) as client:
        job_id = await submit(api, client=client)
        made = await client.post("/v2/tickets", json={"job_id": job_id})
        ticket = made.json()
        assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
        assert ticket == {
            "ticket": ticket["ticket"],
            "job_id": job_id,
            "expires_at": ticket["expires_at"],
            "events": f"/v2/jobs/{job_id}/events?ticket={ticket['ticket']}",
            "websocket": f"/v2/jobs/{job_id}/ws?ticket={ticket['ticket']}",
        }
        lasts = datetime.fromisoformat(ticket["expires_at"]) - datetime.now(UTC)
        assert timedelta(minutes=9) < lasts <= timedelta(minutes=10)
        attempt = await runner.begin(job_id)
        await attempt.say(Text("hello"))
        await attempt.end(Completed("stop"))
        async with api.stranger.stream("GET", ticket["events"]) as stream:
            assert [heard.type async for heard in read(stream)] == ["started", "text", "completed"]
        resumed = await api.stranger.get(ticket["events"], headers={"Last-Event-ID": "1.3"})
        assert resumed.status_code == 204
        assert await handshake(api, ticket["websocket"]) == 101
        assert await handshake(api, ticket["websocket"], origin=api.url) == 101
        assert await handshake(api, ticket["websocket"], origin="https://elsewhere.example") == 403


async def test_a_ticket_opens_nothing_else(api: Served):
    job_id, other = await submit(api), await submit(api)
    ticket = (await api.client.post("/v2/tickets", json={"job_id": job_id})).json()["ticket"]
    session = (await api.client.post("/v2/tickets", json={"session_id": "s"})).json()["ticket"]
    refused = {
        f"/v2/jobs/{other}/events?ticket={ticket}": 404,
        f"/v2/jobs/{job_id}/events?ticket={session}": 404,
        f"/v2/jobs/{job_id}/events?ticket={ticket}x": 401,
        f"/v2/jobs/{job_id}/events?ticket=": 401,
        f"/v2/jobs/{job_id}?ticket={ticket}": 401,
        f"/v2/jobs?ticket={ticket}": 401,
        f"/d/{ticket}/v2/jobs/{job_id}/events": 401,
    }
    async with asyncio.timeout(10):  # a stream that opened would not end
        answers = {path: (await api.stranger.get(path)).status_code for path in refused}
    assert answers == refused
    bearer = {"Authorization": f"Bearer {ticket}"}
    assert (await api.stranger.get(f"/v2/jobs/{job_id}/events", headers=bearer)).status_code == 401
    assert await handshake(api, f"/v2/jobs/{other}/ws?ticket={ticket}") == 404
    assert await handshake(api, f"/v2/jobs/{job_id}/ws?ticket={ticket}x") == 401
    assert await handshake(api, f"/v2/ws?ticket={ticket}") == 401
    # Who shows a ticket is judged by it, whatever else they show.
    assert (await api.client.get(f"/v2/jobs/{job_id}/events?ticket=nonsense")).status_code == 401


async def test_a_ticket_ends_but_not_what_it_opened(settings: Settings):
    clocks = settings.clocks.model_copy(update={"ticket": timedelta(seconds=1.5)})
    async with served(settings.model_copy(update={"clocks": clocks})) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        attempt = await runner.begin(job_id)
        ticket = (await api.client.post("/v2/tickets", json={"job_id": job_id})).json()
        async with api.stranger.stream("GET", ticket["events"], timeout=10) as stream:
            assert stream.status_code == 200
            events = read(stream)
            assert (await anext(events)).type == "started"

            async def is_over() -> bool:
                return await handshake(api, ticket["websocket"]) == 401

            await eventually(is_over)
            assert datetime.now(UTC) >= datetime.fromisoformat(ticket["expires_at"])
            await attempt.end(Completed("stop"))
            assert (await anext(events)).type == "completed"


async def test_a_ticket_does_not_outlive_the_credential_it_was_had_for(api: Served):
    job_id = await submit(api)
    soon = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    key = (await api.client.post("/v2/keys", json={"name": "k", "scopes": ["jobs"], "expires_at": soon})).json()
    async with api.client_with(key["secret"]) as client:
        ticket = (await client.post("/v2/tickets", json={"job_id": job_id})).json()
    assert datetime.fromisoformat(ticket["expires_at"]) <= datetime.fromisoformat(key["expires_at"])


async def test_a_session_has_tickets_too(api: Served):
    made = (await api.client.post("/v2/tickets", json={"session_id": "my chat?"})).json()
    assert made == {
        "ticket": made["ticket"],
        "session_id": "my chat?",
        "expires_at": made["expires_at"],
        "websocket": f"/ws/my%20chat%3F?ticket={made['ticket']}",
    }


async def test_tickets_are_for_the_own_jobs_and_a_wrong_wish_is_refused(api: Served):
    job_id = await submit(api)
    user = await new_user(api)
    async with api.client_with(user.token) as client:
        foreign = await client.post("/v2/tickets", json={"job_id": job_id})
        unknown = await client.post("/v2/tickets", json={"job_id": str(uuid4())})
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.json()["detail"] == unknown.json()["detail"]
    wishes: list[tuple[dict[str, Any], str | None]] = [
        ({}, None),
        ({"job_id": "x"}, "job_id"),
        ({"session_id": ""}, "session_id"),
        ({"colour": 1}, "colour"),
    ]
    wishes += [({"job_id": job_id, "session_id": "s"}, None), ({"session_id": "a\x00"}, "session_id")]
    wishes += [({"session_id": "a/b"}, "session_id"), ({"session_id": "x" * 201}, "session_id")]
    for wish, field in wishes:
        answer = await api.client.post("/v2/tickets", json=wish)
        assert (answer.status_code, answer.json().get("field")) == (422, field), answer.text


async def test_no_ticket_reaches_a_log_or_an_error(api: Served, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    job_id, other = await submit(api), await submit(api)
    with structlog.testing.capture_logs() as events:
        ticket = (await api.client.post("/v2/tickets", json={"job_id": job_id})).json()["ticket"]
        texts = [
            (await api.stranger.get(f"/v2/jobs/{path}?ticket={ticket}")).text
            for path in (f"{other}/events", f"{job_id}", "nonsense/events")
        ]
        await handshake(api, f"/v2/jobs/{other}/ws?ticket={ticket}")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("api", "shared"))]
    ours += [redact_text(record.getMessage()) for record in caplog.records if record.name.startswith("uvicorn")]
    told = "\n".join([*texts, *ours, *map(str, events)])
    assert ticket.rpartition(".")[2] not in told
