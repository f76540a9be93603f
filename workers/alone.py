"""Running a suspect job in a process of its own: if it kills that process too, it takes no innocent job with it.

The child is a worker with one slot and no queues. It gets the settings over its standard input, so that no secret is
on a command line, and lives no longer than that pipe: when its parent goes, it drains too.
"""

import asyncio
import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Final
from uuid import UUID

import structlog

from shared.domain.ids import JobId
from shared.settings import Settings

AT_ONCE: Final = 2
"""Suspects at a time per worker; each is a process of about 100 MB."""
LETTING_GO_S: Final = 15.0
_CHECKOUT: Final = Path(__file__).parents[1]

_log = structlog.get_logger(__name__)


class SoloRunner:
    """Starts such processes and waits for them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._drain_s = settings.clocks.drain.total_seconds()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._in_hand: set[JobId] = set()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._is_closing = False

    async def run(self, job_id: JobId) -> None:
        """Let a child claim and run the job; returns when the child has ended, however it did."""
        if job_id in self._in_hand:
            return
        self._in_hand.add(job_id)
        try:
            async with self._room:
                if not self._is_closing:
                    await self._run(job_id)
        finally:
            self._in_hand.discard(job_id)

    async def close(self, hurry: asyncio.Event) -> None:
        """Tell every child to drain as we do, or to hurry once we do, and wait for them."""
        self._is_closing = True
        children = tuple(self._children)
        for child in children:
            _hang_up(child)
        ends = asyncio.gather(*(asyncio.to_thread(child.wait) for child in children))
        hurrying = asyncio.create_task(hurry.wait())
        await asyncio.wait({ends, hurrying}, timeout=self._drain_s, return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if not ends.done():
            for child in children:
                child.terminate()
            await asyncio.wait({ends}, timeout=LETTING_GO_S)
        if not ends.done():
            _log.error("solo_workers_killed", count=len(self._children))
            for child in children:
                child.kill()
        await ends

    async def _run(self, job_id: JobId) -> None:
        child = await asyncio.to_thread(_start, job_id, pickle.dumps(self._settings))
        self._children.add(child)
        _log.info("solo_worker_started", solo_job_id=str(job_id), pid=child.pid)
        try:
            code = await asyncio.to_thread(child.wait)
            _log.info("solo_worker_ended", solo_job_id=str(job_id), exit_code=code)
        finally:
            self._children.discard(child)
            _hang_up(child)


def _start(job_id: JobId, settings: bytes) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(  # noqa: S603 - our own interpreter and module, and a UUID
        [sys.executable, "-m", "workers.alone", str(job_id)], stdin=subprocess.PIPE, cwd=_CHECKOUT
    )
    with suppress(BrokenPipeError):  # it died at once; waiting for it tells
        pipe = _pipe(child)
        pipe.write(settings)
        pipe.flush()
    return child


def _hang_up(child: subprocess.Popen[bytes]) -> None:
    with suppress(BrokenPipeError):
        _pipe(child).close()


def _pipe(child: subprocess.Popen[bytes]) -> IO[bytes]:
    if child.stdin is None:
        raise ValueError("the child was started without a pipe")
    return child.stdin


async def _main(settings: Settings, job_id: JobId) -> None:
    from workers.runtime import Runtime  # the parent has it loaded, and loads this module first

    told, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hung_up() -> None:
        loop.remove_reader(sys.stdin.fileno())
        told.set()

    def terminated() -> None:
        told.set()
        hurry.set()

    loop.add_reader(sys.stdin.fileno(), hung_up)
    loop.add_signal_handler(signal.SIGTERM, terminated)
    runtime = await Runtime.open(settings, queues=(), slots=1, decoders=1)
    try:
        await runtime.register()
        job = asyncio.create_task(runtime.runner.run(job_id, solo=True))
        waiting = asyncio.create_task(told.wait())
        await asyncio.wait({job, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        await runtime.drain(hurry)
        await job
    finally:
        await runtime.close()


def main() -> None:
    """Be the child: `python -m workers.alone <job id>`, the settings on standard input."""
    import uvloop

    from shared.observability import set_up_logging

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches us too; the parent decides
    settings: Settings = pickle.load(os.fdopen(sys.stdin.fileno(), "rb", closefd=False))  # noqa: S301 - our parent's pipe
    set_up_logging(log_format=settings.log_format, log_level=settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(settings, JobId(UUID(sys.argv[1]))))


if __name__ == "__main__":
    main()
