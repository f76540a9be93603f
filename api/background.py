"""Work that outlives the request it came from: kept, logged when it fails, waited for at the end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog

LAST_WAIT_S: Final = 5.0

_log = structlog.get_logger(__name__)


class Background:
    """A set of running tasks. asyncio itself keeps none of them alive."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()  # Any: nobody looks at their results

    def start(self, work: Coroutine[Any, Any, object], *, name: str) -> None:
        """Run something now, without waiting for it."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._end)

    async def close(self) -> None:
        """Wait for what runs, a moment at most."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=LAST_WAIT_S)
            for task in late:
                task.cancel()

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background_work_failed", work=task.get_name(), exc_info=error)
