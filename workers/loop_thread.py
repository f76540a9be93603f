"""The one thread on which everything asynchronous of a worker runs, beside Celery's consumer in the main thread."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Self, TypeVar

import uvloop

_T = TypeVar("_T")


class LoopThread:
    """A uvloop event loop in a thread of its own; leaving the context cancels what still runs and joins the thread."""

    def __init__(self, name: str = "worker-loop") -> None:
        self._thread = threading.Thread(target=self._main, name=name)
        self._started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop."""
        return self._started.result()[0]

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:  # Any: what a coroutine yields is asyncio's business
        """Run a coroutine on the loop and wait for its result, from another thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result()
        return self

    def __exit__(self, *exc: object) -> None:
        loop, stop = self._started.result()
        loop.call_soon_threadsafe(stop.set)
        self._thread.join()

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        stop = asyncio.Event()
        self._started.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()
