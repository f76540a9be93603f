"""Celery's tasks on one event loop: a pool that holds hundreds of waiting tasks in one thread.

Celery's own tracer runs each task, inside a greenlet (`workers.await_bridge`). The pool, not Celery, counts slots:
Celery's prefetch is one message, which the pool accepts, and thereby acknowledges, as soon as a slot is free. Until
then it stays unacknowledged, and with `worker_disable_prefetch` no other is taken from the broker.

Everything here runs in the thread of Celery's hub, except what is marked as running on the loop.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, cast

import structlog
from billiard.einfo import ExceptionInfo
from celery.concurrency.base import BasePool
from celery.exceptions import SoftTimeLimitExceeded

from workers.await_bridge import run_bridged

_log = structlog.get_logger(__name__)


class Hub(Protocol):
    """What is used of kombu's hub (`kombu.asynchronous.Hub`, 5.7: `call_soon` is safe from any thread, and wakes)."""

    def call_soon(self, callback: Callable[..., object], *args: object) -> object:
        """Run a callback in the hub's thread."""
        ...


class PoolJob:
    """A task in the pool. Celery's request refers to it weakly and may `terminate` it."""

    def __init__(self, number: int, pool: "TaskPool", run: Callable[[], Any], options: dict[str, Any]) -> None:
        self.number = number
        self.pool = pool
        self.run = run  # Celery's tracer
        self.options = options  # callbacks and limits, as Celery passes them to apply_async
        self.task: asyncio.Task[None] | None = None
        self.outcome: tuple[int, Any, float] | None = None  # (failed, result, seconds), as Celery's requests expect it
        self.is_terminated = False
        self.interruption: BaseException | None = None
        self.timers: list[asyncio.TimerHandle] = []

    def terminate(self, signal: object = None) -> None:
        """Cancel the task wherever it awaits; nothing is reported for it."""
        self.pool.terminate_job(self.number, signal)

    def interrupt(self, with_error: BaseException | None) -> None:
        """Cancel the task, raising `with_error` inside it instead of a cancellation. On the loop."""
        self.interruption = with_error
        self.is_terminated = self.is_terminated or with_error is None
        if self.task is not None:
            self.task.cancel()

    def replace(self, error: BaseException) -> BaseException:
        """Return what the task's body sees of an error that awaiting raised. On the loop."""
        if not isinstance(error, asyncio.CancelledError) or self.interruption is None:
            return error
        interruption, self.interruption = self.interruption, None
        return interruption


