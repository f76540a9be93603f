"""One timer for thousands of streams: an event loop's own timer per token would cost more than sending the token."""

import asyncio
import heapq
import time
from collections.abc import Callable


def now_ms() -> int:
    """Return the monotonic time in milliseconds, the wheel's unit."""
    return time.monotonic_ns() // 1_000_000


class TimerWheel:
    """Calls back in the millisecond asked for, or as soon after it as the loop is free."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callbacks: dict[int, list[Callable[[int], None]]] = {}
        self._due: list[int] = []  # a heap of the keys of `_callbacks`
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for: int | None = None
        self._is_turning = False  # callbacks ask for later calls; the timer is set once, after all of them

    def call_at(self, due_ms: int, callback: Callable[[int], None]) -> None:
        """Have `callback(now_ms)` called once, never before `due_ms`."""
        if due_ms in self._callbacks:
            self._callbacks[due_ms].append(callback)
            return
        self._callbacks[due_ms] = [callback]
        heapq.heappush(self._due, due_ms)
        self._arm()

    def _arm(self) -> None:
        due_ms = self._due[0]
        if self._is_turning or self._armed_for == due_ms:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = due_ms
        self._timer = self._loop.call_later(max(0, due_ms - now_ms()) / 1000, self._turn)

    def _turn(self) -> None:
        self._timer, self._armed_for, self._is_turning = None, None, True
        now = now_ms()
        try:
            while self._due and self._due[0] <= now:
                for callback in self._callbacks.pop(heapq.heappop(self._due)):
                    callback(now)
        finally:
            self._is_turning = False
            if self._due:
                self._arm()
