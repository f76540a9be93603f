"""Forks Python programs off a process that has imported what they import: `python -m tests.forking_server FD`.

Asked over the socket FD by `tests.forks`. A start costs a tenth of a new interpreter's, which is mostly importing.
What was started dies with it, and it ends when the other end of the socket is closed.
"""

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

PRELOADED: Final = (
    *("api.app", "compose.api_main", "compose.listener", "uvloop", "httptools", "uvicorn.loops.uvloop"),
    *("uvicorn.lifespan.on", "uvicorn.protocols.http.httptools_impl"),
    *("uvicorn.protocols.websockets.websockets_sansio_impl", "shared.database.migrate", "compose.migrate"),
    *("compose.worker_main", "workers.main", "celery.worker", "kombu.transport.redis", "celery.backends.base"),
    *("typer", "compose.analyze", "compose.device", "compose.import_history", "compose.keys", "compose.users"),
)
HEAD: Final = struct.Struct("!I")
STREAMS: Final = 3
MOST_FDS: Final = 1024


@dataclass
class Order:
    """What a child is to become: `python -P -m module *arguments`."""

    module: str
    arguments: list[str]
    environment: dict[str, str]
    directory: str


@dataclass
class Server:
    """Starts what it is asked for, and says with which code each ended."""

    control: socket.socket
    endings: dict[int, int] = field(default_factory=dict[int, int])
    """By process, the pipe that its exit code is written to."""

    def serve(self) -> Order | None:
        """Serve until the socket is closed, which gives None; in each child, return what it is to become."""
        deaths, alarm = socket.socketpair()
        for end in (deaths, alarm):
            end.setblocking(False)
        signal.set_wakeup_fd(alarm.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _note)
        with selectors.DefaultSelector() as selector, deaths, alarm:
            selector.register(self.control, selectors.EVENT_READ)
            selector.register(deaths, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if deaths in ready:
                    deaths.recv(4096)
                    self._reap()
                if self.control in ready:
                    head, fds, _, _ = socket.recv_fds(self.control, HEAD.size, STREAMS + 1)
                    if not head:
                        return self._end()
                    if (order := self._start(head, fds)) is not None:
                        return order

    def _start(self, head: bytes, fds: list[int]) -> Order | None:
        (size,) = HEAD.unpack(head)
        order = Order(**json.loads(_receive(self.control, size)))
        assert threading.active_count() == 1  # another's locks would stay locked in the child
        if (pid := os.fork()) == 0:
            _take_over(fds)
            return order
        *streams, ending = fds
        for stream in streams:
            os.close(stream)
        self.endings[pid] = ending
        os.write(ending, b"%d\n" % pid)
        return None

    def _reap(self) -> None:
        while self.endings:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            ending = self.endings.pop(pid)
            with suppress(BrokenPipeError):  # nobody wants to know
                os.write(ending, b"%d\n" % os.waitstatus_to_exitcode(status))
            os.close(ending)

    def _end(self) -> None:
        for pid in self.endings:
            os.kill(pid, signal.SIGKILL)


def _note(number: int, frame: FrameType | None) -> None:
    """Nothing: that there is a handler makes the signal come through the wakeup descriptor."""


def _receive(control: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        received += control.recv(size - len(received))
    return bytes(received)


def _take_over(fds: list[int]) -> None:
    """Take the streams that were sent for our own, and forget everything that is the server's."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, fd in enumerate(fds[:STREAMS]):
        os.dup2(fd, number)


def _become(order: Order) -> None:
    """Be the program; returns or exits as it does."""
    os.closerange(STREAMS, MOST_FDS)
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.directory)
    sys.argv = [order.module, *order.arguments]
    runpy.run_module(order.module, run_name="__main__", alter_sys=True)


def main() -> None:
    """Import, serve, and in each child become something else."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the tests' process ends the others
    for module in PRELOADED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # so that no child's collector writes to, and so copies, the memory they share
    control = socket.socket(fileno=int(sys.argv[1]))
    order = Server(control).serve()
    if order is not None:
        control.detach()
        _become(order)


if __name__ == "__main__":
    main()
