"""Background tasks end for certain, and are left in peace while they clean up."""

import asyncio
import time

from shared.ending import AGAIN_AFTER_S, end


async def test_a_task_may_take_its_time_to_clean_up() -> None:
    cleaned = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(time.sleep, 0.3)
            cleaned.set()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await end(task)
    assert cleaned.is_set()
    assert task.cancelled()


async def test_a_task_that_swallows_a_cancellation_is_told_again() -> None:
    swallowed = 0

    async def work() -> None:
        nonlocal swallowed
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed += 1
        await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    began = time.monotonic()
    await end(task)
    assert (swallowed, task.cancelled()) == (1, True)
    assert time.monotonic() - began >= AGAIN_AFTER_S


async def test_what_a_task_raised_is_not_raised_here() -> None:
    async def work() -> None:
        raise ValueError("its own to log")

    task = asyncio.create_task(work())
    await asyncio.wait({task})
    await end(task)
    await end()
