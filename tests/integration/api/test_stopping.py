"""An api process that is told to stop: its readers are sent away at once, and it leaves."""

import asyncio
import os
import re
import signal
import socket
import sys
from datetime import datetime
from pathlib import Path
from uuid import UUID

import httpx

from shared.database.engine import create_engine
from shared.database.reads import JobReads
from shared.domain.ids import JobId
from shared.domain.jobs import State
from shared.settings import Settings
from tests.integration.api.jobs import CHAT
from tests.quick_settings import ADMIN_TOKEN
from tests.served import bearer
from tests.stack import eventually

CHECKOUT = Path(__file__).parents[3]


def environment_of(settings: Settings) -> dict[str, str]:
    """The same settings, as another process reads them."""
    objects = settings.objects
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT),
        "SMARTSIP_REDIS__URL": settings.redis.url.get_secret_value(),
        "SMARTSIP_REDIS__PREFIX": settings.redis.prefix,
        "SMARTSIP_DATABASE__URL": settings.database.url.get_secret_value(),
        "SMARTSIP_OBJECTS__ENDPOINT_URL": objects.endpoint_url,
        "SMARTSIP_OBJECTS__ACCESS_KEY": objects.access_key.get_secret_value(),
        "SMARTSIP_OBJECTS__SECRET_KEY": objects.secret_key.get_secret_value(),
        "SMARTSIP_OBJECTS__BUCKET": objects.bucket,
        "SMARTSIP_ADMIN_TOKEN": ADMIN_TOKEN,
        "SMARTSIP_MASTER_KEY": settings.master_key.get_secret_value() if settings.master_key else "",
        "SMARTSIP_LOG_FORMAT": "json",
    }


async def test_a_stopping_process_ends_its_streams_with_a_time_to_come_back(settings: Settings):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "compose.api_main", "--fd", str(listener.fileno())),
            cwd="/",
            env=environment_of(settings),
            pass_fds=[listener.fileno()],
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    try:
        async with httpx.AsyncClient(base_url=url, headers=bearer(ADMIN_TOKEN), trust_env=False) as client:
            await eventually(lambda: is_up(client), within=30, expecting="the api")
            job_id = (await client.post("/v2/jobs", json=CHAT | {"on_disconnect": "cancel"})).json()["id"]
            async with client.stream("GET", f"/v2/jobs/{job_id}/events", timeout=10) as response:
                chunks = response.aiter_text()
                first = await anext(chunks)
                process.send_signal(signal.SIGTERM)
                rest = "".join([chunk async for chunk in chunks])
        pattern = r"retry: 2000\n: .*\n\nid: 0\.1\nevent: queued\ndata: .*\n\nretry: [1-3]\d\d\d\n\n"
        assert re.fullmatch(pattern, first + rest)
        assert await asyncio.wait_for(process.wait(), 10) in (0, -signal.SIGTERM)
        assert await state_of(settings, job_id) == (State.QUEUED, None)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def state_of(settings: Settings, job_id: str) -> tuple[State, datetime | None]:
    """A job's state, and when it was asked to stop."""
    engine = create_engine(settings.database)
    view = await JobReads(engine).get(JobId(UUID(job_id)), None)
    await engine.dispose()
    assert view is not None
    return view.state, view.cancel_requested_at


async def is_up(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health")).status_code == 200
    except httpx.TransportError:
        return False
