"""A worker process: Celery's consumer in the main thread, everything else on one loop beside it.

Start: open everything, register, and only then hear. Stop, on SIGTERM or SIGINT: hear no more, let running jobs finish
for a while (a second signal: no longer), give the rest back, deregister, exit 0.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

import structlog

from shared.domain.errors import Unavailable
from shared.domain.ids import JobId
from shared.domain.jobs import Queue
from shared.settings import Settings
from workers.alone import SoloRunner
from workers.celery_app import Ear, break_connection, new_ear, stop_hearing
from workers.loop_thread import LoopThread
from workers.pool import TaskPool
from workers.runtime import Runtime
from workers.tasks import refresh_models, run_job
from workers.watchdog import watch

DEAF_AFTER_RENEWALS: Final = 2
"""How many renewals of the lease the consumer may hear nothing although there are bells and free slots."""
STUCK_S: Final = 5.0
"""How long a consumer that was told to stop may take, once this worker is broken."""

_log = structlog.get_logger(__name__)


def run_worker(settings: Settings, *, queues: Sequence[Queue], slots: int) -> int:
    """Work until told to stop; return the exit code. Only in a process' main thread: it takes over its signals."""
    with LoopThread() as thread:
        worker = Worker(settings, thread.loop, queues=queues, slots=slots)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, worker.on_signal)
        try:
            thread.run(worker.open())
        except Unavailable as error:
            _log.critical("worker_cannot_start", error=str(error))
            return 1
        try:
            worker.hear()
        finally:
            thread.run(worker.close())
    return worker.exit_code


class Worker:
    """One worker process' life."""

    def __init__(
        self, settings: Settings, loop: asyncio.AbstractEventLoop, *, queues: Sequence[Queue], slots: int
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._queues = queues
        self._slots = slots
        self._runtime: Runtime | None = None
        self._ear: Ear | None = None
        self._alone = SoloRunner(settings)
        self._signals = 0
        self._hurry = asyncio.Event()
        self._deafened = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self.exit_code = 0

    async def open(self) -> None:
        """Open everything and register; from here on this worker is counted on."""
        self._runtime = await Runtime.open(self._settings, queues=self._queues, slots=self._slots)
        self._runtime.on_failure = self._fail
        # What is loaded by now stays: the collector need not walk the SDKs' objects again and again, which is the tail
        # of every latency (p99 34 ms instead of 35 to 104, measured).
        gc.collect()
        gc.freeze()
        # The consumer's thread wants the interpreter's lock a few times per bell; a busy loop gives it up only after
        # this long: with Python's 5 ms the last of 1,000 jobs rung at once began after 2 to 9 s, now after 1 to 1.5 s.
        sys.setswitchinterval(0.0005)
        gc.set_threshold(50_000, 20, 50)
        await self._runtime.register()

    def hear(self) -> None:
        """Hear bells until told to stop. Blocks the main thread."""
        runtime = self._opened()
        run_job.register(runtime.app, self._answer)
        refresh_models.register(runtime.app, runtime.refresh_models)
        pool = TaskPool.bound_to(self._loop, slots=self._slots)
        self._ear = new_ear(runtime.app, pool, name=f"{runtime.name}@smartsip", queues=self._queues)
        runtime.lease.gate = pool.instance
        asyncio.run_coroutine_threadsafe(self._watch(pool.instance), self._loop)
        if not self._signals:
            self._ear.start()
        if not self._signals:
            _log.critical("consumer_stopped_by_itself")
            self.exit_code = 1

    async def close(self) -> None:
        """Drain, give back, deregister and close."""
        runtime = self._opened()
        self._deafened.set()
        if self._watching is not None:
            self._watching.cancel()
        try:
            await asyncio.gather(runtime.drain(self._hurry), self._alone.close(self._hurry))
        finally:
            await runtime.close()

    def on_signal(self, number: int, _frame: object) -> None:
        """Stop; the second time at once. Does nothing but schedule: it may have interrupted anything."""
        self._signals += 1
        self._loop.call_soon_threadsafe(self._stop, signal.Signals(number).name)

    def _stop(self, signal_name: str) -> None:
        _log.info("worker_told_to_stop", signal=signal_name, at_once=self._signals > 1)
        if self._signals > 1:
            self._hurry.set()
        if self._ear is not None:
            stop_hearing(self._ear)

    async def _answer(self, job_id: JobId, solo: bool) -> None:
        if solo:
            await self._alone.run(job_id)
        else:
            await self._opened().runner.run(job_id)

    async def _watch(self, pool: TaskPool) -> None:
        runtime, clocks = self._opened(), self._settings.clocks
        ear = self._ear
        if ear is None:
            raise LookupError("there is nothing to watch yet")
        self._watching = runtime.background(
            watch(
                pool,
                runtime.redis,
                prefix=self._settings.redis.prefix,
                queues=self._queues,
                patience=clocks.renew_every * DEAF_AFTER_RENEWALS,
                reconnect=lambda: break_connection(ear),
                give_up=self._fail,
            ),
            "watchdog",
        )

    def _fail(self) -> None:
        """Leave with an error, so that the supervisor starts this worker again."""
        self.exit_code = 1
        self._hurry.set()
        if self._ear is not None:
            stop_hearing(self._ear)
        self._leaving = asyncio.create_task(self._leave_if_stuck())

    async def _leave_if_stuck(self) -> None:
        """Where the main thread does not come back from Celery: give the jobs back from here, and end the process."""
        try:
            async with asyncio.timeout(STUCK_S):
                await self._deafened.wait()
        except TimeoutError:
            _log.critical("consumer_does_not_stop", after_s=STUCK_S)
            await self._opened().give_back()
            await self._opened().lease.deregister()
            os._exit(1)

    def _opened(self) -> Runtime:
        if self._runtime is None:
            raise LookupError("the worker is not open")
        return self._runtime
