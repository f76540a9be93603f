"""One self-clocking writer per process: what came up while a write was in flight goes out as the next one.

It may lose time, never events: while Redis is away they wait in their logs, a log that Redis lost is written again, and
nothing that happens here fails a job.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from typing import Final
from uuid import UUID

import structlog

from shared.domain.errors import Unavailable
from shared.ports.event_log import EventLog
from workers.attempt_log import AttemptLog

MAX_APPENDS: Final = 500
"""Attempts in one write: keeps the script below about 5 ms of Redis' single thread."""
FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 1.0

_log = structlog.get_logger(__name__)


class Publisher:
    """Sends the events of all attempts of this process to the event log."""

    def __init__(self, events: EventLog, *, gap: timedelta) -> None:
        self._events = events
        self._gap_s = gap.total_seconds()
        self._dirty: dict[AttemptLog, None] = {}
        self._something = asyncio.Event()
        self._urgent = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._pause_s = 0.0
        self._wrote_at = 0.0

    def open(self, job_id: UUID, attempt: int, *, is_brief: bool = False) -> AttemptLog:
        """Return the log of an attempt that begins; `is_brief` as in `Append`."""
        return AttemptLog(job_id, attempt, notify=self._notify, is_brief=is_brief)

    def forget(self, log: AttemptLog) -> None:
        """Send nothing more of an attempt: it is not ours any more, or another will follow."""
        log.close()
        self._dirty.pop(log, None)

    def leave(self, log: AttemptLog) -> None:
        """Take nothing more of an attempt that ended without an end, and send what it said."""
        log.close()

    async def settled(self) -> None:
        """Wait until nothing is left to send."""
        await self._idle.wait()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            if not self._dirty:
                self._idle.set()
            await self._something.wait()
            await self._wait_for_gap()
            self._something.clear()
            self._urgent.clear()
            await self._send(tuple(islice(self._dirty, MAX_APPENDS)))
            if self._dirty:
                self._something.set()

    def _notify(self, log: AttemptLog, is_urgent: bool) -> None:
        self._dirty[log] = None
        self._idle.clear()
        self._something.set()
        if is_urgent:
            self._urgent.set()

    async def _wait_for_gap(self) -> None:
        """Let events gather: after an error for a growing time, else until the gap is over or one must not wait."""
        if self._pause_s:
            await asyncio.sleep(self._pause_s)
            return
        remaining_s = self._wrote_at + self._gap_s - time.monotonic()
        if remaining_s > 0 and not self._urgent.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(remaining_s):
                    await self._urgent.wait()

    async def _send(self, logs: Sequence[AttemptLog]) -> None:
        logs = [log for log in logs if log.has_unsent]
        try:
            await self._append(logs)
        except Unavailable as error:
            self._be_patient(logs, error)
        except Exception:  # noqa: BLE001 - a fault of ours in one stream must not end all of them
            await self._isolate(logs)
        else:
            if self._pause_s:
                _log.info("event_log_is_back")
            self._pause_s = 0.0
        self._wrote_at = time.monotonic()
        for log in [log for log in self._dirty if not log.has_unsent]:
            del self._dirty[log]

    async def _append(self, logs: Sequence[AttemptLog]) -> None:
        answers = await self._events.append([log.take() for log in logs])
        for log, was_appended in zip(logs, answers, strict=True):
            if not was_appended:
                await self._write_again(log)
            log.confirm()

    async def _isolate(self, logs: Sequence[AttemptLog]) -> None:
        """After a fault of ours: give up the stream that causes it, and no other. Its job goes on and is archived."""
        if len(logs) > 1:
            for log in logs:
                await self._send([log])
            return
        for log in logs:
            _log.exception("event_log_write_failed", job_id=str(log.job_id), attempt=log.attempt)
            self.forget(log)

    async def _write_again(self, log: AttemptLog) -> None:
        entries, announce_from = log.whole()
        _log.warning("event_log_was_lost", job_id=str(log.job_id), attempt=log.attempt, entries=len(entries))
        await self._events.rewrite(log.job_id, log.attempt, entries, announce_from=announce_from)

    def _be_patient(self, logs: Sequence[AttemptLog], error: Unavailable) -> None:
        if not self._pause_s:
            _log.warning("event_log_is_away", error=str(error))
        self._pause_s = min(max(FIRST_PAUSE_S, self._pause_s * 2), MAX_PAUSE_S)
        for log in logs:
            if log.is_released:  # its end is in PostgreSQL, where readers look when nothing comes
                self.forget(log)
