"""Starts Python programs as processes of their own, at a tenth of a new interpreter's cost: see `forking_server`."""

import atexit
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.forking_server import HEAD

CHECKOUT = Path(__file__).parents[1]


class Forked:
    """A program that was started, with what tests use of `subprocess.Popen`."""

    def __init__(self, ending: int) -> None:
        self._ending = os.fdopen(ending, "rb", buffering=0)
        line = self._ending.readline()
        assert line, "the forking server ended: see its message above"
        self.pid = int(line)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        return self._look(within_s=0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its exit code.

        Raises:
            subprocess.TimeoutExpired: if it takes longer.
        """
        code = self._look(within_s=timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def _look(self, *, within_s: float | None) -> int | None:
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._ending, selectors.EVENT_READ)
                if selector.select(within_s):
                    # Nothing where the server was killed: then this was too, or nobody will ever know.
                    self.returncode = int(self._ending.readline() or -signal.SIGKILL)
                    self._ending.close()
        return self.returncode


def fork(
    module: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: str = "/",
    streams: tuple[int, int, int],
) -> Forked:
    """Run `python -P -m module *arguments` with this environment and these three streams, which stay the caller's."""
    order = {"module": module, "arguments": [*arguments], "environment": {**environment}, "directory": directory}
    body = json.dumps(order).encode()
    reading, writing = os.pipe()
    try:
        control, _ = _server()
        socket.send_fds(control, [HEAD.pack(len(body))], [*streams, writing])
        control.sendall(body)
    finally:
        os.close(writing)
    return Forked(reading)


@cache
def _server() -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    """Start the server; it ends when this process does."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.forking_server", str(theirs.fileno())],
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    atexit.register(_stop, ours, process)
    return ours, process


def _stop(control: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    control.close()
    process.wait()
