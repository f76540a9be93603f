"""Keeps the children of `smartsip up` running: starts again what stops by itself, and stops all of them in order."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from compose.embedded import EmbeddedStack
from compose.errors import CannotStart
from compose.processes import Child, Program, spawn, stop

LOOK_EVERY_S: Final = 0.2
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
HEALTHY_AFTER_S: Final = 30.0
"""A child that ran this long is started again at once; one that keeps failing waits twice as long each time."""
LOGS_EVERY_S: Final = 60.0

log = structlog.get_logger(__name__)


@dataclass
class Restart:
    """When a stopped child is due again."""

    pause_s: float = 0.0
    due_at: float = 0.0
    is_due: bool = False

    def schedule(self, *, ran_s: float, now: float) -> float:
        """Return how long to wait, after a run of this length."""
        self.pause_s = min(LONGEST_PAUSE_S, 2 * self.pause_s or FIRST_PAUSE_S)
        if ran_s >= HEALTHY_AFTER_S:
            self.pause_s = 0.0
        self.due_at, self.is_due = now + self.pause_s, True
        return self.pause_s


class Supervisor:
    """The servers, and the programs of ours that use them."""

    def __init__(self, stack: EmbeddedStack, programs: Sequence[Program]) -> None:
        self.stack = stack
        self._programs = {program.name: program for program in programs}
        self._children: dict[str, Child] = {}
        self._restarts: dict[str, Restart] = {}

    def start_programs(self) -> None:
        """Start our programs, without waiting for them."""
        for name, program in self._programs.items():
            self._children[name] = spawn(program)

    def check_programs(self) -> None:
        """Raise `CannotStart` if one of our programs ended."""
        for name, child in self._children.items():
            if not child.is_running:
                code = child.process.returncode
                raise CannotStart(f"The {name} stopped while starting (exit code {code}): see its messages above.")

    def watch(self) -> None:
        """Start again what stops, until interrupted."""
        next_logs = time.monotonic() + LOGS_EVERY_S
        while True:
            time.sleep(LOOK_EVERY_S)
            now = time.monotonic()
            for name, child in {**self._children, **self.stack.children}.items():
                if not child.is_running:
                    self._revive(name, child, now)
            if now >= next_logs:
                next_logs = now + LOGS_EVERY_S
                self.stack.bound_logs()

    def stop(self, *, drain_s: float) -> None:
        """Stop our programs, which finish or give back what they run, then the servers.

        Interrupted once more, it kills everything at once.
        """
        try:
            stop(list(self._children.values()), within_s=drain_s)
            self.stack.stop()
        except KeyboardInterrupt:
            for child in (*self._children.values(), *self.stack.children.values()):
                child.kill()

    def _revive(self, name: str, child: Child, now: float) -> None:
        restart = self._restarts.setdefault(name, Restart())
        if not restart.is_due:
            pause = restart.schedule(ran_s=now - child.started_at, now=now)
            code = child.process.returncode
            log.error("process_stopped", process=child.program.name, exit_code=code, starts_again_in_s=pause)
        if now < restart.due_at:
            return
        restart.is_due = False
        try:
            if name in self._programs:
                self._children[name] = spawn(self._programs[name])
            else:
                self.stack.spawn(name)
        except CannotStart as error:
            log.error("process_not_started", process=child.program.name, reason=str(error))
