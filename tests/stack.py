"""The real servers tests run against: embedded ones, or those named by `SMARTSIP_TEST_*`. Never production's."""

import asyncio
import atexit
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psycopg
from minio import Minio
from psycopg import sql

from compose.data_directory import can_reach, open_data_directory, server_account
from compose.embedded import EmbeddedStack, new_stack
from compose.postgres import USER, new_postgres
from compose.processes import wait_until
from shared.database.migrate import upgrade

TEST_REDIS_URL = "SMARTSIP_TEST_REDIS_URL"
TEST_DATABASE_URL = "SMARTSIP_TEST_DATABASE_URL"
TEST_OBJECTS = ("SMARTSIP_TEST_MINIO_ENDPOINT_URL", "SMARTSIP_TEST_MINIO_ACCESS_KEY", "SMARTSIP_TEST_MINIO_SECRET_KEY")
POLL_S = (0.01, 0.1)
"""The shortest and the longest pause before a condition is looked at again, which is a tenth of the time it took yet:
asking a whole system costs as much as what it is being asked to do."""


@dataclass(frozen=True)
class TestObjects:
    """Where the S3 server is."""

    __test__ = False

    endpoint_url: str
    access_key: str
    secret_key: str


@dataclass
class TestStack:
    """Three real servers. Those that are ours can be killed and restarted at the same address."""

    __test__ = False

    redis_url: str
    database_url: str
    objects: TestObjects
    embedded: EmbeddedStack | None = None

    async def kill_valkey(self) -> None:
        """End Valkey as kill -9 does."""
        await self._end("valkey", signal.SIGKILL)

    async def start_valkey(self) -> None:
        """Start Valkey again after `kill_valkey`."""
        await self._begin("valkey")

    async def restart_valkey(self) -> None:
        """Kill Valkey and start it again; it comes back with what its append-only file has."""
        await self.kill_valkey()
        await self.start_valkey()

    async def stop_postgres(self) -> None:
        """Stop PostgreSQL as an operator does; connections are cut."""
        await self._end("postgres", signal.SIGINT)

    async def start_postgres(self) -> None:
        """Start PostgreSQL again after `stop_postgres`."""
        await self._begin("postgres")

    async def restart_postgres(self) -> None:
        """Stop PostgreSQL and start it again."""
        await self.stop_postgres()
        await self.start_postgres()

    def stop(self) -> None:
        """Stop our servers and forget their data."""
        if self.embedded is not None:
            self.embedded.stop()
            self.embedded.data.release()
            shutil.rmtree(self.embedded.data.path)

    def _owned(self) -> EmbeddedStack:
        if self.embedded is None:
            raise LookupError("these servers are not ours to stop: chaos tests take `private_stack`")
        return self.embedded

    async def _end(self, name: str, how: signal.Signals) -> None:
        child = self._owned().children[name]
        child.process.send_signal(how)
        await asyncio.to_thread(child.wait, within_s=15.0)

    async def _begin(self, name: str) -> None:
        stack = self._owned()
        stack.spawn(name)  # in this, the main thread: see compose.processes
        await asyncio.to_thread(wait_until, stack.servers[name].is_ready, stack.children[name])


def shared_stack() -> TestStack:
    """Return the servers of a test session: those named by `SMARTSIP_TEST_*` if all are named, else our own."""
    environment = os.environ
    redis_url, database_url = environment.get(TEST_REDIS_URL), environment.get(TEST_DATABASE_URL)
    objects = [environment.get(name) for name in TEST_OBJECTS]
    given = [redis_url, database_url, *objects]
    if not any(given):
        return private_stack()
    if not (redis_url and database_url and all(objects)):
        names = ", ".join((TEST_REDIS_URL, TEST_DATABASE_URL, *TEST_OBJECTS))
        raise LookupError(f"give all of {names}, or none of them")
    endpoint_url, access_key, secret_key = (value or "" for value in objects)
    return TestStack(redis_url, database_url, TestObjects(endpoint_url, access_key, secret_key))


def private_stack(*, postgres_settings: Mapping[str, str] | None = None) -> TestStack:
    """Start servers of our own in a new temporary directory."""
    # A crash of the machine is not among the things tests do, so PostgreSQL need not wait for the disk.
    settings = {"fsync": "off", "max_connections": "200"} | dict(postgres_settings or {})
    data = open_data_directory(temporary_directory())
    subprocess.run(["cp", "-a", *_made_once(), data.path], check=True)
    embedded = new_stack(data, postgres_settings=settings)
    embedded.start()
    objects = embedded.objects
    return TestStack(
        embedded.valkey.url,
        embedded.postgres.url,
        TestObjects(objects.endpoint_url, objects.access_key, objects.secret_key),
        embedded,
    )


@cache
def _made_once() -> list[Path]:
    """Return what is copied for each PostgreSQL and its password: making a new one takes more than a second."""
    data = open_data_directory(temporary_directory())
    atexit.register(shutil.rmtree, data.path)
    postgres = new_postgres(data, settings={"fsync": "off"})
    server = postgres.spawn()
    wait_until(postgres.is_ready, server)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        # Hashed once, and not 4096 times as is usual, which is half of what a connection costs.
        connection.execute("set scram_iterations = 1")
        connection.execute(sql.SQL("alter user {} password {}").format(sql.Identifier(USER), postgres.password))
    server.terminate()
    server.wait(within_s=15.0)
    data.release()
    return [data.path / "postgres", data.path / "postgres.password"]


def temporary_directory() -> Path:
    """Return a new directory that PostgreSQL's user can reach, also when tests run as root."""
    account = server_account()
    bases = [Path(tempfile.gettempdir()), Path("/var/tmp")]
    base = next((base for base in bases if account is None or can_reach(base, account)), bases[-1])
    directory = Path(tempfile.mkdtemp(prefix="smartsip-test-", dir=base))
    if account is not None:
        directory.chmod(0o755)
    return directory


async def eventually(
    predicate: Callable[[], Awaitable[object]], *, within: float = 5.0, expecting: str = "the condition"
) -> None:
    """Wait until `await predicate()` is true; fail when it is not in time. The only place where tests pause."""
    start = time.monotonic()
    while not await predicate():
        waited = time.monotonic() - start
        if waited > within:
            raise AssertionError(f"{expecting} did not come true within {within} s")
        await asyncio.sleep(min(max(waited / 10, POLL_S[0]), POLL_S[1]))


def migrated_database(stack: TestStack, *, name: str = "smartsip_test") -> str:
    """Make a migrated database on a private stack and return its URL."""
    administer(stack.database_url, f'create database "{name}"')
    url = database_named(stack.database_url, name)
    upgrade(sqlalchemy_url(url))
    return url


def make_bucket(stack: TestStack) -> str:
    """Make a bucket on a stack and return its name."""
    endpoint = stack.objects.endpoint_url
    client = Minio(
        endpoint=endpoint.partition("://")[2],
        access_key=stack.objects.access_key,
        secret_key=stack.objects.secret_key,
        secure=endpoint.startswith("https://"),
        region="us-east-1",
    )
    name = f"test-{secrets.token_hex(6)}"
    client.make_bucket(bucket_name=name)
    return name


def database_named(url: str, name: str) -> str:
    """Return the URL of another database on the same server."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


def sqlalchemy_url(url: str) -> str:
    """Return a database URL in SQLAlchemy's form."""
    return "postgresql+psycopg://" + url.partition("://")[2]


def administer(url: str, statement: str) -> None:
    """Run one statement outside a transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
