"""A self-clocking batcher: what arrived while the last statement was in flight goes out as one statement.

An idle lane adds no wait. One bad row fails one caller: a batch that the server refuses is sent again row by row.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

from shared.database.connection import Connection, Raw
from shared.domain.errors import Unavailable

Item = TypeVar("Item")
Out = TypeVar("Out")
Batch: TypeAlias = Callable[[Raw, list[Item], bool], Awaitable[Sequence[Out]]]
"""Sends items, sorted by key, as one statement; returns one outcome per item. The flag: see `connection.Work`."""

MAX_ROWS: Final = 256
"""Larger batches save nothing and make everybody in them wait for the slowest."""


class Lane(Generic[Item, Out]):
    """Outcomes are delivered in batches; a caller who goes away does not take its row back."""

    def __init__(self, connection: Connection, batch: Batch[Item, Out], *, key: Callable[[Item], Any]) -> None:
        self._connection = connection
        self._batch = batch
        self._key = key  # Any: a sort key; see `_send`
        self._waiting: list[tuple[Item, asyncio.Future[Out]]] = []
        self._flight: asyncio.Task[None] | None = None

    def submit(self, item: Item) -> asyncio.Future[Out]:
        """Queue an item; the future brings its outcome, or the error that it alone met."""
        future: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly())
        return future

    async def drain(self) -> None:
        """Wait until everything that was submitted has its outcome."""
        while self._flight is not None:
            await asyncio.wait({self._flight})

    async def _fly(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_ROWS], self._waiting[MAX_ROWS:]
                await self._send(batch)
        finally:
            self._flight = None

    async def _send(self, batch: list[tuple[Item, asyncio.Future[Out]]]) -> None:
        # Two processes that touch the same rows lock them in the same order, so that neither waits for the other.
        batch.sort(key=lambda row: self._key(row[0]))
        try:
            outcomes = await self._run([item for item, _ in batch])
        except Unavailable as error:
            # Those who came meanwhile have a server that has been away for a while, too.
            batch, self._waiting = batch + self._waiting, []
            for _, future in batch:
                _fail(future, error)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to one row, whose caller gets it
            await self._isolate(batch, error)
        else:
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                _deliver(future, outcome)

    async def _isolate(self, batch: list[tuple[Item, asyncio.Future[Out]]], error: Exception) -> None:
        if len(batch) == 1:
            _fail(batch[0][1], error)
            return
        for row in batch:
            await self._send([row])

    async def _run(self, items: list[Item]) -> Sequence[Out]:
        async def work(raw: Raw, is_retry: bool) -> Sequence[Out]:
            return await self._batch(raw, items, is_retry)

        return await self._connection.run(work)


def _deliver(future: asyncio.Future[Out], outcome: Out) -> None:
    if not future.done():
        future.set_result(outcome)


def _fail(future: asyncio.Future[Out], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
