"""Ending a background task for certain."""

import asyncio
from typing import Any, Final

AGAIN_AFTER_S: Final = 2.0
"""Longer than cleaning up takes: a second cancellation would interrupt that, and leave a connection open."""


async def end(*tasks: asyncio.Task[Any]) -> None:  # Any: their results are not wanted
    """Cancel tasks until they have ended; what they raised is theirs to have logged.

    Once is not always enough: on Python 3.11 `asyncio.wait_for`, which drivers use inside, can swallow a cancellation
    that comes just as it is done (https://github.com/python/cpython/issues/86296, repaired in 3.12).
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_AFTER_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it as lost
