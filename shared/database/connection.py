"""One PostgreSQL connection that comes back by itself, for the few statements that are too hot for SQLAlchemy.

Every statement is a transaction (autocommit), prepared at first use, planned once. What runs here may run twice: a
connection can break after the commit and before its answer. Not for PgBouncer in transaction mode, which forgets
prepared statements.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeAlias, TypeVar

import psycopg
import structlog
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import StrBinaryDumper

from shared.domain.errors import Unavailable
from shared.settings import Database

Raw: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]  # rows are what each statement selects
Result = TypeVar("Result")
Work: TypeAlias = Callable[[Raw, bool], Awaitable[Result]]
"""Statements on a connection; the flag says that an earlier run of the same work may have been committed."""

STATEMENT_S: Final = 5.0
"""A hot statement takes about 1 ms. One that takes this long waits for a server that hangs."""
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 0.5
SESSION: Final = (
    # unnest() is estimated at a few rows: a generic plan probes the primary key, which is right for every batch.
    "set plan_cache_mode = force_generic_plan",
    # A plan made while a table was empty, or was counted when it was, would read it whole for every row, also when it
    # is not empty any more. Every statement here has the indexes that it needs.
    "set enable_seqscan = off",
    "set enable_bitmapscan = off",
    "set jit = off",
)
TRANSIENT_CLASSES: Final = ("08", "40", "53", "57", "25006")
"""SQLSTATEs that are no fault of the statement: connection, deadlock, resources, shutdown, a demoted primary."""

logger = structlog.get_logger(__name__)


class Connection:
    """One statement at a time, in the order in which they were asked for; reconnects for up to `patience`."""

    def __init__(
        self,
        database: Database,
        *,
        name: str,
        patience: timedelta,
        statement_s: float = STATEMENT_S,
        on_connect: Callable[[Raw], Awaitable[None]] | None = None,
    ) -> None:
        self._conninfo = database.conninfo
        self._name = name
        self._patience_s = patience.total_seconds()
        self._statement_s = statement_s
        self._on_connect = on_connect
        self._turn = asyncio.Lock()
        self._raw: Raw | None = None

    async def open(self) -> None:
        """Connect now rather than with the first statement.

        Raises:
            Unavailable: if PostgreSQL cannot be reached.
        """
        await self.run(_nothing)

    async def close(self) -> None:
        """Finish the statement in flight and disconnect; a later statement would connect again."""
        async with self._turn:
            if self._raw is not None:
                await self._raw.close()
                self._raw = None

    async def run(self, work: Work[Result]) -> Result:
        """Run statements; where the connection breaks, connect and run them again.

        Raises:
            Unavailable: if PostgreSQL stays away for longer than this connection is patient.
        """
        async with self._turn:
            give_up_at = time.monotonic() + self._patience_s
            pause_s, is_retry = FIRST_PAUSE_S, False
            while True:
                try:
                    return await self._once(work, is_retry)
                except (psycopg.Error, OSError, TimeoutError) as error:
                    if not _is_transient(error, self._raw):
                        raise
                    await self._drop(error)
                    if time.monotonic() + pause_s > give_up_at:
                        raise Unavailable("PostgreSQL cannot be reached at the moment") from error
                is_retry = True
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _once(self, work: Work[Result], is_retry: bool) -> Result:
        if self._raw is None:
            self._raw = await self._connect()
        return await _within(self._statement_s, work(self._raw, is_retry))

    async def _connect(self) -> Raw:
        raw: Raw = await psycopg.AsyncConnection.connect(
            self._conninfo,
            autocommit=True,
            prepare_threshold=0,
            application_name=self._name,
            connect_timeout=5,
            # A server that vanished without a word is noticed within seconds instead of minutes.
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=10_000,
        )
        try:
            await self._prepare(raw)
        except BaseException:
            await raw.close()
            raise
        return raw

    async def _prepare(self, raw: Raw) -> None:
        # One type per parameter, whatever the values: otherwise each width of integer prepares a statement of its own.
        raw.adapters.register_dumper(int, Int8BinaryDumper)
        raw.adapters.register_dumper(str, StrBinaryDumper)
        for setting in SESSION:
            await raw.execute(setting, prepare=False)
        if self._on_connect is not None:
            await self._on_connect(raw)

    async def _drop(self, error: BaseException) -> None:
        """Give up a connection about which nothing is known any more."""
        logger.warning("postgres_connection_lost", connection=self._name, reason=_reason(error))
        if self._raw is not None:
            raw, self._raw = self._raw, None
            await raw.close()


async def _within(seconds: float, work: Awaitable[Result]) -> Result:
    """Await statements for a bounded time, also where the server hangs and cannot even be asked to cancel."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if done:
            return task.result()
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        raise
    task.cancel()  # psycopg asks the server to cancel, and waits for it to do so;
    await asyncio.wait({task}, timeout=0.5)
    task.cancel()  # asked twice, it closes the socket.
    await asyncio.wait({task})
    raise TimeoutError(f"PostgreSQL did not answer within {seconds:g} s")


def _is_transient(error: BaseException, raw: Raw | None) -> bool:
    if raw is None or raw.closed or not isinstance(error, psycopg.Error):
        return True
    return error.sqlstate is not None and error.sqlstate.startswith(TRANSIENT_CLASSES)


def _reason(error: BaseException) -> str:
    """Return an error's first line; libpq's never hold the password."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


async def _nothing(_raw: Raw, _is_retry: bool) -> None:
    """Connect, and no more."""
