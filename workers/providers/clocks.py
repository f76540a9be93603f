"""The clocks over a provider's stream: how long we wait for the next delta before we call it a failure."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, Protocol, TypeVar, runtime_checkable

from shared.domain.errors import ProviderTimeout
from shared.settings_groups import Clocks as ClockSettings
from workers.providers.base import Clocks

T = TypeVar("T")
_HOW_TO_SAY: Final = {
    "first_delta": "{} did not begin to answer within {:g} s",
    "idle": "{} fell silent for {:g} s in the middle of its answer",
}


@runtime_checkable
class Slow(Protocol):
    """A provider that is known to be silent for longer than others while all is well, in seconds."""

    @property
    def first_delta_s(self) -> float:
        """Before its first delta it needs up to so long."""
        ...

    @property
    def idle_s(self) -> float:
        """Between two deltas it needs up to so long."""
        ...


def clocks_for(settings: ClockSettings, provider: object) -> Clocks:
    """Return the clocks of a provider: what the operator has set, else the default, or longer if it needs that."""
    first_delta_s, idle_s = settings.provider_first_delta.total_seconds(), settings.provider_idle.total_seconds()
    if isinstance(provider, Slow):
        if "provider_first_delta" not in settings.model_fields_set:
            first_delta_s = max(first_delta_s, provider.first_delta_s)
        if "provider_idle" not in settings.model_fields_set:
            idle_s = max(idle_s, provider.idle_s)
    return Clocks(settings.provider_connect.total_seconds(), first_delta_s, idle_s)


class Watchdog:
    """Waits for deltas with a limit, from one task at a time.

    Does what `asyncio.timeout` around each delta would do, with one timer that is moved only when it fires: that costs
    well under a microsecond a delta instead of five (measured on uvloop), and a worker handles ten thousand a second.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._clock, self._allowed_s, self._left_s = "idle", 0.0, 0.0
        self._deadline = 0.0
        self._fired = False

    def allow(self, clock: str, allowed_s: float) -> None:
        """Let the waits from now on take so long together."""
        self._clock, self._allowed_s, self._left_s = clock, allowed_s, allowed_s

    async def next(self, source: AsyncGenerator[T, None]) -> T:
        """Return what comes next; only the time spent waiting for it counts, not what its reader does in between.

        Raises:
            ProviderTimeout: if it did not come in time; `source` was interrupted where it waited, and is closed.
            StopAsyncIteration: if there is nothing more.
        """
        task = asyncio.current_task()
        assert task is not None
        cancelling = task.cancelling()
        self._deadline = self._loop.time() + self._left_s
        if self._timer is None or self._timer.when() > self._deadline:
            self._arm()
        self._waiting = task
        try:
            return await anext(source)
        except asyncio.CancelledError as error:
            if self._fired and task.uncancel() <= cancelling:
                words = _HOW_TO_SAY[self._clock].format(self._provider, self._allowed_s)
                raise ProviderTimeout(words) from error
            raise
        finally:
            self._waiting = None
            self._left_s = self._deadline - self._loop.time()

    def stop(self) -> None:
        """Forget the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self.stop()
        self._timer = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._waiting is None:
            return  # the reader is busy: the next wait arms the timer again
        if self._loop.time() < self._deadline:
            self._arm()
            return
        self._fired = True
        self._waiting.cancel()
