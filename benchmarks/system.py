"""The system under test: `smartsip up` on loopback, in a directory of its own, pointed at the mock provider."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import psycopg

from benchmarks.machine import cpu_by_role
from benchmarks.plan import DeviceKeys
from compose.errors import CannotStart
from compose.objects import BUCKET
from compose.processes import Child, Program, free_port, spawn, wait_until
from compose.running import CONNECTION_FILE
from compose.server import Server
from compose.simulate_devices import registered
from shared.database.tables import STATE_CODES
from shared.domain.jobs import ACTIVE

CHECKOUT: Final = Path(__file__).resolve().parent.parent
READY_WITHIN_S: Final = 90.0
STOP_WITHIN_S: Final = 60.0
IDLE_WITHIN_S: Final = 300.0
FOREIGN: Final = ("SMARTSIP_", "OPENAI_", "OLLAMA_", "MINIO_", "REDIS_URL", "DATABASE_URL", "HTTP_PROXY", "http_proxy")
"""Beginnings of the variables that would point a private system at somebody's services."""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How large a system is measured."""

    api: int = 1
    workers: int = 1
    slots: int = 1200


@dataclass(frozen=True)
class System:
    """A running system."""

    port: int
    token: str
    database_url: str
    redis_url: str
    objects: Path
    """The folder that its object store keeps as its bucket."""
    process: Child
    _devices: dict[str, list[DeviceKeys]] = field(default_factory=dict[str, list[DeviceKeys]])

    def cpu(self) -> dict[str, float]:
        """Return the processor seconds used so far, by part."""
        return cpu_by_role(self.process.process.pid)

    def devices(self, count: int, *, model: str) -> Sequence[DeviceKeys]:
        """Return so many devices whose photos a provider/model answers; they are registered when first asked for."""
        known = self._devices.setdefault(model, [])
        if len(known) < count:
            known += asyncio.run(_register(self, count - len(known), model))
        return known[:count]

    def wait_until_idle(self) -> None:
        """Block until no job is queued, running or waiting.

        Raises:
            TimeoutError: if that takes more than five minutes.
        """
        active = [STATE_CODES[state] for state in ACTIVE]
        deadline = time.monotonic() + IDLE_WITHIN_S
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            while connection.execute("select 1 from job where state = any(%s) limit 1", (active,)).fetchone():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"jobs were still running {IDLE_WITHIN_S:.0f} s after the last was submitted")
                time.sleep(0.05)

    def ended_per_s(self, *, newest: int) -> float:
        """Return the pace of the newest jobs: how many ended a second, from the first submission to the last end."""
        query = """
            select count(*) / greatest(extract(epoch from max(ended_at) - min(created_at)), 0.001)
            from (select created_at, ended_at from job order by id desc limit %s) as newest
            where ended_at is not null
        """
        with psycopg.connect(self.database_url) as connection:
            return float((connection.execute(query, (newest,)).fetchone() or (0.0,))[0])


@contextmanager
def temporary_folder() -> Generator[Path]:
    """Make a folder for one run, removed when the block ends; what is private in it needs a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="smartsip-bench-"))
    folder.chmod(0o755)  # PostgreSQL, which refuses to be root, must get to its data inside
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def mock_provider(folder: Path) -> Generator[tuple[int, Child]]:
    """Run the mock provider; gives its port and its process."""
    port = free_port()
    program = python("mock provider", "benchmarks.mock_provider", "--port", str(port), log=folder / "mock.log")
    provider = spawn(program)
    try:
        wait_until(lambda: answers(port), provider)
        yield port, provider
    finally:
        provider.terminate()
        provider.wait(within_s=5.0)


@contextmanager
def private_system(
    folder: Path, size: Size, *, provider_port: int, log: Path, settings: Mapping[str, str] | None = None
) -> Generator[System]:
    """Run a system with no past whose only provider is the mock; gone, with its data, when the block ends.

    `settings` are further variables of its environment.

    Raises:
        CannotStart: if it does not come up; says so with the last line it wrote.
    """
    data = folder / "data"
    command = ["up", "--host", "127.0.0.1", "--port", "0", "--data", str(data)]
    command += ["--api", str(size.api), "--workers", str(size.workers), "--concurrency", str(size.slots)]
    environment = {
        **(settings or {}),
        "OPENAI_BASE_URL": f"http://127.0.0.1:{provider_port}/v1",
        "OPENAI_API_KEY": "bench",
        "SMARTSIP_LOG_LEVEL": "warning",
    }
    working_directory = folder / "empty"  # so that nobody's .env or config.yaml is read
    working_directory.mkdir()
    up = spawn(
        python("smartsip up", "compose.cli", *command, log=log, settings=environment, directory=working_directory)
    )
    try:
        connection_file = data / CONNECTION_FILE  # written when the api and all workers are there
        try:
            wait_until(connection_file.exists, up, within_s=READY_WITHIN_S)
        except CannotStart as error:  # the log is about to be removed with everything else
            raise CannotStart(f"{log.read_text(errors='replace')[-4000:]}\n{error}") from error
        connection: dict[str, str] = json.loads(connection_file.read_text(encoding="utf-8"))
        yield System(
            port=int(connection["SMARTSIP_PORT"]),
            token=connection["SMARTSIP_ADMIN_TOKEN"],
            database_url=connection["SMARTSIP_DATABASE__URL"],
            redis_url=connection["SMARTSIP_REDIS__URL"],
            objects=data / "objects" / BUCKET,
            process=up,
        )
    finally:
        up.terminate()
        up.wait(within_s=STOP_WITHIN_S)


def python(
    name: str,
    module: str,
    *arguments: str,
    log: Path,
    settings: dict[str, str] | None = None,
    directory: Path = CHECKOUT,
) -> Program:
    """Return one of our own programs, in an environment that names nobody's services."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    environment |= {"PYTHONPATH": str(CHECKOUT), **(settings or {})}
    return Program(
        name=name,
        argv=[sys.executable, "-m", module, *arguments],
        environment=environment,
        orphan_signal=signal.SIGTERM,
        log=log,
        directory=directory,
    )


async def _register(system: System, count: int, model: str) -> list[DeviceKeys]:
    server = Server(f"http://127.0.0.1:{system.port}", system.token)
    async with registered(server, count, answered_by=model, keep=True) as dispensers:
        devices = [dispenser.device for dispenser in dispensers]
        return [DeviceKeys(device.service_address, device.access_key, device.secret_key) for device in devices]


def answers(port: int) -> bool:
    """Return whether somebody listens on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True
