"""A new device over HTTP: one that sends a photo in one request and reads at most 512 bytes."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import func, select

from shared.database.tables import image, job
from shared.settings import Settings
from tests.images import photo
from tests.integration.api.devices import Registered
from tests.served import Served

JOBS = "/v2/devices/me/jobs"
MAX_BYTES = 512


def patient(settings: Settings, **limits: int) -> Settings:
    """Settings under which a device's job outlives a slow test."""
    clocks = settings.clocks.model_copy(update={"firmware_give_up": timedelta(seconds=15)})
    return settings.model_copy(update={"clocks": clocks, "limits": settings.limits.model_copy(update=limits)})


@dataclass
class PhotoDevice:
    """A device and its connection. Whatever it asks, the answer must be one it can read."""

    api: Served
    registered: Registered
    client: httpx.AsyncClient

    async def post(
        self,
        content: bytes | None = None,
        *,
        query: str = "",
        key: str | None = None,
        media_type: str | None = "image/jpeg",
    ) -> httpx.Response:
        """Send a photo."""
        headers = {"Content-Type": media_type} if media_type else {}
        headers |= {"Idempotency-Key": key} if key else {}
        body = photo() if content is None else content
        return readable(await self.client.post(f"{JOBS}{query}", content=body, headers=headers, timeout=20))

    async def sent(self, content: bytes | None = None, **how: Any) -> str:
        """Send a photo without waiting and return its job's id."""
        answer = await self.post(content, **how)
        assert answer.status_code in (200, 202), answer.text
        return answer.json()["id"]

    async def get(self, path: str) -> httpx.Response:
        """Ask about a job."""
        return readable(await self.client.get(f"{JOBS}/{path}", timeout=20))

    async def cancel(self, job_id: str) -> httpx.Response:
        """Cancel a job."""
        return readable(await self.client.post(f"{JOBS}/{job_id}/cancel", timeout=20))


def readable(answer: httpx.Response) -> httpx.Response:
    """Check what must hold for every answer a device gets, and return it."""
    headers = answer.headers
    assert len(answer.content) <= MAX_BYTES
    assert headers["content-length"] == str(len(answer.content))
    assert "date" in headers
    assert not {"transfer-encoding", "content-encoding"} & set(headers)
    assert not answer.is_redirect
    assert headers["cache-control"] == "no-store"
    if answer.is_error:
        assert headers["content-type"] == "application/problem+json"
        assert "volume" not in answer.text
        assert "degree" not in answer.text
    return answer


async def stored(api: Served) -> tuple[int, int]:
    """How many images and jobs there are, of all owners."""
    images = await api.front.queries.rows(select(func.count()).select_from(image))
    jobs = await api.front.queries.rows(select(func.count()).select_from(job))
    return images[0][0], jobs[0][0]
