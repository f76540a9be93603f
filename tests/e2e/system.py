"""The whole system as an operator runs it on existing services: `smartsip migrate`, `api` and `worker` as processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, cast

import httpx
import msgspec
import psycopg

from compose.processes import free_port
from shared.domain.events import Event, Reply, fold
from shared.domain.jobs import TERMINAL
from tests.forks import Forked, fork
from tests.quick_settings import ADMIN_TOKEN, quick_clocks
from tests.scripted_provider import ScriptedProvider
from tests.stack import TestStack, administer, database_named, eventually, make_bucket

CHECKOUT = Path(__file__).parents[2]
MODEL = "openai/scripted"
_event = msgspec.json.Decoder[Event](Event)
_templates: dict[str, str] = {}
"""By server, the database that is cloned for each system."""


class ConnectionBroke(Exception):
    """The stream ended before its terminal event."""


@dataclass
class Received:
    """What one reader has of one job, over as many connections as it took."""

    job_id: str
    ids: list[str] = field(default_factory=list[str])
    events: list[Event] = field(default_factory=list[Event])

    @property
    def has_ended(self) -> bool:
        return bool(self.events) and type(self.events[-1]).__name__ in {"Completed", "Failed", "Cancelled", "Expired"}

    @property
    def reply(self) -> Reply:
        return fold(self.events)


@dataclass
class System:
    """Servers of its own, one api, and workers to be killed."""

    stack: TestStack
    provider: ScriptedProvider
    environment: dict[str, str]
    port: int
    log: TextIO
    processes: list[Forked] = field(default_factory=list[Forked])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, *, port: int | None = None) -> httpx.AsyncClient:
        """Return a client that shows the administrator's token, at the first api or the one with a port."""
        return httpx.AsyncClient(
            base_url=self.url if port is None else f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
            timeout=30,
            limits=httpx.Limits(max_connections=500, max_keepalive_connections=500),
            trust_env=False,
        )

    def run(self, *command: str) -> Forked:
        """Start a `smartsip` command."""
        log = self.log.fileno()
        with Path(os.devnull).open() as nothing:
            process = fork("compose.cli", command, environment=self.environment, streams=(nothing.fileno(), log, log))
        self.processes.append(process)
        return process

    async def api(self, port: int) -> Forked:
        """Start an api and wait until it answers."""
        process = self.run("api", "--port", str(port))

        async def answers() -> bool:
            assert process.poll() is None, "the api ended: see the log above"
            return await _answers(self, port)

        await eventually(answers, within=60, expecting="the api's readiness")
        return process

    async def worker(self, *, slots: int = 100) -> Forked:
        """Start a worker for every queue and wait until it counts."""
        before = await self._newest_worker()
        process = self.run("worker", "--concurrency", str(slots))

        async def counts() -> bool:
            assert process.poll() is None, "the worker ended: see the log above"
            return await self._newest_worker() > before

        await eventually(counts, within=60, expecting="the worker's registration")
        return process

    async def _newest_worker(self) -> int:
        url = self.environment["DATABASE_URL"]
        async with await psycopg.AsyncConnection.connect(url) as connection:
            cursor = await connection.execute("select coalesce(max(id), 0) from worker")
            return int((await cursor.fetchone() or (0,))[0])

    def end(self) -> None:
        """Kill what is left."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


@asynccontextmanager
async def whole_system(
    stack: TestStack, provider: ScriptedProvider, log_file: Path, **extra: str
) -> AsyncGenerator[System]:
    """Migrate and start an api; stop everything in the end and show the log where a test failed."""
    clocks = {
        f"SMARTSIP_CLOCKS__{name.upper()}": str(value.total_seconds()) for name, value in iter(quick_clocks()) if value
    }
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(CHECKOUT),
        "REDIS_URL": stack.redis_url,
        "MINIO_ENDPOINT_URL": stack.objects.endpoint_url,
        "MINIO_ACCESS_KEY": stack.objects.access_key,
        "MINIO_SECRET_KEY": stack.objects.secret_key,
        "SMARTSIP_OBJECTS__BUCKET": make_bucket(stack),
        "SMARTSIP_ADMIN_TOKEN": ADMIN_TOKEN,
        "SMARTSIP_MASTER_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "SMARTSIP_DEFAULT_MODEL": MODEL,
        "SMARTSIP_FIRMWARE_ACCESS": "open",
        "OPENAI_API_KEY": "sk-scripted",
        "OPENAI_BASE_URL": provider.openai_url,
        **clocks,
        **extra,
    }
    with log_file.open("w") as log:
        system = System(stack, provider, environment, free_port(), log)
        try:
            environment["DATABASE_URL"] = await asyncio.to_thread(_migrated_database, system)
            await system.api(system.port)
            yield system
        except BaseException:
            _show(log_file)
            raise
        finally:
            system.end()


def _migrated_database(system: System) -> str:
    """Make a database as `smartsip migrate` makes it, which runs once for each server, and return its URL."""
    server_url = system.stack.database_url
    if server_url not in _templates:
        template = f"template_{os.urandom(6).hex()}"
        administer(server_url, f'create database "{template}"')
        system.environment["DATABASE_URL"] = database_named(server_url, template)
        assert system.run("migrate").wait(60) == 0
        _templates[server_url] = template
    name = f"whole_{os.urandom(6).hex()}"
    administer(server_url, f'create database "{name}" template "{_templates[server_url]}" strategy file_copy')
    return database_named(server_url, name)


def _show(log_file: Path) -> None:
    sys.stderr.write(log_file.read_text()[-20_000:])


async def _answers(system: System, port: int) -> bool:
    async with system.client(port=port) as client:
        try:
            return (await client.get("/health/ready")).status_code == 200
        except httpx.TransportError:
            return False


async def submit(client: httpx.AsyncClient, text: str = "Hello", **fields: Any) -> str:
    """Submit a chat as a well-behaved client: with a key, again where the answer was lost or told to wait."""
    body = {"kind": "chat", "input": {"messages": [{"role": "user", "content": text}]}} | fields
    headers = {"Idempotency-Key": os.urandom(16).hex()}
    async with asyncio.timeout(30):
        while True:
            try:
                response = await client.post("/v2/jobs", json=body, headers=headers)
            except httpx.TransportError:
                continue
            if response.status_code == 503:
                continue
            assert response.status_code in (200, 202), response.text
            return cast(str, response.json()["id"])


async def listen(client: httpx.AsyncClient, received: Received, *, at_most: int | None = None) -> None:
    """Read a job's events into `received`, from where it stands, over one connection.

    Stops after `at_most` events, as a reader whose network went away.

    Raises:
        ConnectionBroke: if the stream ended without a terminal event.
    """
    headers = {"Last-Event-ID": received.ids[-1]} if received.ids else {}
    count = 0
    try:
        async with client.stream("GET", f"/v2/jobs/{received.job_id}/events", headers=headers) as response:
            assert response.status_code == 200, (await response.aread()).decode()
            async for event_id, event in _frames(response.aiter_lines()):
                received.ids.append(event_id)
                received.events.append(event)
                count += 1
                if received.has_ended or count == at_most:
                    return
    except httpx.TransportError as error:
        raise ConnectionBroke from error
    raise ConnectionBroke


async def follow(client: httpx.AsyncClient, job_id: str, *, within: float = 40) -> Received:
    """Read a job to its end, coming back as often as it takes."""
    received = Received(job_id)
    async with asyncio.timeout(within):
        while not received.has_ended:
            try:
                await listen(client, received)
            except (ConnectionBroke, AssertionError):
                await state_of(client, job_id)
    return received


async def state_of(client: httpx.AsyncClient, job_id: str) -> str | None:
    """Return a job's state, or None while the system cannot say."""
    try:
        response = await client.get(f"/v2/jobs/{job_id}")
    except httpx.TransportError:
        return None
    return cast(str, response.json()["state"]) if response.status_code == 200 else None


async def all_end(client: httpx.AsyncClient, job_ids: Sequence[str], *, within: float = 40) -> list[str]:
    """Wait until every job has ended; return their states, with the reason where one failed."""

    async def have_ended() -> bool:
        states = [await state_of(client, job_id) for job_id in job_ids]
        return all(state in TERMINAL for state in states)

    await eventually(have_ended, within=within, expecting="the end of every accepted job")
    return [await _end_of(client, job_id) for job_id in job_ids]


async def _end_of(client: httpx.AsyncClient, job_id: str) -> str:
    job = (await client.get(f"/v2/jobs/{job_id}")).json()
    error = job["error"]
    return cast(str, job["state"]) if error is None else f"{job['state']}: {error['code']}: {error['detail']}"


async def _frames(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, Event]]:
    event_id = ""
    async for line in lines:
        if line.startswith("id: "):
            event_id = line[4:]
        elif line.startswith("data: "):
            yield event_id, _event.decode(line[6:])
