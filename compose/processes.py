"""Child processes that never outlive the process that started them.

Spawn only from the main thread: on Linux the kernel's parent-death signal follows the *thread* that forked, so a child
of a short-lived thread would be killed when that thread ends (prctl(2), PR_SET_PDEATHSIG).
"""

import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from compose.errors import CannotStart

PR_SET_PDEATHSIG: Final = 1
PORTS: Final = range(15_000, 32_000)
"""Below the kernel's usual range for outgoing connections (32768 up): a client that retries a stopped server's port
could otherwise connect to itself and keep the port from its owner."""
LOG_LIMIT_BYTES: Final = 10 * 1024 * 1024
WATCH_SCRIPT: Final = 'read -r _; kill -s "$1" "$2" 2>/dev/null'
"""Reads until the supervisor's end of the pipe closes, which is when the supervisor is gone."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """The operating system's user a child runs as, where it is not ours."""

    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class Program:
    """How to run one child. Secrets belong in `environment` or in a file, never in `argv`, which everyone can read."""

    name: str
    argv: Sequence[str | Path]
    environment: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    """What the child gets when this process dies."""
    log: Path | None = None
    """Where its output goes; to our own standard error if there is none."""
    account: Account | None = None
    directory: Path = Path("/")
    inherited_fds: tuple[int, ...] = ()


class Watcher:
    """Signals a process when this one is gone: for systems without a parent-death signal."""

    def __init__(self, pid: int, orphan_signal: signal.Signals) -> None:
        name = orphan_signal.name.removeprefix("SIG")
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", WATCH_SCRIPT, "watch", name, str(pid)], stdin=subprocess.PIPE, start_new_session=True
        )

    def dismiss(self) -> None:
        """Stop watching, before the process's number can belong to another."""
        self._shell.kill()
        self.alarm()

    def alarm(self) -> None:
        """Close the pipe, as our end does, and wait for what follows from it."""
        if self._shell.stdin is not None:
            self._shell.stdin.close()
        self._shell.wait()


@dataclass
class Child:
    """A running, or ended, child."""

    program: Program
    process: subprocess.Popen[bytes]
    started_at: float = field(default_factory=time.monotonic)
    watcher: Watcher | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def terminate(self) -> None:
        """Ask it to stop; returns at once."""
        if self.is_running:
            self.process.send_signal(self.program.stop_signal)

    def kill(self) -> None:
        """End it without asking, and reap it."""
        if self.is_running:
            self.process.kill()
        self.process.wait()
        self._release()

    def wait(self, *, within_s: float) -> None:
        """Wait for its end; kill it when it takes longer."""
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._release()

    def _release(self) -> None:
        if self.watcher is not None:
            self.watcher.dismiss()
            self.watcher = None


def spawn(program: Program) -> Child:
    """Start a child that dies with this process.

    Raises:
        CannotStart: if the program cannot be executed.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("children are spawned from the main thread only, or they die with the thread")
    account = program.account
    output: IO[bytes] | None = None
    try:
        output = _open_log(program.log) if program.log is not None else None
        with _undisturbed() as mask:
            process = subprocess.Popen(
                [str(argument) for argument in program.argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output is not None else None,
                env=dict(program.environment),
                cwd=program.directory,
                start_new_session=True,  # Ctrl-C reaches only the supervisor, which stops its children in order
                pass_fds=program.inherited_fds,
                preexec_fn=_arrangement(program.orphan_signal, mask),
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
    except OSError as error:
        raise CannotStart(f"{program.name} cannot be started: {error.strerror} ({program.argv[0]}).") from error
    finally:
        if output is not None:
            output.close()
    needs_watcher = sys.platform != "linux"
    return Child(program, process, watcher=Watcher(process.pid, program.orphan_signal) if needs_watcher else None)


def run(
    argv: Sequence[str | Path],
    *,
    account: Account | None,
    environment: Mapping[str, str],
    log: Path | None = None,
) -> int:
    """Run a short program to its end and return its exit code; 126 if it may not be executed."""
    with Path(os.devnull).open("ab") if log is None else _open_log(log) as output:
        try:
            return subprocess.run(
                [str(argument) for argument in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd="/",
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                check=False,
            ).returncode
        except OSError:
            return 126


def stop(children: Sequence[Child], *, within_s: float) -> None:
    """Stop children together, and kill those that are still there after the time."""
    for child in children:
        child.terminate()
    deadline = time.monotonic() + within_s
    for child in children:
        child.wait(within_s=max(0.0, deadline - time.monotonic()))


def wait_until(is_ready: Callable[[], bool], child: Child, *, within_s: float = 30.0) -> None:
    """Block until a child is ready.

    Raises:
        CannotStart: if the child ended or the time is over; says so with the last line of the child's log.
    """
    deadline = time.monotonic() + within_s
    while not is_ready():
        if not child.is_running:
            raise CannotStart(f"{child.program.name} stopped while starting: {last_words(child.program.log)}")
        if time.monotonic() > deadline:
            raise CannotStart(
                f"{child.program.name} was not ready within {within_s:.0f} seconds: {last_words(child.program.log)}"
            )
        time.sleep(0.01)


def free_port() -> int:
    """Return a loopback port nobody listens on at this moment."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise CannotStart(f"No free port was found between {PORTS.start} and {PORTS.stop} on 127.0.0.1.")


def last_words(log: Path | None, *, lines: int = 1) -> str:
    """Return the last lines a child wrote, or where to look."""
    if log is None:
        return "see its messages above"
    try:
        text = log.read_text(encoding="utf-8", errors="replace")[-20_000:]
    except OSError:
        return f"see {log}"
    written = [line.strip() for line in text.splitlines() if line.strip()]
    if any("No space left on device" in line for line in written[-20:]):
        return f"the disk that holds {log.parent} is full"
    return f"{' / '.join(written[-lines:]) or 'it wrote nothing'} (see {log})"


def bound_log(log: Path, *, limit_bytes: int = LOG_LIMIT_BYTES) -> None:
    """Keep a log and one predecessor below the limit; safe while its child writes, as it appends."""
    if log.exists() and log.stat().st_size > limit_bytes:
        content = log.read_bytes()
        log.with_suffix(".1.log").write_bytes(content[-limit_bytes:])
        os.truncate(log, 0)


def _open_log(log: Path) -> IO[bytes]:
    bound_log(log)
    return log.open("ab")


@contextmanager
def _undisturbed() -> Generator[Iterable[int]]:
    """Hold signals back while a child is forked; gives the mask from before.

    An interrupt in that moment would be lost, because Python runs hooks there whose exceptions it ignores, or leave a
    child behind that nobody knows of.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _arrangement(death_signal: signal.Signals, mask: Iterable[int]) -> Callable[[], None]:
    """Return what the child does before it becomes the program: system calls, and nothing else."""
    libc, parent = ctypes.CDLL(None), os.getpid()

    def arrange() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if sys.platform != "linux":
            return
        libc.prctl(PR_SET_PDEATHSIG, death_signal.value)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return arrange
