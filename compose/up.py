"""`smartsip up`: one machine's whole system under one supervisor."""

import base64
import http.client
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Final

from compose.checkout import CHECKOUT
from compose.data_directory import DataDirectory, default_path, open_data_directory
from compose.embedded import EmbeddedStack, new_stack
from compose.errors import CannotStart
from compose.gate import Gate
from compose.listener import listen
from compose.processes import Program
from compose.running import announce, withdraw
from compose.screen import Screen
from compose.supervisor import Supervisor
from shared.observability import set_up_logging
from shared.settings import Settings, load_settings

READY_WITHIN_S: Final = 30.0
STOP_GRACE_S: Final = 5.0
"""What a worker may take on top of its drain before it is killed."""
GENERAL_QUEUES: Final = "chat,batch,media"
ADMIN_TOKEN_FILE: Final = "admin.token"  # noqa: S105 - a file's name
MASTER_KEY_FILE: Final = "master.key"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line said; `None` leaves it to the settings."""

    host: str | None
    port: int | None
    data: Path | None
    api: int
    workers: int
    concurrency: int | None


def run_up(options: Options) -> None:
    """Start everything, print the screen, and keep it running until interrupted.

    Raises:
        CannotStart: if something is in the way; whatever was started is stopped again.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    screen = Screen(sys.stdout)
    data = open_data_directory(options.data or default_path(environment=dict(os.environ)))
    try:
        connections = 30 + 15 * (options.api + options.workers + 1)  # above what each process's pools may open
        stack = new_stack(data, postgres_settings={"max_connections": str(max(100, connections))})
        settings = _settle(options, data, stack)
        with listen(settings.host, settings.port) as listener:
            _run(options, settings, stack, listener, screen)
    finally:
        data.release()


def _run(options: Options, settings: Settings, stack: EmbeddedStack, listener: socket.socket, screen: Screen) -> None:
    port = listener.getsockname()[1]
    gate = Gate()
    supervisor = Supervisor(stack, list(_programs(options, stack.data, listener_fd=listener.fileno(), gate_fd=gate.fd)))
    drain_s = settings.clocks.drain.total_seconds() + STOP_GRACE_S
    with _stopped_in_the_end(supervisor, drain_s, screen):
        began = time.monotonic()
        screen.progress("Starting Valkey, PostgreSQL and the S3 server")
        for name in stack.servers:
            stack.spawn(name)
        supervisor.start_programs()  # they load their code and wait at the gate
        from shared.database.migrate import upgrade  # takes as long as the servers take to start

        for name in stack.servers:
            stack.wait_ready(name)
        screen.progress("Migrating the database")
        upgrade(settings.database.sqlalchemy_url)
        before = _database_clock(settings)
        screen.progress("Starting api and workers")
        gate.open()
        _wait_for_api(supervisor, settings.host, port)
        screen.progress(f"The api answers ({time.monotonic() - began:.1f} s); waiting for workers")
        _wait_for_workers(supervisor, settings, since=before, expected=options.workers + 1)
        announce(stack.data.path, _connection(settings, stack, port))
        screen.show(settings, data=stack.data.path, port=port, seconds=time.monotonic() - began)
        supervisor.watch()


@contextmanager
def _stopped_in_the_end(supervisor: Supervisor, drain_s: float, screen: Screen) -> Generator[None]:
    try:
        yield
    except KeyboardInterrupt:
        screen.say("Stopping: running jobs finish or are given back. Ctrl-C once more kills everything at once.")
    finally:
        withdraw(supervisor.stack.data.path)
        supervisor.stop(drain_s=drain_s)


def _settle(options: Options, data: DataDirectory, stack: EmbeddedStack) -> Settings:
    """Put into our environment, which every child inherits, what the options and the stack say, and read it."""
    environment = stack.environment()
    if not os.environ.get("SMARTSIP_ADMIN_TOKEN"):
        environment["SMARTSIP_ADMIN_TOKEN"] = data.secret(ADMIN_TOKEN_FILE, make="ssk_" + secrets.token_urlsafe(32))
    if not os.environ.get("SMARTSIP_MASTER_KEY"):
        key = base64.b64encode(os.urandom(32)).decode()
        environment["SMARTSIP_MASTER_KEY"] = data.secret(MASTER_KEY_FILE, make=key)
    if options.host is not None:
        environment["SMARTSIP_HOST"] = options.host
    if options.port is not None:
        environment["SMARTSIP_PORT"] = str(options.port)
    if options.concurrency is not None:
        environment["SMARTSIP_WORKER__SLOTS"] = str(options.concurrency)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    os.environ.update(environment)
    os.environ["SMARTSIP_IS_LOCAL_STACK"] = "1"
    settings = load_settings()
    if _is_loopback(settings.host):
        os.environ.update(_opened(settings))
        settings = load_settings()
    else:
        del os.environ["SMARTSIP_IS_LOCAL_STACK"]
        settings = load_settings()
    set_up_logging(log_format=settings.log_format, log_level=settings.log_level)
    return settings


