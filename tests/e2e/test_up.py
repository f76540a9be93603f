"""`smartsip up` as a person meets it: it starts, stops, survives being killed, and says what is in its way."""

import fcntl
import http.client
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose.data_directory import server_account
from compose.processes import free_port
from shared.settings import Settings
from tests.stack import eventually, temporary_directory

CHECKOUT = Path(__file__).parents[2]
READY = "SmartSip is ready"
START_S = 40.0
STOP_S = 15.0


class Up:
    """One `smartsip up`, from a directory of its own."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "compose.cli", "up", "--data", str(data), *options],
            cwd=data.parent,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.said = ""

    def wait_ready(self) -> None:
        """Read what it says until it is ready."""
        deadline = time.monotonic() + START_S
        while READY not in self.said:
            self._read(deadline)
            assert self.process.poll() is None, self.said

    def wait_ended(self, *, within_s: float = STOP_S) -> int:
        """Read what it says until it ends, and return the exit code."""
        deadline = time.monotonic() + within_s
        while self._read(deadline):
            pass
        return self.process.wait(max(0.0, deadline - time.monotonic()))

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """Make sure that it is gone."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def children(self) -> list[int]:
        """Return the processes it started."""
        return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if parent_of(entry) == self.process.pid]

    def status(self, path: str) -> int:
        """Return the status of a request to its api."""
        found = re.search(r"URL: http://127\.0\.0\.1:(\d+)", self.said)
        assert found, self.said
        connection = http.client.HTTPConnection("127.0.0.1", int(found.group(1)), timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0  # the api itself was killed
        finally:
            connection.close()

    def _read(self, deadline: float) -> bool:
        assert self.process.stdout is not None
        left = deadline - time.monotonic()
        readable, _, _ = select.select([self.process.stdout], [], [], max(0.0, left))
        assert readable, f"silent for too long after:\n{self.said}"
        piece = os.read(self.process.stdout.fileno(), 65536)
        self.said += piece.decode()
        return bool(piece)


def environment() -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SMARTSIP_")}
    return {**ours, "PYTHONPATH": str(CHECKOUT), "SMARTSIP_CLOCKS__DRAIN": "2"}


def doctor(data: Path) -> tuple[int, list[str]]:
    """Return the exit code of `smartsip doctor`, and the first two words of each line."""
    command = [sys.executable, "-P", "-m", "compose.cli", "doctor", "--data", str(data)]
    ran = subprocess.run(command, cwd=data.parent, env=environment(), capture_output=True, text=True, check=False)
    lines = ran.stdout.splitlines() or ran.stderr.splitlines()
    return ran.returncode, [line.partition(": ")[0] for line in lines]


@pytest.fixture
def data() -> Iterator[Path]:
    """A data directory that does not exist yet."""
    base = temporary_directory()
    yield base / "data"
    subprocess.run(["rm", "-rf", str(base)], check=True)


@pytest.fixture
def started() -> Iterator[list[Up]]:
    """The supervisors of a test: killed, and with them everything they started, when it ends."""
    systems: list[Up] = []
    yield systems
    for system in systems:
        system.end()


def parent_of(process: Path) -> int | None:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_abandoned(data: Path, children: list[int]) -> bool:
    """Return whether none of the processes is there and nobody holds the directory, whose lock every child inherits."""
    if any(Path(f"/proc/{child}").exists() for child in children):
        return False
    with (data / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


async def wait_abandoned(data: Path, children: list[int]) -> None:
    async def check() -> bool:
        return is_abandoned(data, children)

    await eventually(check, expecting="an end of every child")


def one_of(processes: set[int], program: str) -> int:
    return next(pid for pid in processes if program in Path(f"/proc/{pid}/cmdline").read_text())


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A directory whose system is started once for all tests that leave one running."""
    base = temporary_directory()
    yield base
    subprocess.run(["rm", "-rf", str(base)], check=True)


@pytest.fixture(scope="module")
def lasting(base: Path) -> Iterator[list[Up]]:
    """The supervisors of that directory: the last runs, where any does."""
    systems: list[Up] = []
    yield systems
    for system in systems:
        system.end()


@pytest.fixture
def running(base: Path, lasting: list[Up]) -> Up:
    """A system that is ready, and may be killed or stopped."""
    if not lasting or lasting[-1].process.poll() is not None:
        lasting.append(Up(base / "data", "--host", "127.0.0.1", "--port", "0", "--verbose"))
        lasting[-1].wait_ready()
    return lasting[-1]


@pytest.mark.covers("F000-18")
def test_where_nobody_says_otherwise_it_listens_on_the_old_systems_port() -> None:
    assert (Settings.model_fields["host"].default, Settings.model_fields["port"].default) == ("127.0.0.1", 8888)


async def test_whatever_child_dies_is_started_again(running: Up) -> None:
    for program in ("compose.api_main", "valkey-server", "bin/postgres", "rclone", "compose.worker_main"):
        before = set(running.children())
        os.kill(one_of(before, program), signal.SIGKILL)

        async def is_whole_again(before: set[int] = before) -> bool:
            now = set(running.children())
            return len(now) == len(before) and now != before and running.status("/health/ready") == 200

        await eventually(is_whole_again, within=20.0, expecting=f"{program} running again")


async def test_killed_it_leaves_no_child_and_the_next_start_recovers(running: Up, lasting: list[Up]) -> None:
    children = running.children()
    assert len(children) >= 6  # three servers, the api and two workers
    running.process.kill()
    await wait_abandoned(running.data, children)
    running.process.wait()
    second = Up(running.data, "--host", "127.0.0.1", "--port", "0", "--verbose")
    lasting.append(second)
    second.wait_ready()
    assert second.status("/health/ready") == 200


@pytest.mark.covers("F000-18")
async def test_it_answers_and_stops_cleanly_on_ctrl_c_and_the_doctor_knows_the_difference(running: Up) -> None:
    children, data = running.children(), running.data
    assert running.status("/health/live") == 200
    assert (data / "admin.token").stat().st_mode & 0o077 == 0
    assert (data / "admin.token").read_text() not in running.said  # not a terminal
    checks = ("python", "packages", "open files", "disk", "redis", "postgresql", "objects", "workers", "providers")
    assert doctor(data) == (0, [f"ok    {check}" for check in checks])
    running.interrupt()
    assert running.wait_ended() == 0, running.said
    await wait_abandoned(data, children)
    assert '"level": "debug"' in running.said
    assert doctor(data)[0] == 1


def test_a_port_in_use_is_one_sentence(data: Path, started: list[Up]) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as other:
        port = other.getsockname()[1]
        system = Up(data, "--port", str(port))
        started.append(system)
        code = system.wait_ended()
    assert (code, system.said) == (
        1,
        f"Port {port} on 127.0.0.1 is in use by another program: stop it, or name another port with --port.\n",
    )


def test_a_second_one_on_the_same_data_is_refused_at_once(data: Path, started: list[Up]) -> None:
    data.mkdir()
    data.chmod(0o755)
    with (data / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(str(os.getpid()))
        lock.flush()
        system = Up(data, "--port", "0")
        started.append(system)
        code = system.wait_ended()
    assert code == 1
    assert system.said.startswith(f"{data} is in use by a running system (process {os.getpid()}).")
    assert system.said.count("\n") == 1


def test_data_that_cannot_be_used_is_one_sentence(data: Path, started: list[Up]) -> None:
    if server_account() is None:
        data.parent.chmod(0o500)
        reason = f"{data} cannot be used for data: Permission denied."
    else:
        data.parent.chmod(0o700)
        reason = "PostgreSQL runs as the user `nobody` here (it refuses root), who may not enter"
    system = Up(data, "--port", "0")
    started.append(system)
    code = system.wait_ended()
    data.parent.chmod(0o755)
    assert code == 1
    assert system.said.startswith(reason)
    assert system.said.count("\n") == 1
    assert not data.exists()


def test_a_config_file_that_is_missing_or_wrong_is_one_sentence(data: Path, started: list[Up]) -> None:
    wrong = data.parent / "wrong.yaml"
    wrong.write_text("prot: 8888\n")
    for file, sentence in (
        (data.parent / "none.yaml", "The configuration file {} does not exist.\n"),
        (wrong, "There is no setting prot (line 1 of {}): correct its name.\n"),
    ):
        system = Up(data, "--port", "0", "--config", str(file))
        started.append(system)
        assert (system.wait_ended(), system.said) == (1, sentence.format(file))
