"""What tests of jobs over HTTP share: bodies to submit, and reading streams as a client does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple

import httpx
import msgspec

from compose.sse import SseParser
from tests.served import Served

CHAT: dict[str, Any] = {  # JSON
    "kind": "chat",
    "model": "demo/demo",
    "input": {"messages": [{"role": "user", "content": "Why is the sky blue?"}]},
}


class Heard(NamedTuple):
    """One event as a client has it."""

    id: str
    type: str
    data: dict[str, Any]  # JSON


async def submit(api: Served, *, client: httpx.AsyncClient | None = None, **changes: Any) -> str:
    """Submit a chat and return its id."""
    answer = await (client or api.client).post("/v2/jobs", json=CHAT | changes)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


@asynccontextmanager
async def stream(
    api: Served, job_id: str, *, after: str | None = None, client: httpx.AsyncClient | None = None
) -> AsyncGenerator["Stream"]:
    """Follow a job's events; the connection is closed when the block is left."""
    headers = {"Last-Event-ID": after} if after else {}
    request = (client or api.client).stream("GET", f"/v2/jobs/{job_id}/events", headers=headers, timeout=10)
    async with request as response:
        assert response.status_code == 200, await response.aread()
        events = read(response)
        async with aclosing(events):
            yield Stream(response, events)


class Stream:
    """An open event stream."""

    def __init__(self, response: httpx.Response, events: AsyncGenerator[Heard]) -> None:
        self.response = response
        self._events = events

    async def next(self, within: float = 5.0) -> Heard:
        """Return the next event."""
        async with asyncio.timeout(within):
            return await anext(self._events)

    async def take(self, count: int) -> list[Heard]:
        """Return the next events."""
        return [await self.next() for _ in range(count)]

    async def rest(self, within: float = 10.0) -> list[Heard]:
        """Return everything until the server ends the stream."""
        async with asyncio.timeout(within):
            return [heard async for heard in self._events]


async def read(response: httpx.Response) -> AsyncGenerator[Heard]:
    """Read a response's events as they come."""
    parser = SseParser()
    async for chunk in response.aiter_bytes():
        for event in parser.feed(chunk):
            yield Heard(event.id, event.event, msgspec.json.decode(event.data))


async def all_events(api: Served, job_id: str, *, after: str | None = None) -> list[Heard]:
    """Return a job's events until its end."""
    async with stream(api, job_id, after=after) as events:
        return await events.rest()