class TaskPool(BasePool):
    """Celery's pool. `bound_to` gives it the loop and the number of slots; Celery makes the instance."""

    signal_safe = False
    body_can_be_buffer = True
    task_join_will_block = True

    loop: asyncio.AbstractEventLoop
    slots: int
    instance: "TaskPool"

    @classmethod
    def bound_to(cls, loop: asyncio.AbstractEventLoop, *, slots: int) -> "type[TaskPool]":
        """Return the pool's class for one worker; its `instance` is set once Celery made it."""
        return type("TaskPool", (cls,), {"loop": loop, "slots": slots, "__module__": cls.__module__})

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._hub: Hub | None = None
        self._numbers = 0
        self._held: deque[PoolJob] = deque()
        self._running: dict[int, PoolJob] = {}
        self._reports: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._is_paused = False
        self.taken_at = 0.0
        """When a task came last, by time.monotonic."""
        self.heard_at = time.monotonic()
        """When a task came last, or the pool last began to listen (anew)."""
        type(self).instance = self

    @property
    def num_processes(self) -> int:
        """How many messages Celery may have in hand; with `worker_disable_prefetch` it takes none beyond."""
        return 0 if self._is_paused else self.slots

    @property
    def free_slots(self) -> int:
        """How many tasks would be accepted now; from any thread."""
        return 0 if self._is_paused else self.slots - len(self._running)

    def pause(self) -> None:
        """Accept nothing until `resume`; from any thread."""
        self._is_paused = True

    def resume(self) -> None:
        """Accept tasks again; from any thread."""
        self._is_paused = False
        self.heard_at = time.monotonic()
        self._report(self._admit)

    def register_with_event_loop(self, loop: Any) -> None:  # Any: the base class' signature
        """Remember the hub; called for each new connection to the broker."""
        self._hub = cast(Hub, loop)
        self.heard_at = time.monotonic()
        self._deliver_reports()

    def on_apply(  # pyright: ignore[reportIncompatibleMethodOverride] - the stub says None, callers use the result
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> PoolJob:
        """Take a task from Celery and start it as soon as a slot is free."""
        self.taken_at = self.heard_at = time.monotonic()
        self._numbers += 1
        job = PoolJob(self._numbers, self, lambda: target(*args, **(kwargs or {})), options)
        self._held.append(job)
        self._admit()
        return job

    def flush(self) -> None:
        """Forget what was never accepted: its messages belong to a connection that is lost."""
        self._held.clear()

    def terminate_job(self, pid: Any, signal: Any = None) -> None:  # Any: the base class' signature
        """Cancel a running task; Celery calls a job's number its pid."""
        job = self._running.get(pid)
        if job is not None:
            self.loop.call_soon_threadsafe(job.interrupt, None)

    def on_stop(self) -> None:
        """Forget what was never accepted. What runs goes on: its owner drains it after Celery has stopped."""
        self.flush()
        self._deliver_reports()

    def on_terminate(self) -> None:
        """Cancel everything."""
        self.flush()
        for number in list(self._running):
            self.terminate_job(number)

    def _admit(self) -> None:
        while self._held and self.free_slots > 0:
            job = self._held.popleft()
            self._running[job.number] = job
            accepted = job.options.get("accept_callback")
            if accepted is not None:
                accepted(job.number, time.monotonic())
            self.loop.call_soon_threadsafe(self._start, job)

    def _start(self, job: PoolJob) -> None:  # on the loop
        if job.is_terminated:
            self._report(self._ended, job)
            return
        job.task = self.loop.create_task(self._run(job))
        job.task.add_done_callback(lambda _: self._done(job))  # also called if it is cancelled before its first step
        soft, hard = job.options.get("soft_timeout"), job.options.get("timeout")
        if soft:
            job.timers.append(self.loop.call_later(soft, self._limit, job, soft, True))
        if hard:
            job.timers.append(self.loop.call_later(hard, self._limit, job, hard, False))

    def _limit(self, job: PoolJob, seconds: float, is_soft: bool) -> None:  # on the loop
        self._report(job.options["timeout_callback"], is_soft, seconds)
        job.interrupt(SoftTimeLimitExceeded(seconds) if is_soft else None)

    async def _run(self, job: PoolJob) -> None:  # on the loop
        try:
            job.outcome = await run_bridged(job.run, replace=job.replace)
        except asyncio.CancelledError:
            _log.info("task_terminated")
        except BaseException:  # noqa: BLE001 - whatever a task raises past Celery's tracer ends that task only
            job.outcome = (1, ExceptionInfo(), 0.0)

    def _done(self, job: PoolJob) -> None:  # on the loop
        for timer in job.timers:
            timer.cancel()
        self._report(self._ended, job)

    def _ended(self, job: PoolJob) -> None:
        self._running.pop(job.number, None)
        callback = job.options.get("callback")
        if job.outcome is not None and callback is not None:
            callback(job.outcome)
        self._admit()

    def _report(self, callback: Callable[..., object], *args: object) -> None:
        """Run a callback in the hub's thread; from any thread. Kept if there is no hub at the moment."""
        self._reports.append((callback, args))
        if self._hub is not None:
            self._hub.call_soon(self._deliver_reports)

    def _deliver_reports(self) -> None:
        while self._reports:
            callback, args = self._reports.popleft()
            try:
                callback(*args)
            except Exception:  # noqa: BLE001 - Celery's bookkeeping of one task must not stop the others
                _log.exception("pool_report_failed")