def _opened(settings: Settings) -> dict[str, str]:
    """Return what lets this machine's own programs in without a credential, where nobody said otherwise.

    The fielded firmware and the clients of most older systems cannot log in.
    """
    opened: dict[str, str] = {}
    if "firmware_access" not in settings.model_fields_set:
        opened["SMARTSIP_FIRMWARE_ACCESS"] = "open"
    if "registration" not in settings.model_fields_set:
        opened["SMARTSIP_REGISTRATION"] = "open"
    for dialect in ("api_server", "lite_llm_chat", "llm_service_api"):
        if dialect not in settings.dialects.model_fields_set:
            opened[f"SMARTSIP_DIALECTS__{dialect.upper()}"] = "open"
    return opened


def _programs(options: Options, data: DataDirectory, *, listener_fd: int, gate_fd: int) -> Iterator[Program]:
    fds = (data.lock_fd, gate_fd)
    gate = ("--gate", str(gate_fd))
    for number in range(1, options.api + 1):
        name = "api" if options.api == 1 else f"api {number}"
        yield _program(name, "compose.api_main", "--fd", str(listener_fd), *gate, fds=(*fds, listener_fd))
    yield _program("device worker", "compose.worker_main", "--queues", "device", *gate, fds=fds)
    for number in range(1, options.workers + 1):
        name = "worker" if options.workers == 1 else f"worker {number}"
        yield _program(name, "compose.worker_main", "--queues", GENERAL_QUEUES, *gate, fds=fds)


def _program(name: str, module: str, *arguments: str, fds: tuple[int, ...]) -> Program:
    return Program(
        name=name,
        argv=[sys.executable, "-P", "-m", module, *arguments],  # -P: our modules come from the checkout, not from here
        environment=dict(os.environ),
        directory=Path.cwd(),  # where .env and config.yaml are
        inherited_fds=fds,
    )


def _connection(settings: Settings, stack: EmbeddedStack, port: int) -> dict[str, str]:
    return {
        **stack.environment(),
        "SMARTSIP_ADMIN_TOKEN": settings.admin_token.get_secret_value(),
        "SMARTSIP_MASTER_KEY": settings.master_key.get_secret_value(),
        "SMARTSIP_HOST": settings.host,
        "SMARTSIP_PORT": str(port),
    }


def _wait_for_api(supervisor: Supervisor, host: str, port: int) -> None:
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    status = "no answer"
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        supervisor.check_programs()
        connection = http.client.HTTPConnection(address, port, timeout=2.0)
        try:
            connection.request("GET", "/health/ready")
            status = f"status {connection.getresponse().status}"
        except (OSError, http.client.HTTPException) as error:
            status = str(error)
        finally:
            connection.close()
        if status == "status 200":
            return
        time.sleep(0.05)
    raise CannotStart(
        f"The api was not ready within {READY_WITHIN_S:.0f} seconds ({status} at /health/ready): see its messages"
        " above."
    )


def _database_clock(settings: Settings) -> object:
    import psycopg  # loaded with the migrations, after the servers were started

    with psycopg.connect(settings.database.conninfo) as connection:
        return (connection.execute("select clock_timestamp()").fetchone() or (None,))[0]


def _wait_for_workers(supervisor: Supervisor, settings: Settings, *, since: object, expected: int) -> None:
    import psycopg

    registered = 0
    deadline = time.monotonic() + READY_WITHIN_S
    query = "select count(*) from worker where started_at >= %s and lease_until > clock_timestamp()"
    with psycopg.connect(settings.database.conninfo, autocommit=True) as connection:
        while time.monotonic() < deadline:
            supervisor.check_programs()
            registered = (connection.execute(query, (since,)).fetchone() or (0,))[0]
            if registered >= expected:
                return
            time.sleep(0.05)
    raise CannotStart(
        f"Only {registered} of {expected} workers were ready within {READY_WITHIN_S:.0f} seconds: see their messages"
        " above."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
