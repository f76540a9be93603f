"""Awaiting from inside a plain function: the function runs in a greenlet, and hands each awaitable to the loop's task.

This is how Celery's synchronous tracer runs unchanged around an asynchronous task body; SQLAlchemy's asyncio layer is
built the same way (https://docs.sqlalchemy.org/en/20/orm/extensions/asyncio.html, "greenlet_spawn").
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from greenlet import getcurrent, greenlet

_T = TypeVar("_T")


class _Bridged(greenlet):
    """A greenlet whose parent awaits what it switches out."""


def wait_for(awaitable: Awaitable[_T]) -> _T:
    """Await, from a function that `run_bridged` runs; other tasks of the loop go on meanwhile."""
    here = getcurrent()
    if not isinstance(here, _Bridged) or here.parent is None:
        raise RuntimeError("wait_for works only inside a function that run_bridged runs")
    return cast(_T, here.parent.switch(awaitable))  # run_bridged sends back what the awaitable gave


async def run_bridged(function: Callable[[], _T], *, replace: Callable[[BaseException], BaseException]) -> _T:
    """Run a plain function that may call `wait_for`.

    What awaiting raised is raised inside the function, as `replace` gives it: so a cancellation can become a soft time
    limit there. The function always runs to its end, so that its own cleaning up is done.
    """
    inner = _Bridged(function)
    handed: Any = inner.switch()  # an awaitable, or, once the greenlet is dead, the function's result
    while not inner.dead:
        try:
            value: Any = await handed  # the type is known to wait_for's caller only
        except BaseException as error:  # noqa: BLE001 - it continues inside the function
            current = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and current is not None:
                current.uncancel()
            handed = inner.throw(replace(error))
        else:
            handed = inner.switch(value)
    return cast(_T, handed)
