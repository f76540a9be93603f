"""What tests of the library of photos share: a worker that opens images, and rows of photos and findings."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import insert

from shared.database.tables import finding, image
from shared.domain.ids import LOCAL_OWNER, new_job_id, uuid7
from shared.domain.jobs import Kind, Queue, State
from shared.settings import Settings
from tests.served import Served
from tests.stack import eventually
from workers.runtime import Runtime

JPEG = {"Content-Type": "image/jpeg"}


class Opener:
    """A worker that opens images when a test says so, as the real one does when it is rung."""

    def __init__(self, api: Served, runtime: Runtime) -> None:
        self._api = api
        self._runtime = runtime

    async def open_next(self) -> None:
        """Wait for an image that is to be opened, and open it."""

        async def is_waiting() -> bool:
            return bool(await self._waiting())

        await eventually(is_waiting, within=10, expecting="an image to be opened")
        await self.open_all()

    async def open_all(self) -> None:
        """Open whatever is to be opened now."""
        for job_id in await self._waiting():
            await self._runtime.runner.run(job_id)

    async def ready(self, content: bytes, *, client: httpx.AsyncClient | None = None, query: str = "") -> str:
        """Upload an image, open it, and return where it is."""
        answer = await (client or self._api.client).post(f"/v2/images{query}", content=content, headers=JPEG)
        assert answer.status_code == 201, answer.text
        await self.open_all()
        path: str = answer.json()["links"]["self"]
        return path

    async def while_asked(self, client: httpx.AsyncClient, path: str) -> httpx.Response:
        """Ask for something that has an image opened first, open it, and return the answer."""
        asking = asyncio.create_task(client.get(path))
        await self.open_next()
        return await asking

    async def _waiting(self) -> list[Any]:
        jobs = await self._api.front.reads.list(None, kind=Kind.UPLOAD, state=State.QUEUED, limit=100)
        return [job.id for job in reversed(jobs)]


@asynccontextmanager
async def opener_for(api: Served, settings: Settings) -> AsyncGenerator[Opener]:
    """Open a worker for uploads, which hears no bells."""
    runtime = await Runtime.open(settings, queues=[Queue.MEDIA], slots=4, decoders=1)
    try:
        await runtime.register()
        yield Opener(api, runtime)
    finally:
        await runtime.close()


async def client_of(api: Served, owner: str) -> httpx.AsyncClient:
    """Return a client with a key for images of an owner, to be closed by the caller."""
    scopes = ["images", "jobs"]
    made = await api.client.post("/v2/keys", json={"name": "a key", "scopes": scopes, "owner": owner})
    return api.client_with(made.json()["secret"])


async def add_photo(api: Served, *, owner_id: int = LOCAL_OWNER, **columns: Any) -> UUID:
    """Add a photo's row, without any content."""
    image_id = uuid7()
    values = {
        "id": image_id,
        "owner_id": owner_id,
        "sha256": sha256(image_id.bytes).digest(),
        "media_type": "image/jpeg",
        "size_bytes": 4000,
        "width": 240,
        "height": 240,
        "object_key": f"images/{owner_id}/{image_id}.jpg",
    }
    async with api.front.queries.transaction() as connection:
        await connection.execute(insert(image).values(values | columns))
    return image_id


async def add_finding(api: Served, image_id: UUID, *, owner_id: int = LOCAL_OWNER, **columns: Any) -> UUID:
    """Add what a job found in a photo, without the job."""
    job_id = new_job_id()
    values = {
        "job_id": job_id,
        "owner_id": owner_id,
        "image_id": image_id,
        "model": "demo/demo",
        "prompt": "smartsip@2",
        "profile": "smartsip-v0.1",
        "volume": 200,
        "degree": 80,
        "container": "cup",
        "contents": "tea",
        "receivable": True,
        "child_present": False,
        "is_safe_default": False,
        "is_changed": False,
    }
    async with api.front.queries.transaction() as connection:
        await connection.execute(insert(finding).values(values | columns))
    return job_id
